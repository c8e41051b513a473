"""`eyespot.export`: a run as one .onnx file, written only if it gives what torch gives."""

import os
import time
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyespot.certificate.certificate import Certificate, hashes_of
from eyespot.certificate.contents import CERTIFICATE
from eyespot.certificate.exported import SUFFIX, Exported, is_exported
from eyespot.certificate.measure import Difference
from eyespot.certificate.seal import entry, seal_of
from eyespot.console import say
from eyespot.errors import UserError
from eyespot.files import refuse_existing, write_file
from eyespot.notebook import html
from eyespot.plurals import count
from eyespot.prediction.load_torch import load_network
from eyespot.prediction.torch_engine import TorchEngine
from eyespot.prediction.verification import measured
from eyespot.tasks.registry import task_of_card
from eyespot.weights.card import Card, without_folders
from eyespot.weights.ensemble_file import fold_folder, is_ensemble, read_ensemble
from eyespot.weights.hub import local, repository_name
from eyespot.wrapping import quoted

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from eyespot.onnx_file.network_graph import NetworkGraph

MOST_BYTES = 2**31 - 2**24
"""Of weights: protobuf, in which ONNX files are written, has at most 2**31 bytes in a file, and the graph needs some."""
MAX_LOSS = 1.0
"""Points, out of 100."""
NO_NNCF = "nncf is needed for --int8, and is not installed: pip install 'eyespot[int8]'"
MISSING = "{} is needed to export, and is not installed: pip install 'eyespot[export]'"


@dataclass(frozen=True)
class Export:
    """A file that was written. Shows itself.

    difference   the largest of the logits from torch's, as a share of their scale
    seconds      that it took
    int8         what is lost by it, in a sentence
    """

    path: Path
    bytes: int
    difference: float
    tests: int
    seconds: float
    int8: str = ""

    def __str__(self) -> str:
        return (
            f"{self.path}  {self.bytes / 1e6:.1f} MB, {self.tests} test images, at most {self.difference:.1e} of the logits' "
            f"scale from {'its exact whole numbers' if self.int8 else 'torch'}"
            + f"\n{self.int8}"
            * bool(self.int8)
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"path": str(self.path)}

    def _repr_html_(self) -> str:
        return html.result(html.lines(str(self).splitlines()))


def export(
    run: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    int8: bool = False,
    max_loss: float = MAX_LOSS,
    calibration: str | os.PathLike | None = None,
    force: bool = False,
) -> Export:
    """Write a run as one .onnx file, from decoded pixels to probabilities, with its certificate.

    run     a run folder or the model file in it; of a cross-validation, the folder of one fold
    out     the file; RUN.onnx beside the run folder if not given, and of hub:owner/name, NAME.onnx in the current folder
    int8    with the network in 8-bit whole numbers, calibrated on training images and measured on validation images
    max_loss      points, out of 100, that accuracy or mean IoU may lose by int8; layers stay in float where it would be more
    calibration   a data set in place of the run's own images for int8

    Raises UserError where the file does not give what torch gives, or where int8 loses more: then none is written.
    """
    start = time.monotonic()
    _need(int8)
    path = _out(run, out)
    refuse_existing(path, force)
    card, engine = _engine(run)
    refuse_large(engine.network, card.preset)
    say(f"exporting {card.preset}: about half a minute for a network like ResNet-18, minutes for large ones")
    from eyespot.onnx_file.network_graph import network_graph

    graph = network_graph(engine.network, engine.side)
    content, certificate = contents(card, engine, graph.model)
    worst = check(content, certificate, graph, card)
    if int8:
        from eyespot.onnx_file.int8 import int8_contents

        content, certificate, worst = int8_contents(
            run, engine, graph.model, certificate, max_loss, calibration
        )
    write_file(path, content + seal_of(content))
    loss = certificate.quantised.get("sentence", "")
    return Export(path, len(content), worst.share, len(certificate.tests), time.monotonic() - start, loss)


def refuse_large(network: "nn.Module", name: str) -> None:
    """Raises UserError for weights that one file cannot hold."""
    size = sum(4 * values.numel() for values in network.state_dict().values())
    if size > MOST_BYTES:
        raise UserError(
            f"{name} has {size / 1e9:.1f} GB of weights, and an ONNX file holds at most {MOST_BYTES / 1e9:.1f} GB: train a "
            "smaller network (--model)"
        )


def _need(int8: bool) -> None:
    if int8 and find_spec("nncf") is None:  # its import takes seconds
        raise UserError(NO_NNCF)
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(name)
        except ImportError as error:
            raise UserError(MISSING.format(name)) from error


def _out(run: str | os.PathLike, out: str | os.PathLike | None) -> Path:
    path = local(run)
    if is_exported(path):
        raise UserError(f"{run} is exported already: give the folder of a run")
    if is_ensemble(run):
        _, folds = read_ensemble(run)
        raise UserError(
            f"{run} is a cross-validation of {count(len(folds), 'network')}, and a file holds one: export any fold (the best score is "
            f"mostly luck), as in eyespot export {quoted(fold_folder(path, folds[0]))}"
        )
    if out is None:
        if repository := repository_name(run):
            return Path(repository + SUFFIX)
        folder = path.resolve()
        folder = folder if folder.is_dir() else folder.parent
        return folder.with_name(folder.name + SUFFIX)
    if not is_exported(out):
        raise UserError(f"{out} does not end with {SUFFIX}: give a name that does")
    if not Path(out).parent.is_dir():
        raise UserError(
            f"the folder {Path(out).parent} does not exist: make it, or name another file with --out"
        )
    return Path(out)


def _engine(run: str | os.PathLike) -> tuple[Card, TorchEngine]:
    """The card, and an engine in float32 on the processor."""
    card, network = load_network(run)
    card = without_folders(card)
    engine = TorchEngine(card, network, of_positions=task_of_card(card).output.of_positions)
    engine.precision = "float32"
    if engine.of_positions and not card.network_facts:
        card = replace(card, network_facts=engine.facts.as_dict())
        engine.card = card
    return card, engine


def contents(card: Card, engine: TorchEngine, network: "onnx.ModelProto") -> tuple[bytes, Certificate]:
    """The file without its seal."""
    from eyespot.onnx_file.build import file_body
    from eyespot.onnx_file.certify import certify

    body = file_body(engine, card, network)
    certificate = certify(engine, card, hashes_of(body, card))
    return body + entry(CERTIFICATE, certificate.as_json()), certificate


def check(content: bytes, certificate: Certificate, graph: "NetworkGraph", card: Card) -> Difference:
    """Raises UserError where ONNX Runtime does not give what torch gives."""
    from eyespot.onnx_file.diverging import first_diverging
    from eyespot.prediction.onnx_engine import OnnxEngine

    exported = Exported(Path(), content, card, certificate)
    worst, resized = measured(exported, OnnxEngine(card, content))
    for result, allowed in ((worst, certificate.tolerance), (resized, certificate.resized_tolerance)):
        if result is not None and not result.holds:
            raise UserError(
                f"the exported network gives other logits than torch (by {result.share:.1e} of their scale, {allowed:g} is allowed), "
                f"so no file is written: {first_diverging(graph)}"
            )
    return worst
