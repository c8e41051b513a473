"""`eyespot explain RUN --layers`: a card for each stage of a network, with what excites its channels."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, nn

from eyespot.anatomy.taps import taps
from eyespot.console import say
from eyespot.data.header import Array
from eyespot.errors import UserError
from eyespot.explanation.colours import coloured, scale_of
from eyespot.explanation.places import named_layer
from eyespot.explanation.score import has_gradients, refuse_ensemble
from eyespot.explanation.top import (
    MOST,
    VALUES,
    Reader,
    Stage,
    chosen_channels,
    collect,
    labels_of,
    layers_to_show,
    left_out,
    run_paths,
    stages_of,
)
from eyespot.explanation.units import (
    crop,
    effective_side,
    has_relu,
    maximise,
    unit_gradient,
    window_of,
)
from eyespot.explanation.write import PAGE, SOFTWARE, free_folder, refuse_taken
from eyespot.files import make_folder, write_file
from eyespot.pages.page import template, whole
from eyespot.pictures import embedded, to_display, write_png
from eyespot.plurals import count
from eyespot.prediction.load import load
from eyespot.prediction.model_file import model_file
from eyespot.prediction.predictor import Predictor

CHANNELS = 8
"""Channels on a card."""
KERNELS = 64
TILE = 56
EXAMPLES = 8
"""Images for the effective receptive field; the first is shown with its feature maps."""


@dataclass(frozen=True)
class Layers:
    """The cards that were written: the folder, and a sentence for each stage."""

    folder: Path
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([*self.lines, f"page  {self.folder / PAGE}"])


def explain_layers(
    run: str | os.PathLike,
    out: Path | None = None,
    *,
    device: str | None = None,
    layer: str | None = None,
    force: bool = False,
    most: int = MOST,
) -> Layers:
    """Write a page with a card per stage of a run's network, from the images of its split.csv.

    layer   only this one
    most    images that are looked at, evenly spread

    Raises UserError for a run without its split.csv, for a layer that does not exist and for files that are in the way.
    """
    predictor = load(run, device=device)
    refuse_ensemble(predictor.engine, "what layers see is shown of one", os.fspath(run))
    if not has_gradients(predictor.engine):
        raise UserError(
            "what layers see needs the network itself, and this predictor computes logits only: give the run folder"
        )
    places = layers_to_show(predictor)
    shown = [named_layer(predictor.network, places, layer)] if layer else stages_of(places)
    omitted = "" if layer else left_out(predictor, places, shown)
    folder = out or free_folder(os.fspath(run))
    names = [place.name.replace(".", "_") for place in shown]
    refuse_taken(folder, names, force)
    paths = run_paths(model_file(run).parent, limit_of(predictor, most))
    reader = Reader(predictor, labels_of(model_file(run).parent))
    examples = readable(reader, paths)
    stages = collect(predictor, shown, paths)
    cards = [card(predictor, reader, stage, examples) for stage in stages]
    make_folder(folder)
    for one, name in zip(cards, names, strict=True):
        write_png(one["sheet"], folder / f"{name}.png", SOFTWARE)
    document = {
        one["name"]: [[vars(top) for top in channel] for channel in s.top]
        for one, s in zip(cards, stages, strict=True)
    }
    write_file(folder / "top.json", json.dumps(document))
    title = f"What the layers of the run {Path(run).resolve().name} see"
    first = kernels(predictor.network)
    body = template("explanation", "layers.html.j2").render(
        cards=cards,
        kernels=first,
        images=len(paths),
        deconv=has_relu(predictor.network),
        omitted=omitted,
    )
    write_file(folder / PAGE, whole(title, body))
    return Layers(folder, (*(one["line"] for one in cards), *filter(None, [omitted])))


def limit_of(predictor: Predictor, most: int) -> int:
    """Images that are looked at, fewer where they are large."""
    side: int = predictor.card.preprocessing["side"]
    return max(64, min(most, VALUES // side**predictor.preprocessing.dim // predictor.preprocessing.channels))


def readable(reader: Reader, paths: Sequence[str]) -> list[Array]:
    """A few images, evenly spread. Raises UserError where none is there any more."""
    chosen = paths[:: max(1, len(paths) // EXAMPLES)][:EXAMPLES]
    arrays = [array for array in map(reader, chosen) if array is not None]
    if not arrays:
        raise UserError(
            f"none of the run's images can be read, such as {paths[0] if paths else 'those of an empty split'}"
        )
    return arrays


def card(predictor: Predictor, reader: Reader, stage: Stage, examples: Sequence[Array]) -> dict[str, Any]:
    """What the page shows of one stage."""
    place = stage.place
    network = predictor.network
    say(f"layer {place.name}: {count(place.channels, 'channel')}")
    inputs = [reader.network_input(array) for array in examples]
    effective = effective_side(network, place, inputs)
    chosen = chosen_channels(stage, CHANNELS)
    made = ideal_images(predictor, stage, chosen)
    channels = [
        channel_pictures(predictor, reader, stage, c, ideal) for c, ideal in zip(chosen, made, strict=True)
    ]
    grid = " x ".join(map(str, place.grid))
    field = (
        "the whole image"
        if place.field == "all"
        else "not known"
        if place.field is None
        else count(int(place.field), "sample")
    )
    looked = (
        "" if effective is None else f"; 95% of what its middle unit looks at lies within {effective:.0f}"
    )
    line = f"{place.name}: {count(place.channels, 'channel')} on {grid} places; sees {field} along an axis{looked}"
    return {
        "name": place.name,
        "line": line,
        "field": field,
        "effective": None if effective is None else f"{effective:.0f}",
        "grid": grid,
        "count": place.channels,
        "dead": int((~np.isfinite(stage.selectivity)).sum()),
        "channels": channels,
        "maps": feature_maps(network, inputs[0], place.name, chosen),
        "example": embedded(picture(examples[0], 112)),
        "sheet": sheet(channels),
    }


def ideal_images(predictor: Predictor, stage: Stage, chosen: Sequence[int]) -> list[Image.Image | None]:
    """The image that excites each channel most, as a picture; None where none was better than noise"""
    if not chosen:
        return []
    network: Any = predictor.network
    dim = predictor.preprocessing.dim
    size = (max(predictor.card.preprocessing["side"], network.smallest),) * dim
    made, better = maximise(network, stage.place, chosen, size)
    return [
        picture(shown_values(x), 3 * TILE + 4) if ok else None for x, ok in zip(made, better, strict=True)
    ]


def shown_values(x: Tensor) -> Array:
    """(C, *S) around zero -> (*S, C) of 8 bits, grey being zero, the largest value of this picture at the end"""
    values = np.moveaxis(x.detach().cpu().numpy(), 0, -1)
    largest = float(np.abs(values).max()) or 1.0
    return (127.5 + 127.5 * values / largest).round().astype(np.uint8)


def channel_pictures(
    predictor: Predictor, reader: Reader, stage: Stage, channel: int, ideal: Image.Image | None
) -> dict[str, Any]:
    """The nine crops of one channel, and the gradients beside them."""
    crops = []
    slopes = []
    for top in stage.top[channel]:
        array = reader(top.path)
        if array is None:
            continue
        x = reader.network_input(array)
        window = window_of(stage.place, top.unit, x.shape[2:])
        slope = unit_gradient(predictor.network, x, stage.place.name, channel, top.unit)
        slopes.append(picture(crop(shown_values(slope), window, 127), TILE))
        scale = [n / m for n, m in zip(array.shape[:-1], x.shape[2:], strict=True)]
        of_array = [
            (round(low * s), max(round(low * s) + 1, round(high * s)))
            for (low, high), s in zip(window, scale, strict=True)
        ]
        outside = float(np.median(array))
        crops.append(picture(crop(array, of_array, outside), TILE))
    classes = sorted({reader.labels[top.path] for top in stage.top[channel] if top.path in reader.labels})
    blank = Image.new("RGB", (3 * TILE + 4, 3 * TILE + 4), "white")
    return {
        "channel": channel,
        "value": f"{stage.top[channel][0].value:.3g}",
        "crops": crops,
        "slopes": slopes,
        "ideal": ideal or blank,
        "made": "made image" if ideal else "none made that excites it",
        "from": ", ".join(classes[:4]) + ", ..." * (len(classes) > 4),
        "src": {
            "crops": embedded(nine(crops)),
            "slopes": embedded(nine(slopes)),
            "ideal": embedded(ideal or blank),
        },
    }


def picture(array: Array, tile: int) -> Image.Image:
    """(*S, C) at tile pixels, small ones with whole pixels"""
    drawn = to_display(array)
    how = Image.Resampling.NEAREST if max(drawn.size) < tile else Image.Resampling.BILINEAR
    return drawn.resize((tile, tile), how)


def nine(pictures: Sequence[Image.Image]) -> Image.Image:
    """Up to nine pictures in a square"""
    page = Image.new("RGB", (3 * TILE + 4, 3 * TILE + 4), "white")
    for k, one in enumerate(pictures[:9]):
        page.paste(one, (k % 3 * (TILE + 2), k // 3 * (TILE + 2)))
    return page


def sheet(channels: Sequence[dict[str, Any]]) -> Image.Image:
    """The card as one picture: a row per channel of its crops, gradients and ideal image"""
    side = 3 * TILE + 4
    page = Image.new("RGB", (3 * side + 24, max(1, len(channels)) * (side + 12)), "white")
    for row, channel in enumerate(channels):
        top = row * (side + 12)
        page.paste(nine(channel["crops"]), (0, top))
        page.paste(nine(channel["slopes"]), (side + 12, top))
        page.paste(channel["ideal"], (2 * side + 24, top))
    return page


def feature_maps(network: nn.Module, x: Tensor, layer: str, chosen: Sequence[int]) -> dict[str, Any]:
    """The chosen channels' outputs for one image, on one scale"""
    with taps(network, [layer]) as record:
        network(x)
    output = record[layer][0].detach().float().cpu().numpy()
    maps = [flat(output[c]) for c in chosen]
    limit = scale_of(maps)
    drawn = [
        Image.fromarray(coloured(m, limit)).resize((TILE * 2, TILE * 2), Image.Resampling.NEAREST)
        for m in maps
    ]
    return {"limit": f"{limit:.3g}", "src": [(c, embedded(p)) for c, p in zip(chosen, drawn, strict=True)]}


