"""Plain JPEGs are read without Pillow, and as Pillow reads them: pixels, facts and refusals."""

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from eyespot.data.formats.image import decode_image, image_header
from eyespot.data.formats.jpeg import CUT, _same_library
from eyespot.data.formats.read import decode, read_header
from eyespot.data.header import Unreadable

RNG = np.random.default_rng(0)
SMOOTH = np.asarray(Image.fromarray(RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((75, 61)))
TURNED = Image.Exif()
TURNED[0x0112] = 6
PLAIN = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "grey": {"mode": "L"},
    "poor": {"quality": 3},
    "restarts": {"restart_marker_blocks": 3},
    "comment": {"comment": b"by hand", "optimize": True},
    "profile": {"icc_profile": bytes(200)},
}
OTHER = {
    "progressive": {"progressive": True},
    "exif": {"exif": TURNED},
    "CMYK": {"mode": "CMYK"},
    "RGB": {"keep_rgb": True},
}


def jpeg(mode: str = "RGB", **settings) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).convert(mode).save(buffer, "JPEG", **settings)
    return buffer.getvalue()


def outcome(work):
    try:
        return work()
    except Unreadable as reason:
        return str(reason)
    except Exception as error:  # as `decode` words what Pillow raises
        return f"it is damaged or cut short ({' '.join(str(error).split())})"


def check_as_pillow(content: bytes, size: int | None = None) -> None:
    digest = outcome(lambda: read_header(content).digest)
    assert outcome(lambda: read_header(content)) == outcome(lambda: image_header(content, digest))
    got, wanted = (outcome(lambda d=d: d(content, size=size).array) for d in (decode, decode_image))
    if isinstance(got, str) and got == CUT:  # which Pillow does not notice
        return
    assert type(got) is type(wanted)
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("kind", [*PLAIN, *OTHER])
def test_each_kind_is_read_as_pillow_reads_it(kind, monkeypatch):
    used = []
    fast = imagecodecs.jpeg8_decode
    monkeypatch.setattr(imagecodecs, "jpeg8_decode", lambda content: used.append(1) or fast(content))
    for size in (None, 16, 8):  # at 8, Pillow decodes at half the size
        check_as_pillow(jpeg(**(PLAIN | OTHER)[kind]), size)
    assert len(used) == (2 if kind in PLAIN and _same_library() else 0)


@pytest.mark.parametrize("kind", ["4:2:0", "grey", "restarts", "progressive"])
def test_a_file_cut_anywhere_is_refused_as_pillow_refuses_it(kind):
    content = jpeg(**(PLAIN | OTHER)[kind])
    for end in {*range(3, len(content), 23), *range(len(content) - 4, len(content))}:
        check_as_pillow(content[:end])
        check_as_pillow(content[:end] + b"\xff\xd9")


def test_damage_is_told_as_pillow_tells_it():
    for content in (jpeg(), jpeg(restart_marker_blocks=2), jpeg(comment=b"x", icc_profile=bytes(99))):
        for _ in range(150):
            damaged = bytearray(content)
            for at in RNG.integers(3, len(content), 3):
                damaged[at] = RNG.integers(0, 256)
            check_as_pillow(bytes(damaged))


def test_headers_that_lie_are_told_as_pillow_tells_them():
    content = jpeg()
    frame, middle = content.index(b"\xff\xc0"), len(content) - 99
    for at, value in ((4, 12), (5, 255), (6, 0), (8, 0), (9, 1), (9, 4), (11, 0x12), (11, 0x41)):
        lying = bytearray(content)
        lying[frame + at] = value
        check_as_pillow(bytes(lying))
    for segment in (
        b"\xff\xfe\xff\xff",
        b"\xff\xfe\0\x09",
        b"\xff\xda\0\x0c",
        b"\xff\xc4\0\x03\0",
        b"\xff\xd8",
    ):
        check_as_pillow(content[:middle] + segment + content[middle:])
        check_as_pillow(content[:-2] + segment + content[-2:])


def test_what_follows_the_image_changes_nothing():
    content = jpeg()
    np.testing.assert_array_equal(decode(content + b"more" * 9).array, decode(content).array)
    check_as_pillow(content + content)


@pytest.mark.parametrize("broken", [ImportError, RuntimeError])
def test_pillow_reads_what_imagecodecs_cannot(broken, monkeypatch):
    def fails(content):
        raise broken

    monkeypatch.setattr(imagecodecs, "jpeg8_decode", fails)
    check_as_pillow(jpeg())
