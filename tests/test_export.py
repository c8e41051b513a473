"""One file that gives what the run gives, its certificate, and files that were changed."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from conftest import one_sentence
from exported import masks, preprocessing, write_run
from eyespot import UserError, explain, export, inspect, load, verify
from eyespot.certificate.exported import read_exported
from eyespot.certificate.seal import LENGTH, seal_of
from eyespot.onnx_file import diverging, input_nodes, network_graph
from eyespot.onnx_file.adaptive_pooling import MatrixPool, replace_adaptive_pools
from eyespot.prediction import verification
from eyespot.prediction.openvino_engine import OpenVinoEngine
from eyespot.weights.card import read_card
from eyespot.weights.ensemble_file import write_ensemble


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(
        tmp_path_factory.mktemp("runs") / "run", "small", preprocessing(accepts=[3]), widths=(8, 16)
    )


@pytest.fixture(scope="module")
def file(run):
    path = run.parent / "m.onnx"
    export(run, path)
    return path


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    content = preprocessing(channels=1, **masks())
    return write_run(
        tmp_path_factory.mktemp("masks") / "run", "unet_narrow", content, ("background", "object")
    )


@pytest.fixture(scope="module")
def cells_file(cells):
    path = cells.parent / "c.onnx"
    export(cells, path)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EYESPOT_CACHE", str(tmp_path / "cache"))


def images(n, *shapes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shapes[i % len(shapes)]).astype(np.uint8) for i in range(n)]


@pytest.mark.filterwarnings("ignore:.*its channel is repeated")
def test_the_file_predicts_what_the_run_predicts(run, file):
    pictures = images(12, (16, 16, 3), (40, 23, 3), (9, 15, 3), (150, 90, 3), (16, 40))
    for a, b in zip(load(run)(pictures), load(file)(pictures), strict=True):
        assert a.label == b.label
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)


def test_masks_are_equal_at_every_size(cells, cells_file):
    pictures = images(8, (64, 64), (80, 64), (64, 112), (37, 51), (5, 90))
    for a, b in zip(load(cells)(pictures), load(cells_file)(pictures), strict=True):
        assert (a.labels == b.labels).all()


def test_the_certificate_holds(file, cells_file):
    for path in (file, cells_file):
        result = verify(path)
        assert result.holds
        assert result.difference < 1e-5
        assert result.agree == result.tests == 16
        assert "the certificate holds" in str(result)
        json.dumps(result.as_dict())


def weight_changed(path, out):
    model = onnx.load(path)
    tensor = max(model.graph.initializer, key=lambda t: numpy_helper.to_array(t).size)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[values.size // 2] += 1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, out)


def class_changed(path, out):
    content = path.read_bytes()
    out.write_bytes(content.replace(b'"cat"', b'"cow"'))


def saved_again(path, out):
    model = onnx.load(path)
    model.doc_string = "a remark"
    onnx.save(model, out)


@pytest.mark.parametrize(
    "change,named",
    [(weight_changed, "other weights"), (class_changed, "other classes"), (saved_again, "saved again")],
)
def test_a_changed_file_is_refused_and_says_what_differs(file, tmp_path, change, named):
    path = tmp_path / "t.onnx"
    change(file, path)
    for use in (load, verify):
        with pytest.raises(UserError, match=named):
            use(path)


def test_every_flipped_bit_is_noticed(file, tmp_path):
    content = file.read_bytes()
    path = tmp_path / "t.onnx"
    chosen = random.Random(0)
    places = [*range(len(content) - 90, len(content)), *(chosen.randrange(len(content)) for _ in range(910))]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << chosen.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(UserError):
            read_exported(path)


def test_a_file_of_another_program_is_refused(tmp_path, file):
    model = onnx.load(file)
    del model.metadata_props[:]
    path = tmp_path / "other.onnx"
    onnx.save(model, path)
    with pytest.raises(UserError, match="not exported by eyespot"):
        load(path)
    path.write_bytes(b"\x00\x01 no protobuf")
    with pytest.raises(UserError, match=r"damaged or not an \.onnx file"):
        load(path)


@pytest.mark.parametrize("key", ["eyespot.card", "eyespot.certificate"])
def test_a_sealed_file_that_lacks_something_is_refused(tmp_path, file, key):
    model = onnx.load(file)
    kept = [entry for entry in model.metadata_props if entry.key not in (key, "eyespot.seal")]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    content = model.SerializeToString()
    path = tmp_path / "t.onnx"
    path.write_bytes(content + seal_of(content))
    with pytest.raises(UserError, match=f"has no {key}"):
        load(path)


def test_a_file_that_was_changed_and_sealed_anew_is_refused(tmp_path, file):
    content = file.read_bytes()[:-LENGTH].replace(b'"cat", "dog"', b'"dog", "cat"')
    path = tmp_path / "t.onnx"
    path.write_bytes(content + seal_of(content))
    for use in (load, verify):
        with pytest.raises(UserError, match="other classes than those certified"):
            use(path)


def test_an_empty_file_and_a_folder_say_what_they_are(tmp_path):
    path = tmp_path / "empty.onnx"
    path.write_bytes(b"")
    with pytest.raises(UserError, match="is empty"):
        load(path)
    folder = tmp_path / "folder.onnx"
    folder.mkdir()
    with pytest.raises(UserError, match="is a folder"):
        load(folder)


def with_fault(monkeypatch, fault):
    """What export does where torch's exporter has a fault."""
    exporter = network_graph.network_graph

    def faulty(*arguments):
        graph = exporter(*arguments)
        fault(graph.model)
        return graph

    monkeypatch.setattr(network_graph, "network_graph", faulty)


