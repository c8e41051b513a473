"""The kind of a file by its first bytes, for files whose endings say nothing."""

from pathlib import Path

START = 352
"""Bytes that tell every kind: a NIfTI header has its mark at 344."""
MARKS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
    (b"II+\x00", ".tif"),
    (b"MM\x00+", ".tif"),
    (b"\x93NUMPY", ".npy"),
    *(
        (b"P%d" % k + end, ending)
        for k, ending in ((4, ".pbm"), (5, ".pgm"), (6, ".ppm"))
        for end in (b"\n", b" ")
    ),
)
"""The first bytes of a kind of file, and its usual ending."""


def ending_by_content(path: Path) -> str:
    """The usual ending of a file of this content; "" where it is of no kind that is recognised by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(START)
    except OSError:
        return ""
    if start[8:10] == b"CR":  # a raw file of a camera, whose first image is a preview
        return ""
    for mark, ending in MARKS:
        if start.startswith(mark):
            return ending
    if start[:2] == b"BM" and start[6:10] == b"\x00\x00\x00\x00":
        return ".bmp"
    if start[:4] == b"RIFF":
        return {b"WEBP": ".webp", b"WAVE": ".wav"}.get(start[8:12], "")
    return ".nii" if start[344:348] in (b"n+1\x00", b"ni1\x00") else ""
