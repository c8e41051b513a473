"""What `predict` takes in Python: what the command line takes, and images, arrays and tensors in memory."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from eyespot.data.header import WORD
from eyespot.data.preprocess.preprocessing import Preprocessing
from eyespot.errors import UserError
from eyespot.plurals import count
from eyespot.prediction.inputs import expand, is_in_memory
from eyespot.warned import warn_user

FEW = 4
"""Values along an axis, up to which they may be channels: grey and alpha, colours, colours and alpha."""


def each_image(images: Any, preprocessing: Preprocessing, *, leave_out_masks: bool = False) -> Iterator[Any]:
    """Paths and images one by one, in order: folders, patterns and built-in sets as their files, batches as their images.

    images            see `Predictor`; an iterator is consumed only as far as its images are asked for
    leave_out_masks   of folders, whether masks beside images are no images to predict

    Raises UserError for what is none of these, and for an array that could be one image or several.
    """
    for is_named, items in groupby(_items(images), key=_is_path):
        if is_named:
            names = map(os.fspath, items)
            yield from expand(names, (), preprocessing.dim, leave_out_masks, preprocessing.channel_files)
        else:
            for item in items:
                yield from _images_of(item, preprocessing)


def check_read(predictions: Sequence[Any], images: Any) -> None:
    """Warn of images that could not be read. Raises UserError where that is all of them, or where there was no image."""
    unread = [p for p in predictions if p.error is not None]
    if not predictions:
        if _is_path(images):
            raise UserError(f"{images} holds no file that can be read")
        return
    if not unread:
        return
    first = f"{unread[0].path} cannot be read: {unread[0].error}"
    if len(unread) < len(predictions):
        text = f"{len(unread):,} of {count(len(predictions), 'image')} cannot be read and have an error in place of a prediction"
        warn_user(f"{text}; the first: {first}")
    elif len(unread) == 1:
        raise UserError(first)
    else:
        raise UserError(f"none of the {count(len(unread), 'image')} can be read; the first: {first}")


def _is_path(item: Any) -> bool:
    return isinstance(item, str | os.PathLike)


def _items(images: Any) -> Iterator[Any]:
    """What a collection holds; one image or path as it is."""
    if _is_path(images):
        return iter([images])
    if is_in_memory(images):
        return iter(_objects(images) or [images])
    if isinstance(images, Mapping | bytes) or not isinstance(images, Iterable):
        raise UserError(
            f"predict takes paths, images, arrays and collections of them, and this is of type {type(images).__name__}"
        )
    return iter(images)


def _objects(images: Any) -> list[Any]:
    """The names or images in an array of these, such as a column of a table; empty for an array of numbers."""
    if not hasattr(images, "__array__") or hasattr(images, "detach") or hasattr(images, "affine"):
        return []
    array = np.asarray(images)
    return array.ravel().tolist() if array.dtype.kind in "UO" else []


def _images_of(item: Any, preprocessing: Preprocessing) -> Iterator[Any]:
    """An image in memory, or those of a batch."""
    if not is_in_memory(item):
        kind = type(item).__name__
        raise UserError(
            f"predict takes paths, images and arrays, and one of these is of type {kind}: of pairs give the images only, as in "
            "(images for images, labels in loader); turn numbers into an array"
        )
    if hasattr(item, "shape") and not hasattr(item, "affine") and _is_batch(tuple(item.shape), preprocessing):
        yield from item
    else:
        yield item


def _is_batch(shape: tuple[int, ...], preprocessing: Preprocessing) -> bool:
    """Whether an array has several images. Raises UserError where it could be one with channels or several of one channel."""
    dim = preprocessing.dim
    if len(shape) != dim + 1:
        return len(shape) == dim + 2
    first = shape[0]
    last = shape[-1]
    takes_grey = 1 in preprocessing.accepts or (dim == 2 and preprocessing.accepts == (3,))
    if not takes_grey or {first, last} & {0, 1, *preprocessing.accepts}:
        return False
    if first > FEW and first < last:  # the model takes no such channels
        return True
    as_several = _longer_by(shape[1:])
    as_one = _longer_by(shape[:-1])
    if first > last and as_several != as_one:
        return as_several < as_one and last > FEW
    word = WORD[dim]
    raise UserError(
        f"an array of shape {shape} is one {word} of {min(first, last)} channels, or {first} {word}s of one channel: give [array] "
        "for one, or array[:, None] for several"
    )


def _longer_by(axes: tuple[int, ...]) -> float:
    """How many times longer the longest axis is than the shortest: little, for an image."""
    return max(axes) / min(axes)