def another_weight(model):
    tensor = next(t for t in model.graph.initializer if t.name.startswith("blocks.1.conv1.weight"))
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] += 0.5
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def bfloat16_inside(model):
    """The last product's input is rounded to bfloat16, and named float32."""
    node = model.graph.node[-1]
    casts = [
        onnx.helper.make_node("Cast", [node.input[0]], ["half"], to=onnx.TensorProto.BFLOAT16),
        onnx.helper.make_node("Cast", ["half"], ["rounded"], to=onnx.TensorProto.FLOAT),
    ]
    node.input[0] = "rounded"
    nodes = [*model.graph.node[:-1], *casts, node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@pytest.mark.parametrize(
    "fault,named", [(another_weight, "first node that differs is"), (bfloat16_inside, "network")]
)
def test_no_file_is_written_without_parity(run, tmp_path, monkeypatch, fault, named):
    with_fault(monkeypatch, fault)
    if fault is bfloat16_inside:  # comparing each node takes half a minute
        monkeypatch.setattr(diverging, "_differences", lambda graph: [])
    path = tmp_path / "m.onnx"
    with pytest.raises(UserError, match=f"other logits than torch.*no file is written.*{named}") as error:
        export(run, path)
    assert not path.exists()
    if fault is another_weight:
        assert "conv" in str(error.value)


def test_no_node_of_a_file_resizes(file):
    assert "Resize" not in {node.op_type for node in onnx.load(file).graph.node}


def test_a_resize_node_would_be_noticed(run, tmp_path, monkeypatch):
    """Linear, with antialias, as ONNX has it: engines differ about what lies outside, and some ignore the filter."""

    def resized(nodes, x, axes):
        sizes = nodes.shape(*(nodes.cast(axis.covered, "int64") for axis in axes))
        whole = nodes(
            "Concat", nodes("Slice", nodes("Shape", x), np.array([0]), np.array([2])), sizes, axis=0
        )
        return nodes("Round", nodes("Resize", x, "", "", whole, mode="linear", antialias=1))

    monkeypatch.setattr(input_nodes, "resized_bytes", resized)
    monkeypatch.setattr(diverging, "_differences", lambda graph: [])
    path = tmp_path / "m.onnx"
    with pytest.raises(UserError, match="before it or after it"):
        export(run, path)
    assert not path.exists()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_give_what_torch_gives_in_float32(run, file, cells, cells_file, engine):
    for folder, path in ((run, file), (cells, cells_file)):
        assert verify(path, engine=engine).holds
        mine = load(path, engine=engine)
        shape = (3, 16, 16, 3) if folder == run else (1, 48, 64, 1)
        batch = images(1, shape)[0]
        expected = load(folder).logits(batch)
        assert np.abs(mine.logits(batch) - expected).max() < 1e-5 * np.abs(expected).max()
        assert mine.engine.precision == "float32"


def test_bfloat16_where_float32_was_promised_is_noticed(file, monkeypatch):
    """OpenVINO takes bfloat16 by itself where the processor has it; here it is asked for, rounded in software else."""
    logits = OpenVinoEngine.logits
    monkeypatch.setattr(
        OpenVinoEngine,
        "logits",
        lambda self, batch: torch.from_numpy(logits(self, batch)).bfloat16().float().numpy(),
    )
    assert not verify(file, engine="openvino").holds
    with pytest.raises(UserError, match="does not give on this machine what it gave"):
        load(file, engine="openvino")


def test_a_check_is_made_once_on_a_machine(file, monkeypatch):
    load(file)
    monkeypatch.setattr(verification, "measured", lambda *_, **__: pytest.fail("checked again"))
    load(file)
    monkeypatch.setattr("PIL.__version__", "99.0")  # which may resize otherwise
    with pytest.raises(pytest.fail.Exception, match="checked again"):
        load(file)


def test_engines_are_named(run, file, monkeypatch):
    with pytest.raises(UserError, match="openvino"):
        load(file, engine="openvin")
    with pytest.raises(UserError, match="give the run folder"):
        load(file, engine="torch")
    with pytest.raises(UserError, match="eyespot export"):
        load(run, engine="onnxruntime")
    with pytest.raises(UserError, match="leave out --device"):
        load(file, device="cuda")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'eyespot\[predict\]'"):
        load(file)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match=r"pip install 'eyespot\[fast\]'"):
        load(file, engine="openvino")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"pip install 'eyespot\[export\]'"):
        export(run, run.parent / "n.onnx")


