"""The facts that a tile plan needs, measured on a torch network: how far it looks, and the memory that it takes."""

from math import lcm

from eyespot.anatomy.measure import run_as_predicting
from eyespot.errors import UserError
from eyespot.models.network import Network
from eyespot.prediction.tiles import NetworkFacts, Reach, up


def network_facts(network: Network) -> NetworkFacts:
    """Measure a network that predicts every position. Raises UserError for one that crops its border or is for classes."""
    return NetworkFacts(
        name=type(network).__name__,
        classes=network.classes,
        smallest=network.smallest,
        stride=network.total_stride,
        bytes_per_sample=bytes_per_sample(network),
        reach=reach(network),
    )


def reach(network: Network) -> Reach:
    """How far a segmentation network looks."""
    stride = network.total_stride
    side = up(max(network.smallest, 4 * stride), stride)
    shape = (network.channels, *[side] * network.kit.dim)
    _, follower, _, out = run_as_predicting(network, shape, "meta")
    if tuple(out.shape[2:]) != shape[1:]:
        raise UserError(
            f"this {type(network).__name__} gives {tuple(out.shape[2:])} logits for {shape[1:]} samples, and tiles need "
            "one for every sample: use a segmentation network with padded=True"
        )
    why = ", and ".join(follower.notes)
    grids = [axis.grid for axis in follower.last if axis.grid is not None]
    if network.kit.padding == "circular":
        why = "its padding is circular: each edge sees the opposite one"
    if why or len(grids) < network.kit.dim:
        return Reach(0, 0, stride, why or "an output sees the whole image")
    step = lcm(stride, *(g.shift for g in grids))
    before = up(max(int(-low) for g in grids for low in g.lows), step)
    after = up(max(int(high) - g.shift + 1 for g in grids for high in g.highs), step)
    if network.kit.padding != "zeros":  # padding copies samples from as far inside as it lies outside
        before = max(before, after) + step
        after = before
    return Reach(before, after, step)


def bytes_per_sample(network: Network) -> float:
    """Memory for each sample of one image, in float32, all values alive at once: not less than any size takes."""
    dim = network.kit.dim
    padded = 2 * up(network.smallest, 2 * network.total_stride)
    side = padded - 1  # padded to an even multiple, as at the end of an image
    _, _, meter, _ = run_as_predicting(network, (network.channels, *[side] * dim), "meta")
    # An image of a full multiple has that many samples more than this one.
    missing = 4 * network.channels * (padded**dim - side**dim)
    return (meter.peak + missing) / padded**dim
