"""Exported files in int8: what they lose is measured and limited, and a processor that computes them otherwise is noticed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from exported import preprocessing, write_run
from eyespot import UserError, export, load, verify
from eyespot.certificate.certificate import INT8, Certificate
from eyespot.certificate.contents import CERTIFICATE
from eyespot.certificate.exported import read_exported
from eyespot.certificate.seal import LENGTH, entry, seal_of
from eyespot.metrics.intervals import proportion
from eyespot.onnx_file import int8
from eyespot.onnx_file.calibration import calibration, network_inputs
from eyespot.onnx_file.export import _engine
from eyespot.onnx_file.loss import Loss
from eyespot.onnx_file.network_graph import network_graph
from eyespot.onnx_file.quantised_graph import weighted_layers, worst_first


def pictures(n, seed=0):
    """Squares of colours, as the statistics of the card say they are."""
    rng = np.random.default_rng(seed)
    small = np.clip(rng.normal((110, 120, 130), (60, 65, 70), (n, 4, 4, 3)), 0, 255)
    return np.repeat(np.repeat(small, 4, 1), 4, 2).astype(np.uint8)


def with_split(run, n=60):
    """Images that are labelled as the network predicts them, a third of them for validation."""
    predicted = load(run)([*pictures(n)])
    lines = ["path,label,split"]
    for k, (image, p) in enumerate(zip(pictures(n), predicted, strict=True)):
        path = run / "images" / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
        lines.append(f"{path},{p.label},{'val' if k % 3 == 0 else 'train'}")
    (run / "split.csv").write_text("\n".join(lines) + "\n")
    return run


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EYESPOT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    content = preprocessing(tta_flip=True, tta_shift=True)
    return with_split(write_run(folder, "small", content, widths=(8, 16)))


@pytest.fixture(scope="module")
def written(run):
    path = run.parent / "m8.onnx"
    return path, export(run, path, int8=True, max_loss=30)


@pytest.fixture(scope="module")
def quantising(run, written):
    """The network, its inputs, and the quantised one of the file."""
    _, engine = _engine(run)
    inputs = network_inputs(engine, calibration(run, load(run), None).samples)
    network = network_graph(engine.network, engine.side).model
    return network, inputs, int8.quantised(network, inputs)


def test_the_file_says_what_it_loses(written):
    path, result = written
    facts = read_exported(path).certificate.quantised
    assert facts["difference"]["n"] == facts["before"]["n"] == 20
    assert facts["difference"]["low"] <= facts["difference"]["value"] <= facts["difference"]["high"]
    assert facts["calibrated_on"] == 40
    assert facts["before"]["value"] == 1
    assert facts["points_lost"] == pytest.approx(100 * (1 - facts["after"]["value"]))
    assert "in int8" in str(result)
    assert "points lost" in str(result)


def test_it_predicts_nearly_what_the_run_does(run, written):
    images = [*pictures(40, seed=1)]
    equal = [a.label == b.label for a, b in zip(load(run)(images), load(written[0])(images), strict=True)]
    assert np.mean(equal) >= 0.9


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_both_engines_give_what_the_whole_numbers_mean(written, engine):
    result = verify(written[0], engine=engine)
    assert result.holds
    assert result.precision == INT8
    assert result.difference < 0.05
    assert "int8" in str(result)


def test_products_of_two_weights_fit_in_16_bits(written):
    """Else processors without VNNI cut sums off: weights have seven bits."""
    model = onnx.load(written[0])
    weights = [
        numpy_helper.to_array(t)
        for t in model.graph.initializer
        if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1
    ]
    assert weights
    assert max(np.abs(w.astype(int)).max() for w in weights) <= 64


def test_pixels_and_logits_are_not_quantised(written):
    model = onnx.load(written[0])
    made = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert made
    producers = {name: node for node in model.graph.node for name in node.output}
    (logits,) = (n for n in model.graph.node if "logits" in n.output)
    assert producers[logits.input[0]].op_type != "DequantizeLinear"


def saturating(path, out):
    """The file as a processor would compute it that cuts off large sums: its expected logits are others than here."""
    content = path.read_bytes()
    certificate = read_exported(path).certificate
    tests = tuple(
        replace(test, logits=tuple(0.7 * certificate.scale - v for v in test.logits))
        for test in certificate.tests
    )
    before = entry(CERTIFICATE, certificate.as_json())
    changed = content[:-LENGTH].replace(
        before, entry(CERTIFICATE, replace(certificate, tests=tests).as_json())
    )
    out.write_bytes(changed + seal_of(changed))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_processor_that_computes_it_otherwise_is_noticed(written, tmp_path, engine):
    path = tmp_path / "s.onnx"
    saturating(written[0], path)
    assert not verify(path, engine=engine).holds
    with pytest.raises(UserError, match="int8 is computed otherwise"):
        load(path, engine=engine)


def ruined(model, network, which):
    """Layers with weights that are three times too large and of the wrong sign."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    layers = weighted_layers(model, network)[which]
    inputs = {node.name: [*node.input] for node in model.graph.node}
    by_output = {node.output[0]: node for node in model.graph.node}
    tensors = {t.name: t for t in model.graph.initializer}
    for name in layers:
        scale = tensors[by_output[inputs[name][1]].input[1]]
        scale.CopyFrom(numpy_helper.from_array(-3 * numpy_helper.to_array(scale), scale.name))
    return model, layers