def test_an_exported_file_needs_neither_torch_nor_onnx(file, cells_file):
    code = (
        "import sys, numpy as np, eyespot\n"
        "image = np.arange(40 * 30 * int(sys.argv[2])).reshape(40, 30, -1).astype('uint8')\n"
        "eyespot.load(sys.argv[1])(image)\n"
        "print(*sys.modules)"
    )
    for path, channels in ((file, "3"), (cells_file, "1")):
        done = subprocess.run(
            [sys.executable, "-c", code, path, channels], capture_output=True, text=True, check=True
        )
        assert not {"torch", "onnx", "onnxscript", "sklearn", "matplotlib"} & set(done.stdout.split())


def test_nothing_is_sent_or_kept_by_the_engine(file, tmp_path):
    code = "import sys, eyespot; eyespot.load(sys.argv[1])"
    places = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "EYESPOT_CACHE")}
    known = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code, file], env=known | places, check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["verified"]


def test_what_needs_the_network_says_so(file):
    image = images(1, (16, 16, 3))[0]
    explained = explain(file, image, method="occlusion", check=False)
    assert explained.map.shape == (16, 16)
    with pytest.raises(UserError, match="use occlusion or rise"):
        explain(file, image)
    with pytest.raises(UserError, match="give the run folder"):
        inspect(file)


def test_names_of_files(run, file, tmp_path):
    with pytest.raises(UserError, match=r"does not end with \.onnx"):
        export(run, tmp_path / "m.bin")
    with pytest.raises(UserError, match="exported already"):
        export(file)
    with pytest.raises(UserError, match="--force"):
        export(run, file)
    with pytest.raises(UserError, match="none does not exist: make it"):
        export(run, tmp_path / "none" / "m.onnx")
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "none.onnx")
    with pytest.raises(UserError, match=r"no \.onnx file"):
        verify(run)


@pytest.mark.parametrize("kind", ["classes", "masks"])
def test_a_result_that_is_not_finite_is_no_prediction(tmp_path, cli, kind):
    dtype: dict[str, Any] = dict(depth="float32", stored=["float32"], mean=[0.5], std=[0.2])
    names = ("background", "object") if kind == "masks" else ("cat", "dog")
    content = preprocessing(channels=1, **(masks() if kind == "masks" else {}), **dtype)
    run = write_run(tmp_path / "run", "unet_narrow" if kind == "masks" else "small", content, names)
    usual = np.random.default_rng(0).random((16, 16), np.float32)
    far = usual.copy()
    far[::2] = 1e38
    far[1::2] = -1e38
    for name, values in (("far", far), ("usual", usual)):
        np.save(tmp_path / f"{name}.npy", values)
    with pytest.warns(UserWarning, match="far from those trained on"):
        first, second = load(run, device="cpu")([tmp_path / "far.npy", tmp_path / "usual.npy"])
    assert "not finite" in first.error and first.picture is None
    assert second.error is None and second.picture is not None
    result = cli(
        "predict", run, tmp_path / "far.npy", "--out", tmp_path / ("o" if kind == "masks" else "o.csv")
    )
    assert result.code != 0 and "result is not finite" in result.err and "overflow" not in result.err
    assert not list(tmp_path.glob("o/*")) and not (tmp_path / "o.csv").exists()


def test_a_cross_validation_says_which_folds_can_be_exported(run, tmp_path):
    folder = tmp_path / "five folds"
    (folder / "fold-2").mkdir(parents=True)
    shutil.copy(run / "model.safetensors", folder / "fold-2")
    write_ensemble(folder, read_card(run / "model.safetensors"), [2, 4])  # the first is not there
    command = re.escape(f"eyespot export '{folder}/fold-2'")
    with pytest.raises(UserError, match=f"cross-validation of 2 networks, .* {command}$"):
        export(folder)


def test_the_name_of_the_file_is_the_whole_name_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("eyespot.onnx_file.export.refuse_existing", lambda path, force: stop(path))
    with pytest.raises(LookupError, match=r"photos\.v2\.onnx$"):
        export(tmp_path / "photos.v2" / "model.safetensors")


def stop(path):
    raise LookupError(str(path))


def test_an_engine_that_cannot_read_the_file_says_so(file, monkeypatch):
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail

    def refused(*_, **__):
        raise Fail("Unsupported model IR version: 13")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refused)
    with pytest.raises(UserError, match=r"IR version: 13\): update onnxruntime"):
        load(file)


@pytest.mark.parametrize("size", [1, 3, (7, 2, None)])
def test_adaptive_pooling_of_volumes_is_a_product_of_matrices(size):
    x = torch.randn(2, 3, 10, 2, 9, generator=torch.Generator().manual_seed(0))
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool3d(size))
    want = network(x)
    replace_adaptive_pools(network)
    assert isinstance(network[0], MatrixPool)
    assert torch.allclose(network(x), want, atol=1e-6)


def test_weights_that_no_onnx_file_can_hold_are_refused(run, cli, monkeypatch):
    monkeypatch.setattr("eyespot.onnx_file.export.MOST_BYTES", 1000)
    assert "an ONNX file holds at most" in one_sentence(cli("export", run))
