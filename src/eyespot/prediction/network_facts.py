"""The facts that a tile plan needs, measured on a torch network: its halo, and the memory that it takes."""

from math import lcm

from eyespot.anatomy.measure import run_as_predicting
from eyespot.errors import UserError
from eyespot.models.network import Network
from eyespot.prediction.tiles import Halo, NetworkFacts, round_up


def network_facts(network: Network) -> NetworkFacts:
    """Measure a network that predicts every position. Raises UserError for one that crops its border or classifies whole images."""
    return NetworkFacts(
        name=type(network).__name__,
        classes=network.classes,
        smallest=network.smallest,
        stride=network.total_stride,
        bytes_per_sample=bytes_per_sample(network),
        halo=halo(network),
    )


def halo(network: Network) -> Halo:
    """What a tile needs around it. Raises UserError for a network without padding, or for classes of whole images."""
    stride = network.total_stride
    side = round_up(max(network.smallest, 4 * stride), stride)
    shape = (network.channels, *[side] * network.kit.dim)
    _, follower, _, out = run_as_predicting(network, shape, "meta")
    if tuple(out.shape[2:]) != shape[1:]:
        raise UserError(
            f"this {type(network).__name__} gives {tuple(out.shape[2:])} logits for {shape[1:]} samples, and tiles need "
            "one for every sample: use a segmentation network with padded=True"
        )
    inexact = ", and ".join(follower.notes)
    fields = [axis.fields for axis in follower.last if axis.fields is not None]
    if network.kit.padding == "circular":
        inexact = "its padding is circular: each edge sees the opposite one"
    if inexact or len(fields) < network.kit.dim:
        return Halo(0, 0, stride, inexact or "an output sees the whole image")
    step = lcm(stride, *(f.jump for f in fields))
    before = round_up(max(int(-low) for f in fields for low in f.lows), step)
    after = round_up(max(int(high) - f.jump + 1 for f in fields for high in f.highs), step)
    if network.kit.padding != "zeros":  # padding copies samples from as far inside as it lies outside
        before = max(before, after) + step
        after = before
    return Halo(before, after, step)


def bytes_per_sample(network: Network) -> float:
    """Memory for each sample of one image, in float32, all values alive at once; an upper bound for every size."""
    dim = network.kit.dim
    padded = 2 * round_up(network.smallest, 2 * network.total_stride)
    side = padded - 1  # padded to an even multiple, as at the end of an image
    _, _, meter, _ = run_as_predicting(network, (network.channels, *[side] * dim), "meta")
    # An image of a full multiple has that many samples more than this one.
    added = 4 * network.channels * (padded**dim - side**dim)
    return (meter.peak + added) / padded**dim