def scored(network, inputs):
    """A measure: how often the outputs have the network's class."""
    from eyespot.onnx_file.quantised_graph import _outputs

    def classes(model):
        return np.array([_outputs(model, [x]).argmax() for x in inputs])

    truth = classes(network)

    def measure(model):
        hits = classes(model) == truth
        after = proportion(int(hits.sum()), len(hits))
        difference = {"value": after["value"] - 1, "low": -1.0, "high": 0.0, "n": len(hits)}
        return Loss("accuracy", proportion(len(hits), len(hits)), after, difference, after)

    return measure


def control(model, network, inputs, max_loss):
    measure = scored(network, inputs)
    layers = weighted_layers(model, network)
    start = int8.Int8(model, measure(model), len(layers), (), len(inputs), "images")
    return int8._with_float_layers(start, network, inputs, layers, measure, max_loss)


def test_the_layer_that_loses_most_goes_back_to_float(quantising):
    network, inputs, model = quantising
    damaged, (layer,) = ruined(model, network, slice(-1, None))
    assert scored(network, inputs)(damaged).points > 20
    assert worst_first(damaged, network, inputs, weighted_layers(damaged, network))[0] == layer
    result = control(damaged, network, inputs, 10)
    assert result.in_float == (layer,)
    assert result.loss.points <= 10
    assert "1 of" in str(result)


def test_what_loses_too_much_is_refused_with_the_numbers(quantising):
    network, inputs, model = quantising
    damaged, _ = ruined(model, network, slice(None))
    with pytest.raises(UserError, match=r"int8 loses too much.*points lost.*--max-loss is 0.5"):
        control(damaged, network, inputs, 0.5)


def test_images_that_are_gone_are_named_with_the_option_that_replaces_them(run, tmp_path):
    copy = write_run(tmp_path / "run", "small", preprocessing(), widths=(8, 16))
    with pytest.raises(UserError, match="--calibration DATA"):
        calibration(copy, load(copy), None)
    lines = (run / "split.csv").read_text().replace(str(run), str(tmp_path / "gone"))
    (copy / "split.csv").write_text(lines)
    with pytest.raises(UserError, match="--calibration DATA"):
        calibration(copy, load(copy), None)


def test_a_data_set_replaces_them_and_its_loss_is_on_other_images(run, tmp_path):
    lines = [",".join(line.split(",")[:2]) for line in (run / "split.csv").read_text().splitlines()]
    table = tmp_path / "images.csv"
    table.write_text("\n".join(lines) + "\n")
    chosen = calibration(Path("nowhere"), load(run), str(table))
    assert len(chosen.samples) == len(chosen.validation.samples) == 30
    assert not {s.path for s in chosen.samples} & {s.path for s in chosen.validation.samples}


def test_an_older_certificate_is_read():
    text = Certificate((), (), (), "uint8", 1.0, {}, {}).as_json()
    assert Certificate.from_json(text.replace('"quantised": {}, ', "")).quantised == {}
