"""What an engine computes in is what was asked for; decoding goes on while it computes."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from exported import masks, preprocessing, write_run
from eyespot import UserError, export, load
from eyespot.certificate.certificate import TOLERANCE
from eyespot.certificate.exported import read_exported
from eyespot.parallel import in_order
from eyespot.prediction import bfloat16, predictor
from eyespot.prediction.class_output import BATCH
from eyespot.prediction.openvino_engine import OpenVinoEngine
from eyespot.prediction.verification import measured

openvino = pytest.importorskip("openvino")
HAS_BFLOAT16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
needs_bfloat16 = pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor has no bfloat16")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EYESPOT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    run = write_run(folder / "run", "small", preprocessing(), widths=(8, 16))
    export(run, folder / "m.onnx")
    return folder / "m.onnx"


def images(n):
    return [*np.random.default_rng(0).integers(0, 256, (n, 16, 16, 3)).astype(np.uint8)]


@needs_bfloat16
def test_bfloat16_is_computed_only_where_it_is_asked_for(file, capsys):
    exact = load(file, engine="openvino")
    rounded = load(file, engine="openvino", precision="bf16")
    assert "bf16:" in capsys.readouterr().err
    torch = load(file.parent / "run").logits(np.stack(images(32)))
    scale = np.abs(torch).max()
    assert np.abs(exact.logits(np.stack(images(32))) - torch).max() / scale < TOLERANCE
    apart = np.abs(rounded.logits(np.stack(images(32))) - torch).max() / scale
    assert 10 * TOLERANCE < apart < bfloat16.FARTHEST
    assert rounded.engine.precision == "bfloat16"


@needs_bfloat16
def test_bfloat16_where_float32_was_promised_is_noticed(file):
    exported = read_exported(file)
    engine = OpenVinoEngine(exported.card, exported.content, exported.digest, bfloat16.SETTINGS)
    worst, _ = measured(exported, engine)
    assert not worst.holds


@needs_bfloat16
def test_bfloat16_far_from_float32_is_refused(file, monkeypatch):
    monkeypatch.setattr(bfloat16, "FARTHEST", 1e-7)
    with pytest.raises(UserError, match="not computed rightly in bf16"):
        load(file, engine="openvino", precision="bf16")


@pytest.mark.parametrize(
    "how,named",
    [
        ({"precision": "bf16"}, "--engine openvino"),
        ({"precision": "fp8", "engine": "openvino"}, "precision is 'fp8'"),
    ],
)
def test_a_precision_that_cannot_be_is_refused(file, how, named):
    with pytest.raises(UserError, match=named):
        load(file, **how)
    with pytest.raises(UserError, match="for exported files"):
        load(file.parent / "run", precision="f32")


def test_results_are_made_while_the_caller_works():
    made = []
    results = in_order(lambda k: made.append(k) or k, range(1000), ahead=50)
    assert next(results) == 0
    deadline = time.monotonic() + 20
    while len(made) < 50 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 50
    assert [*results] == [*range(1, 1000)]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_next_batch_is_decoded_while_the_engine_computes(file, tmp_path, monkeypatch, engine):
    """A batch at a time, and no more than the next one is decoded before that."""
    paths = []
    for k, image in enumerate(images(3 * BATCH)):
        paths.append(tmp_path / f"{k}.png")
        Image.fromarray(image).save(paths[-1])
    read = []
    lock = threading.Lock()
    original = predictor.read_input

    def counted(*arguments, **options):
        with lock:
            read.append(1)
        return original(*arguments, **options)

    monkeypatch.setattr(predictor, "read_input", counted)
    loaded = load(file, engine=engine)
    compute = loaded.engine.logits
    at_start, at_end, sizes = [], [], []

    def slow(batch):
        sizes.append(len(batch))
        at_start.append(len(read))
        deadline = time.monotonic() + 20
        while len(read) < min(3 * BATCH, (len(sizes) + 1) * BATCH - 1) and time.monotonic() < deadline:
            time.sleep(0.01)
        at_end.append(len(read))
        return compute(batch)

    loaded.engine.logits = slow
    assert len([*loaded.stream(paths)]) == 3 * BATCH
    assert sizes == [BATCH] * 3
    assert at_end[0] >= 2 * BATCH - 1
    assert at_end[0] <= 2 * BATCH + 1
    assert at_end[1] >= 3 * BATCH - 1


def test_classes_that_overlap_agree_where_each_does():
    mapping = {
        "values": ["0", "0"],
        "classes": ["a", "b"],
        "void": None,
        "objects": False,
        "multilabel": True,
    }
    exact = np.array([[2.0, 2, -1, -1], [1, -1, -2, 1]]).reshape(2, 2, 2)
    rounded = np.array([[2.0, 2, -1, 1], [-1, -1, -2, 2]]).reshape(
        2, 2, 2
    )  # 2 of 4 pixels have the same classes
    certificate = SimpleNamespace(tests=[0], input=lambda _: np.zeros((2, 2, 3), np.uint8), scale=2.0)
    card = SimpleNamespace(preprocessing=preprocessing(**masks(mapping=mapping)))
    engines = [SimpleNamespace(logits=lambda _, y=y: y[None]) for y in (exact, rounded)]
    _, agreement = bfloat16.compared(SimpleNamespace(certificate=certificate, card=card), *engines)
    assert agreement["value"] == 0.5
