"""Whether a data set shows photographs, which weights learned from other photographs are good for."""

import re

import numpy as np

from eyespot.config import Config
from eyespot.data.guesses import Guess
from eyespot.data.store import Store
from eyespot.data.surveys.survey import Survey
from eyespot.weights.published import DIGESTS

LEAST_SIDE = 64
"""Pixels of the longer side, of the files and as trained, up to which images are taken for icons."""
MOST_IMAGES = 100_000
"""From more, a network learns the same from nothing. Not measured."""
SAMPLE = 200
"""Images whose values are looked at."""
COLOUR = 5.0
"""Mean difference between the largest and the smallest channel of a pixel, from which an image is in colour."""
FLAT = 0.5
"""The share of pixels equal to their neighbour, from which an image is a drawing, a chart or a screen."""
IMAGENET_NAME = re.compile(r"(n\d{8}|ILSVRC20\d\d)(?!\d)")
IMAGENET_SHARE = 0.05
"""The share of files with such names, from which a data set is taken to be drawn from ImageNet."""


def about_photographs(survey: Survey, options: Config) -> list[Guess]:
    """The guess that images are photographs, where that decides how training starts."""
    if is_decided(options) or not_photographs(survey):
        return []
    sides = np.median([header.shape for header in survey.headers], axis=0).astype(int)
    value = "photographs, trained from published weights if these can be had"
    reason = f"they are 8-bit colour of about {sides[1]}x{sides[0]}, not flat"
    return [Guess("content", value, reason, "--start-from none")]


def is_decided(options: Config) -> str:
    """What the user gave that decides how training starts, in a few words."""
    if options.start_from is not None:
        return "as you asked"
    if options.recipe is not None:
        return "a recipe was given: published weights have one of their own"
    if options.model is not None and options.model not in DIGESTS:
        return f"no weights are published for {options.model}"
    return ""


def not_photographs(survey: Survey) -> str:
    """Why images are not taken for photographs that published weights are good for; nothing if they are."""
    preprocessing = survey.preprocessing
    if preprocessing.dim != 2 or preprocessing.channels != 3 or preprocessing.depth != "uint8":
        return f"published weights are for photographs of 8 bits in colour, and these {survey.word}s are not"
    side = min(int(np.median([max(header.shape) for header in survey.headers] or [0])), preprocessing.size)
    if side <= LEAST_SIDE:
        return f"images of {side} pixels are too small for published weights"
    if len(survey.labels) > MOST_IMAGES:
        return f"{len(survey.labels):,} images are enough to learn from nothing"
    if example := imagenet_name(survey):
        return f"{example} is a name of ImageNet: published weights have seen such images, and scores would be too good"
    return _unnatural(survey.images.pixels)


def _unnatural(pixels: Store) -> str:
    """Why the values are not a photograph's. The middle of each image is looked at, since the edges may be padded."""
    rows = np.unique(np.linspace(0, len(pixels) - 1, SAMPLE).astype(int))
    values = pixels[rows].astype(np.int16)
    side = values.shape[1]
    middle = slice(side // 4, side - side // 4)
    values = values[:, middle, middle]
    colour = np.ptp(values, axis=3).mean((1, 2))
    if np.median(colour) < COLOUR:
        return "most images are grey, and published weights are for colour photographs"
    flat = (np.diff(values, axis=2) == 0).all(3).mean((1, 2))
    if np.median(flat) > FLAT:
        return "most images have large flat areas, as drawings and charts do: published weights are for photographs"
    return ""


def imagenet_name(survey: Survey) -> str:
    """A file's or folder's name that ImageNet gave, where there are many; else nothing."""
    samples = [survey.source.samples[int(i)] for i in survey.images.rows]
    names = [
        next(filter(IMAGENET_NAME.match, (s.path.name, s.path.parent.name, str(s.label))), "")
        for s in samples
    ]
    known = [name for name in names if name]
    return known[0] if known and len(known) >= IMAGENET_SHARE * len(names) else ""
