"""One file that gives what the run gives, its certificate, and files that were changed."""

import json
import random

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from exported import masks, preprocessing, write_run
from eyespot import UserError, export, load, verify
from eyespot.certificate.exported import read_exported
from eyespot.export import build


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


def test_no_file_is_written_without_parity(run, tmp_path, monkeypatch):
    """A fault of the exporter: one weight of the graph differs from the network's."""
    network_graph = build.network_graph

    def faulty(*arguments):
        model = network_graph(*arguments)
        tensor = max(model.graph.initializer, key=lambda t: numpy_helper.to_array(t).size)
        values = numpy_helper.to_array(tensor).copy()
        values.flat[0] += 0.5
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return model

    monkeypatch.setattr(build, "network_graph", faulty)
    path = tmp_path / "m.onnx"
    with pytest.raises(UserError, match="other logits than torch"):
        export(run, path)
    assert not path.exists()
