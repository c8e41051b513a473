"""The exported network in int8: quantised on training images, and measured on validation images before it is written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from eyespot.certificate.certificate import INT8, INT8_TOLERANCE, Certificate, Test, hashes_of, stored
from eyespot.certificate.contents import CERTIFICATE
from eyespot.certificate.exported import Exported
from eyespot.certificate.measure import Difference
from eyespot.certificate.seal import entry
from eyespot.console import say
from eyespot.data.header import Array
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError
from eyespot.onnx_file.build import file_body
from eyespot.onnx_file.calibration import calibration, network_inputs
from eyespot.onnx_file.loss import Loss, images_for
from eyespot.onnx_file.quantised_graph import in_float, quantised, weighted_layers, worst_first
from eyespot.plurals import count
from eyespot.prediction.model_file import make_predictor
from eyespot.prediction.onnx_engine import OnnxEngine
from eyespot.prediction.torch_engine import TorchEngine
from eyespot.prediction.verification import measured, prepared
from eyespot.weights.card import Card

RANKED = 16
"""Inputs on which layers are compared."""
SHARE = 0.5
"""Of the layers that may go back to float; a network that needs more is refused."""


@dataclass(frozen=True)
class Int8:
    """A quantised network that loses no more than it may.

    loss     measured on validation images
    layers   with weights, and those of them that are in float
    images   from which the ranges of the layers were measured
    """

    network: onnx.ModelProto
    loss: Loss
    layers: int
    in_float: tuple[str, ...]
    images: int
    of: str

    def facts(self) -> dict[str, Any]:
        """For the certificate."""
        return asdict(self.loss) | {
            "points_lost": self.loss.points,
            "layers": self.layers,
            "in_float": list(self.in_float),
            "calibrated_on": self.images,
            "images": self.of,
            "sentence": str(self),
        }

    def __str__(self) -> str:
        kept = f"; {len(self.in_float)} of {count(self.layers, 'layer')} in float" if self.in_float else ""
        return f"{self.loss}{kept}"


def int8_network(
    run: Any,
    engine: TorchEngine,
    network: onnx.ModelProto,
    max_loss: float,
    data: str | None,
) -> Int8:
    """A run's network in int8.

    network    the same in float32
    max_loss   points, out of 100, that the main metric may be lower by

    Raises UserError where images are missing, and where more is lost with half of the layers in float.
    """
    card = engine.card

    def predictor(model: onnx.ModelProto) -> Any:
        return make_predictor(card, OnnxEngine(card, file_body(engine, card, model)))

    exact = predictor(network)
    chosen = calibration(run, exact, data)
    images = images_for(exact, chosen.validation, str(data or run))
    inputs = network_inputs(engine, chosen.samples)
    say(f"quantising on {count(len(inputs), 'image')}, {chosen.of}")
    whole = quantised(network, inputs)
    layers = weighted_layers(whole, network)
    loss = images.loss(predictor(whole))
    say(str(loss))
    result = Int8(whole, loss, len(layers), (), len(inputs), chosen.of)
    if loss.points <= max_loss:
        return result
    return _with_float_layers(result, network, inputs, layers, lambda m: images.loss(predictor(m)), max_loss)


def _with_float_layers(
    quantised: Int8,
    network: onnx.ModelProto,
    inputs: Sequence[Array],
    layers: Sequence[str],
    measure: Callable[[onnx.ModelProto], Loss],
    max_loss: float,
) -> Int8:
    """Accuracy control: 1, 2, 4, ... of the layers that matter most go back to float until little enough is lost."""
    say(f"more than {max_loss:g} points: comparing {count(len(layers), 'layer')}, to keep some in float")
    order = worst_first(quantised.network, network, inputs[:RANKED], layers)
    loss = quantised.loss
    for n in _doubling(int(SHARE * len(layers))):
        model = in_float(quantised.network, network, order[:n])
        loss = measure(model)
        say(f"{count(n, 'layer')} in float: {loss}")
        if loss.points <= max_loss:
            return replace(quantised, network=model, loss=loss, in_float=tuple(order[:n]))
    raise UserError(
        f"int8 loses too much, so no file is written: {quantised.loss}; {loss.points:.2f} with half of the layers in float, and --max-loss "
        f"is {max_loss:g}: give more, or export without --int8"
    )


def _doubling(most: int) -> Iterator[int]:
    n = 1
    while n < most:
        yield n
        n *= 2
    if most:
        yield most


def int8_contents(
    run: Any,
    engine: TorchEngine,
    network: onnx.ModelProto,
    certificate: Certificate,
    max_loss: float,
    data: Any,
) -> tuple[bytes, Certificate, Difference]:
    """The file in int8 without its seal, and how far its logits are here from what its whole numbers mean.

    certificate   of the file in float32
    """
    result = int8_network(run, engine, network, max_loss, data)
    card = int8_card(engine.card, result)
    body = file_body(engine, card, result.network)
    certificate = replace(certificate, hashes=hashes_of(body, card))
    certificate = int8_certificate(certificate, card, body, result)
    content = body + entry(CERTIFICATE, certificate.as_json())
    worst, resized = measured(Exported(Path(), content, card, certificate), OnnxEngine(card, content))
    if not (worst.holds and (resized is None or resized.holds)):
        raise UserError(
            f"this processor does not compute int8 as its whole numbers mean (logits are off by {worst.share:.1e} of their scale, "
            f"{certificate.tolerance:g} is allowed), so no file is written: export without --int8"
        )
    return content, certificate, worst


def int8_certificate(certificate: Certificate, card: Card, content: bytes, result: Int8) -> Certificate:
    """Of a file whose network is in int8: its own logits, and what it loses.

    The logits are those of ONNX Runtime with the numbers of the file in float32 arithmetic. No processor rounds or
    cuts those off in its own way, so they are what the file means.
    """
    logits = OnnxEngine(card, content, as_written=True).logits
    prepare = partial(prepared, Preprocessing.from_dict(card.preprocessing))
    tests = []
    scale = 0.0
    for test in certificate.tests:
        of_image = logits(prepare(certificate.input(test))[None])[0]
        step, values = stored(of_image)
        scale = max(scale, float(abs(of_image).max()))
        tests.append(Test(test.seed, test.shape, step, values))
    return replace(
        certificate,
        tests=tuple(tests),
        scale=scale,
        precision=INT8,
        tolerance=INT8_TOLERANCE,
        resized_tolerance=max(INT8_TOLERANCE, certificate.resized_tolerance),
        metrics=card.scores,
        measured_on=str(card.data["metrics"]),
        quantised=result.facts(),
    )


def int8_card(card: Card, result: Int8) -> Card:
    """The card of a file in int8: its scores are those of int8, and of the images on which these were measured."""
    return replace(
        card,
        scores={result.loss.metric: result.loss.after},
        data=card.data | {"metrics": "validation"},
    )
