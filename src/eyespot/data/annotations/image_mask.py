"""The mask of one image, drawn from the annotation file that lists it."""

from hashlib import sha256
from pathlib import Path

from eyespot.data.annotations.draw import Contents, Drawn, draw, image_shape
from eyespot.data.annotations.fill import area_of
from eyespot.data.annotations.outlines import AnnotatedImage, AnnotationFile, common_end
from eyespot.data.annotations.parse import ENDINGS, KNOWN_TOOLS, annotation_file
from eyespot.data.header import Unreadable, check_size
from eyespot.data.masks.mapping import Mapping
from eyespot.data.sources.samples import PICTURES, Sample


def is_annotation(sample: Sample, mask: Path) -> bool:
    """Whether a mask is an annotation file."""
    return mask.suffix.lower() in ENDINGS and sample.path.suffix.lower() in PICTURES


def contents_of_image(sample: Sample, mask: Path) -> Contents:
    """What the file says of the image's objects. Raises UserError for a file that is wrong, Unreadable if it lists no such image."""
    file, image = _find(sample, mask)
    outlines = image.outlines
    return Contents(
        file.tool,
        frozenset(outline.name for outline in outlines),
        file.ids,
        crowds=sum(outline.crowd for outline in outlines),
        boxes=sum(outline.box for outline in outlines),
        rectangles=sum(outline.rectangle for outline in outlines),
        outlines=sum(not outline.box for outline in outlines),
        flat=image.flat,
        notes=file.notes,
    )


def draw_image(sample: Sample, mask: Path, dim: int, mapping: Mapping) -> Drawn:
    """The mask of a sample. Raises UserError and Unreadable as `contents_of_image` does."""
    if dim != 2:
        raise Unreadable("annotation files are of images, with two axes")
    _, image = _find(sample, mask)
    shape = image.shape or image_shape(sample, dim)
    check_size(shape)
    assert len(shape) == 2
    scale = (shape[1], shape[0]) if image.scaled else (1, 1)
    areas = (
        area_of(outline, shape, scale, outline.box or (outline.crowd and mapping.objects))
        for outline in image.outlines
    )
    return draw(areas, shape, mapping)


def digest_of_image(sample: Sample, mask: Path) -> bytes:
    """Of what the file says of this image, not of the others in it."""
    _, image = _find(sample, mask)
    return sha256(repr((image.shape, image.scaled, list(image.outlines))).encode()).digest()


def _find(sample: Sample, mask: Path) -> tuple[AnnotationFile, AnnotatedImage]:
    file = annotation_file(mask)
    if file is None:
        raise Unreadable(f"it is not an annotation file that is known: {KNOWN_TOOLS}")
    if file.unread:
        raise Unreadable(f"it is {file.tool}, which is not read: export it as COCO")
    if file.one_image and sample.path.stem == mask.stem:
        return file, file.images[0]
    named = file.by_name.get(sample.path.name.lower(), [])
    best = max(named, key=lambda image: common_end(sample.path, image.file), default=None)
    if best is None:
        raise Unreadable(f"{file.tool} that does not list {sample.path.name}")
    return file, best