def flat(values: Array) -> Array:
    """(*S') -> (H, W): a signal as a band, of a volume the middle slice"""
    if values.ndim == 1:
        return np.repeat(values[None], max(1, len(values) // 4), 0)
    return values[len(values) // 2] if values.ndim == 3 else values


def kernels(network: nn.Module) -> dict[str, Any] | None:
    """The first convolution's kernels, on one scale: of colours as pictures, of one channel as maps"""
    convs = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    named = next(((n, m) for n, m in network.named_modules() if isinstance(m, convs)), None)
    if named is None:
        return None
    name, conv = named
    weight = conv.weight.detach().float().cpu().numpy()[:KERNELS]
    limit = float(np.abs(weight).max()) or 1.0
    if weight.ndim == 5:  # the middle slice
        weight = weight[:, :, weight.shape[2] // 2]
    if weight.ndim == 4 and weight.shape[1] == 3:
        pictures = [(127.5 + 127.5 * np.moveaxis(w, 0, -1) / limit).round().astype(np.uint8) for w in weight]
    elif weight.ndim == 4:
        pictures = [coloured(np.concatenate(list(w[:4]), 1), limit) for w in weight]
    else:  # (channels, samples), channels below each other
        pictures = [coloured(w, limit) for w in weight]
    drawn = [Image.fromarray(p) for p in pictures]
    factor = max(1, 48 // max(drawn[0].size))
    large = [p.resize((p.width * factor, p.height * factor), Image.Resampling.NEAREST) for p in drawn]
    return {
        "name": name,
        "size": " x ".join(map(str, conv.kernel_size)),
        "count": conv.out_channels,
        "zero": int((np.abs(weight).reshape(len(weight), -1).max(1) < 1e-6 * limit).sum()),
        "signal": weight.ndim == 3,
        "limit": f"{limit:.3g}",
        "src": [embedded(p) for p in large],
        "colours": weight.ndim == 4 and weight.shape[1] == 3,
    }
