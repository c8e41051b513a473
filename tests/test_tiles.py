"""Tiled prediction: equal to the whole where it says so, bounded in memory, streamed, and honest where it blends."""

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from itertools import product

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.overrides import TorchFunctionMode

from eyespot.anatomy.measure import run_as_predicting
from eyespot.data.formats.read import decode
from eyespot.data.header import Decoded, Unreadable
from eyespot.data.preprocess.preprocessing import OWN, Preprocessing
from eyespot.errors import UserError
from eyespot.models import create
from eyespot.prediction.network_facts import halo, network_facts
from eyespot.prediction.tiled_file import TiledFile
from eyespot.prediction.tiled_inference import SeamMeter, maps, predict_map
from eyespot.prediction.tiles import Halo, NetworkFacts, Plan, cost, overlapping, plan, shares, tiles
from eyespot.prediction.windows import open_windows


class InOrder(TorchFunctionMode):
    """Convolutions summed tap by tap and channel by channel: torch's own order of sums changes with the size."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = func.__name__
        if name.startswith("conv_transpose"):
            return self.up(*args, **(kwargs or {}))
        return (self.conv if name in ("conv1d", "conv2d", "conv3d") else func)(*args, **(kwargs or {}))

    def conv(self, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        if groups > 1:  # the blur's fixed filter
            return torch.cat([self.conv(c, weight[:1], None, stride) for c in x.split(1, 1)], 1)
        dim = x.dim() - 2
        edge, step = np.broadcast_to(padding, dim)[0], np.broadcast_to(stride, dim)[0]
        x, size = F.pad(x, [int(edge)] * 2 * dim), weight.shape[2:]
        y = 0
        for c, at in product(range(x.shape[1]), product(*map(range, size))):
            seen = tuple(slice(a, n - k + 1 + a, step) for a, k, n in zip(at, size, x.shape[2:], strict=True))
            y = y + x[(slice(None), slice(c, c + 1), *seen)] * shaped(weight[(slice(None), c, *at)], dim)
        return y if bias is None else y + shaped(bias, dim)

    def up(self, x, weight, bias, stride, padding, output_padding, *rest):
        dim, size, (edge, *_) = x.dim() - 2, weight.shape[2:], padding
        y = x.new_zeros(len(x), weight.shape[1], *(2 * n + size[0] for n in x.shape[2:]))
        for c, at in product(range(x.shape[1]), product(*map(range, size))):
            load_strict = tuple(slice(a, a + 2 * n, 2) for a, n in zip(at, x.shape[2:], strict=True))
            y[(..., *load_strict)] += x[:, c : c + 1] * shaped(weight[(c, slice(None), *at)], dim)
        y = y[(..., *(slice(edge, edge + 2 * n) for n in x.shape[2:]))]
        return y if bias is None else y + shaped(bias, dim)


def shaped(values, dim):
    return values.view(1, -1, *[1] * dim)


def network(name="unet_bn", seed=0, **settings):
    """Random weights, and a batch norm that has seen something."""
    torch.manual_seed(seed)
    made = create(name, **{"channels": 1, "classes": 3, **settings}).eval()
    for m in made.modules():
        if isinstance(m, torch.nn.modules.batchnorm._BatchNorm):
            m.running_mean.uniform_(-0.2, 0.2)
            m.running_var.uniform_(0.5, 2)
    return made


def answer_of(model, dtype=torch.float32):
    def logits(window):
        with torch.inference_mode():
            return model(torch.from_numpy(window).to(dtype).movedim(-1, 0)[None])[0].numpy()

    return logits


def write_labels(path, bands, shape, spacing=(), dtype=np.uint8):
    with TiledFile(path, shape, dtype, spacing=spacing) as file:
        top = 0
        for band in bands:
            file.add(top, band)
            top += len(band)


def labels(parts, shape):
    return (band for _, band, _ in maps(parts, shape))


def put_together(read, logits, planned):
    parts = list(predict_map(read, logits, planned))
    whole = np.full((len(parts[0][1]), *planned.shape), np.nan, parts[0][1].dtype)
    for place, y in parts:
        assert np.isnan(whole[(slice(None), *place)]).all()  # each sample once
        whole[(slice(None), *place)] = y
    return whole


def tiled_and_whole(model, shape, tile, dtype, convolutions=nullcontext):
    how = halo(model)
    assert not how.why
    image = np.random.default_rng(1).normal(size=(*shape, 1))
    logits = answer_of(model.to(dtype), dtype)
    with convolutions():
        return put_together(image.__getitem__, logits, Plan(shape, tile, how, 0)), logits(image)


SIZES = {1: (40, 500), 2: (17, 90), 3: (9, 34)}


@st.composite
def cases(draw):
    """(rank, levels, shape, tile): deep nets for signals and images, tiles smaller than their halo among others."""
    dim = draw(st.integers(1, 3))
    levels = draw(st.integers(2, (5, 4, 3)[dim - 1]))
    low, high = SIZES[dim]
    shape = draw(st.tuples(*[st.integers(low, high)] * dim))
    return dim, levels, shape, tuple(draw(st.integers(max(1, n // 3), n)) for n in shape)


@settings(max_examples=20, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(cases(), st.integers(0, 99))
def test_tiled_equals_whole(case, seed):
    """Not one bit differs in float64, where sums have a fixed order."""
    dim, levels, shape, tile = case
    model = network(seed=seed, dim=dim, width=1, levels=levels)
    tiled, whole = tiled_and_whole(model, shape, tile, torch.float64, InOrder)
    assert np.array_equal(tiled, whole)


@pytest.mark.parametrize(
    ("name", "settings", "shape", "tile"),
    [
        ("unet_bn", dict(width=1), (250, 187), (64, 112)),  # of depth 4, as published
        ("unet_bn", dict(width=1, levels=3, padding="reflect", blur=3), (157, 90), (16, 40)),
        ("unet_bn", dict(width=1, levels=3, padding="replicate", subsample="average"), (101, 75), (30, 30)),
        ("fcdensenet56", dict(width=2, growth=1, depths=(1, 1), bottom=1), (121, 65), (24, 40)),
        ("unet3d", dict(width=2, levels=3, norm="batch"), (37, 29, 26), (8, 12, 26)),
    ],
)
def test_other_networks_are_exact_as_well(name, settings, shape, tile):
    tiled, whole = tiled_and_whole(network(name, **settings), shape, tile, torch.float64, InOrder)
    assert np.array_equal(tiled, whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("dim", "levels", "shape", "tile"),
    [(1, 5, (3001,), (500,)), (2, 5, (251, 205), (112, 80)), (3, 3, (41, 45, 30), (20, 24, 32))],
)
def test_with_torchs_own_convolutions_rounding_is_all_that_differs(dim, levels, shape, tile, dtype):
    width, most = {torch.float32: (8, 1e-5), torch.float64: (2, 1e-13)}[dtype]
    tiled, whole = tiled_and_whole(network(dim=dim, width=width, levels=levels), shape, tile, dtype)
    assert np.abs(tiled - whole).max() < most * whole.std()


@settings(deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=2), st.integers(4, 50), st.sampled_from([1, 2, 8]))
def test_tiles_lie_on_the_grid_and_are_the_image(shape, side, grid):
    how = Halo(3 * grid, 5 * grid, grid)
    times = np.zeros(shape, int)
    for inner, outer in tiles(shape, [side] * len(shape), how):
        times[inner] += 1
        for i, o, n in zip(inner, outer, shape, strict=True):
            assert o.start % grid == 0 and (o.stop % grid == 0 or o.stop == n)
            assert o.start in (0, i.start - 3 * grid) and (o.stop == n or o.stop == i.stop + 5 * grid)
    assert (times == 1).all()


def test_the_halo_is_what_the_network_sees_and_no_less():
    assert halo(network(width=4)) == Halo(96, 96, 16)  # 94 on each side of a tile on the grid
    assert halo(network(width=4, levels=3)) == Halo(24, 24, 4)
    seen = halo(network("fcdensenet56"))
    assert (seen.before, seen.after, seen.grid) == (384, 416, 32)
    assert halo(network(width=4, padding="reflect")) == Halo(112, 112, 16)


def test_what_cannot_be_exact_says_why():
    assert "statistics of group_norm" in halo(network(width=8, norm="group")).why
    assert "statistics of instance_norm" in halo(network(width=8, norm="instance")).why
    loose = network(width=4)
    for m in loose.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean = m.running_var = None
    assert "statistics of batch_norm" in halo(loose).why
    assert "circular" in halo(network(width=4, padding="circular")).why
    with pytest.raises(UserError, match="padded=True"):
        halo(network(width=4, padded=False))
    with pytest.raises(UserError, match="this ResNet gives"):
        halo(network("resnet18"))


def test_a_plan_keeps_to_its_memory():
    model = network(width=4)
    large = plan(network_facts(model), (20_000, 20_001), 500 << 20)
    assert not large.why and large.bytes <= 500 << 20 and "exact; at most" in str(large)
    outer = [t + 192 for t in large.tile]
    assert cost(network_facts(model), large.shape, outer, 4, blended=False) == large.bytes
    assert plan(network_facts(model), (200, 300), 500 << 20).count == 1
    tight = plan(network_facts(model), (2_000, 2_000), 156 << 20)
    assert tight.bytes <= 156 << 20 and "looks 192 samples far" in tight.why
    group = plan(network_facts(network(width=8, norm="group")), (3000, 20_000), 700 << 20)
    assert group.bytes <= 700 << 20 and "blended, since the statistics of group_norm" in str(group)
    assert not plan(network_facts(network(width=8, norm="group")), (300, 200), 700 << 20).why  # in one piece
    with pytest.raises(UserError, match=r"memory allowed is 1e\+08|memory allowed is 95\.4 MB"):
        plan(network_facts(model), (2_000, 2_000), 100_000_000)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_plan_needs_the_facts_of_the_card_and_no_torch(norm):
    facts = network_facts(network(width=8, norm=norm))
    stored = json.dumps(facts.as_dict())
    assert NetworkFacts.from_dict(json.loads(stored)) == facts
    code = (
        "import json, sys; sys.modules['torch'] = None\n"
        "from eyespot.prediction.tiled_inference import predict_map\n"
        "from eyespot.prediction.tiles import NetworkFacts, plan\n"
        "print(plan(NetworkFacts.from_dict(json.loads(sys.argv[1])), (3000, 20_000), 700 << 20))"
    )
    planned = subprocess.run([sys.executable, "-c", code, stored], capture_output=True, text=True, check=True)
    assert planned.stdout.strip() == str(plan(facts, (3000, 20_000), 700 << 20))


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        (dict(width=8), (320, 480)),
        (dict(width=8, dim=3, levels=3), (64, 64, 96)),
        (dict(width=8, dim=1), (4096,)),
    ],
)
def test_memory_is_proportional_to_the_samples(settings, shape):
    model = network(**settings)
    measured = run_as_predicting(model, (1, *shape), "meta")[2].peak
    assert measured <= network_facts(model).memory(shape) < 1.3 * measured


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 99), st.sampled_from([1, 2, 8]))
def test_weights_of_overlapping_tiles_add_up_to_one(n, side, grid):
    parts = overlapping(n, side, grid)
    total = np.zeros(n)
    for part, weight in zip(parts, shares(parts), strict=True):
        assert part.start % grid == 0 and (weight > 0).all()
        total[part] += weight
    assert np.allclose(total, 1, atol=1e-6) and parts[-1].stop == n


def test_blended_tiles_of_a_constant_are_constant_and_have_no_seams():
    planned = Plan((150, 133), (48, 64), Halo(0, 0, 4), 0, "tiles differ")
    seams, image = SeamMeter(planned), np.ones((150, 133, 1), np.float32)

    def standard(window):  # depends on all of the tile
        x = window[..., 0]
        return np.stack([(x - x.mean()) / (x.std() + 1), x.mean() + x])

    blended = put_together(image.__getitem__, standard, planned)
    assert np.abs(blended - np.array([0.0, 2.0]).reshape(2, 1, 1)).max() < 1e-6
    y, x = np.mgrid[:150, :133] / 20
    smooth = np.stack([np.sin(x), np.cos(y), x * y / 40]).astype(np.float32)
    image = np.moveaxis(smooth, 0, -1)
    asked = seams.watch(predict_map(image.__getitem__, lambda w: np.moveaxis(w, -1, 0), planned))
    for place, part in asked:
        assert np.allclose(part, smooth[(slice(None), *place)], atol=1e-6)
    assert 0.97 < seams.score < 1.03


def test_seams_that_are_there_are_scored():
    """Tiles that each add a number of their own, cut without blending, at each end along both axes."""
    planned = Plan((96, 80), (32, 32), Halo(0, 0, 4), 0, "tiles differ")
    rng = np.random.default_rng(0)
    ends = [sorted({p.start for p in parts}) for parts in planned.axis_tiles()]
    steps = [np.searchsorted(e, np.arange(n), "right") for e, n in zip(ends, planned.shape, strict=True)]
    for axis in (0, 1):
        level = rng.normal(size=20)[steps[axis]]
        logits = rng.normal(0, 0.01, (2, 96, 80))
        logits[0] += level[:, None] if axis == 0 else level[None]
        seams = SeamMeter(planned)
        bands = [((slice(a, a + 16), slice(0, 80)), logits[:, a : a + 16]) for a in range(0, 96, 16)]
        assert len(list(seams.watch(bands))) == 6
        assert seams.score > 5


@pytest.mark.parametrize("shape", [(700, 530), (3, 40, 50), (16, 16)])
def test_streamed_labels_are_the_labels(tmp_path, shape):
    wanted = np.random.default_rng(0).integers(0, 7, shape, dtype=np.uint8)
    write_labels(tmp_path / "a.tif", (wanted[a : a + 7] for a in range(0, shape[0], 7)), shape)
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), wanted)
    assert os.listdir(tmp_path) == ["a.tif"]
    if len(shape) == 2:
        assert np.array_equal(np.asarray(Image.open(tmp_path / "a.tif")), wanted)


def test_labels_from_tiles_are_those_of_the_whole(tmp_path):
    image = np.random.default_rng(0).normal(size=(130, 117, 1)).astype(np.float32)
    model = network(width=2, levels=3)
    planned = Plan((130, 117), (40, 52), halo(model), 0)
    bands = labels(predict_map(image.__getitem__, answer_of(model), planned), planned.shape)
    write_labels(tmp_path / "a.tif", bands, planned.shape)
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), answer_of(model)(image).argmax(0))
    many = [((slice(0, 2), slice(0, 3)), np.eye(300)[:, :6].reshape(300, 2, 3))]
    assert next(labels(many, (2, 3))).dtype == np.uint16


def test_a_spacing_is_passed_on(tmp_path):
    stack = np.zeros((4, 20, 20), np.uint8)
    write_labels(tmp_path / "a.tif", iter([stack]), stack.shape, (2.5, 0.5, 0.25))
    decoded = decode((tmp_path / "a.tif").read_bytes(), 3)
    assert decoded.array.shape == (4, 20, 20, 1) and decoded.spacing == (2.5, 0.25, 0.25)


def test_a_run_that_ends_early_leaves_no_half_answer(tmp_path):
    out = tmp_path / "a.tif"
    code = (
        "import os, signal, sys, numpy as np; from pathlib import Path\n"
        "from eyespot.prediction.tiled_file import TiledFile\n"
        "def bands():\n"
        "    yield np.random.default_rng(0).integers(0, 255, (600, 9000), dtype=np.uint8)\n"
        "    yield np.zeros((6000, 9000), np.uint8)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "with TiledFile(Path(sys.argv[1]), (9000, 9000), np.uint8) as file:\n"
        "    for band in bands(): file.add(0, band)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, out], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert os.listdir(tmp_path) == ["a.tif.partial"] and (tmp_path / "a.tif.partial").stat().st_size > 1e6
    write_labels(out, iter([np.ones((30, 40), np.uint8)]), (30, 40))
    assert os.listdir(tmp_path) == ["a.tif"] and tifffile.imread(out).all()

    def interrupted():
        yield np.zeros((10, 40), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_labels(tmp_path / "b.tif", interrupted(), (30, 40))
    assert os.listdir(tmp_path) == ["a.tif"]


def test_labels_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*nowhere"):
        write_labels(tmp_path / "nowhere" / "a.tif", iter([np.zeros((9, 9), np.uint8)]), (9, 9))
    with pytest.raises(UserError, match="two or three axes"):
        write_labels(tmp_path / "a.tif", iter([np.zeros(9, np.uint8)]), (9,))


PLAIN = [
    dict(),
    dict(compression="zlib", rowsperstrip=7),
    dict(tile=(32, 48)),
    dict(tile=(16, 16), compression="lzw"),
]
PLAIN += [dict(byteorder=">"), dict(compression="zlib", predictor=True)]


@pytest.mark.parametrize("how", PLAIN, ids=str)
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "colour", "stack"])
def test_windows_are_cut_from_what_decode_reads(tmp_path, how, kind):
    rng, path = np.random.default_rng(0), tmp_path / "a.tif"
    shape = {"colour": (101, 87, 3), "stack": (5, 61, 70)}.get(kind, (101, 87))
    values = rng.integers(0, 255, shape).astype(kind if kind[-1].isdigit() else np.uint8)
    tifffile.imwrite(path, values, photometric="rgb" if kind == "colour" else "minisblack", **how)
    dim = 3 if kind == "stack" else 2
    windows, whole = open_windows(path, dim), decode(path.read_bytes(), dim).array
    assert (
        windows.shape == whole.shape[:-1]
        and windows.channels == whole.shape[-1]
        and not windows.bytes_in_memory
    )
    for _ in range(8):
        corners = [sorted(rng.choice(n + 1, 2, replace=False)) for n in windows.shape]
        window = tuple(slice(int(a), int(b)) for a, b in corners)
        assert np.array_equal(windows(window), whole[window]) and windows(window).dtype == whole.dtype


def test_a_plain_tiff_of_one_strip_is_mapped(tmp_path, monkeypatch):
    values = np.random.default_rng(0).integers(0, 9999, (300, 200)).astype(">u2")
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=">")
    monkeypatch.setattr("eyespot.prediction.windows.SEGMENT", 1000)
    windows = open_windows(tmp_path / "a.tif", 2)
    assert not windows.bytes_in_memory and np.array_equal(
        windows((slice(5, 9), slice(0, 99)))[..., 0], values[5:9, :99]
    )
    tifffile.imwrite(tmp_path / "b.tif", values, compression="zlib", rowsperstrip=300)
    assert (
        open_windows(tmp_path / "b.tif", 2).bytes_in_memory == values.nbytes
    )  # one strip, larger than is decoded at a time


def test_windows_of_arrays_and_of_files_that_are_decoded_whole(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", values)
    np.save(tmp_path / "b.npy", np.moveaxis(values, -1, 0))
    Image.fromarray(values).save(tmp_path / "c.png")
    tifffile.imwrite(
        tmp_path / "d.tif", np.moveaxis(values, -1, 0), photometric="rgb", planarconfig="separate"
    )
    tifffile.imwrite(tmp_path / "e.tif", values, photometric="rgb", extratags=[(274, "H", 1, 3, True)])
    for name in "a.npy", "b.npy", "c.png", "d.tif", "e.tif":
        windows, whole = open_windows(tmp_path / name, 2), decode((tmp_path / name).read_bytes(), 2).array
        window = (slice(3, 30), slice(7, 41))
        assert np.array_equal(windows(window), whole[window]), name
        assert windows.bytes_in_memory == (0 if name.endswith("npy") else values.nbytes)
    np.save(tmp_path / "bad.npy", np.array([[1.0, np.nan]]))
    window = open_windows(tmp_path / "bad.npy", 2)((slice(0, 1), slice(0, 2)))
    with pytest.raises(Unreadable, match="not finite"):
        Preprocessing(1, OWN, 1, (1,), "float32").of_decoded(Decoded(window))
    (tmp_path / "cut.tif").write_bytes((tmp_path / "d.tif").read_bytes()[:300])
    with pytest.raises(Unreadable):
        open_windows(tmp_path / "cut.tif", 2)
    with pytest.raises(Unreadable):
        open_windows(tmp_path / "absent.tif", 2)
