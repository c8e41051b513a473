"""Kinds of file that are known and not read, recognised by their content: named, never called damaged."""

import json
import re
from typing import Any, NoReturn

from eyespot.data.formats.nifti import unpacked_head
from eyespot.data.header import Unreadable
from eyespot.missing import extra

SAVE = "save it as PNG or TIFF"
RAW = "a camera's raw file, which is not read: save it as PNG or TIFF"
RECORDING = "which is not read: save each signal as CSV or .npy"
ONE_FILE_EACH = "which is not read: save each image as PNG in a folder named after its class"
META_IMAGE = "it is MetaImage (MHA), which is not read: convert it to NIfTI or TIFF"
MAGIC: tuple[tuple[int, bytes, str], ...] = (
    # where, what is there, and what the file is
    (0, b"version https://git-lfs", "it is a Git LFS pointer and not the file itself: run git lfs pull"),
    (0, b"/annex/objects/", "it is a git-annex pointer and not the file itself: run git annex get"),
    (0, b"\x89HDF\r\n\x1a\n", "it is HDF5, which is not read: save each array as .npy or TIFF"),
    (512, b"\x89HDF\r\n\x1a\n", "it is a MATLAB file, which is not read: save each array as .npy or TIFF"),
    (0, b"MATLAB ", "it is a MATLAB file, which is not read: save each array as .npy or TIFF"),
    (128, b"DICM", "it is DICOM, which is not read: convert it to NIfTI or TIFF"),
    (0, b"NRRD000", "it is NRRD, which is not read: convert it to NIfTI or TIFF"),
    (0, b"ObjectType", META_IMAGE),
    (0, b"NDims", META_IMAGE),
    (0, b"CDF\x01", "it is NetCDF or MINC, which is not read: convert it to NIfTI or TIFF"),
    (0, b"CDF\x02", "it is NetCDF or MINC, which is not read: convert it to NIfTI or TIFF"),
    (0, b"\0\0\0\x0cjP  ", f"it is JPEG 2000, which is not read: {SAVE}"),
    (0, b"\xff\x4f\xff\x51", f"it is JPEG 2000, which is not read: {SAVE}"),
    (0, b"\0\0\0\x0cJXL ", f"it is JPEG XL, which is not read: {SAVE}"),
    (0, b"\xff\x0a", f"it is JPEG XL, which is not read: {SAVE}"),
    (0, b"ZISRAWFILE", "it is CZI (Zeiss), which is not read: export it as OME-TIFF"),
    (0, b"\xda\xce\xbe\x0a", "it is ND2 (Nikon), which is not read: export it as OME-TIFF"),
    (0, b"\x70\0\0\0", "it is LIF (Leica), which is not read: export it as OME-TIFF"),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "it is a compound file (OIB or an Office document), which is not read: export images as TIFF",
    ),
    (0, b"%PDF-", "it is a PDF, which is not read: save its pages as PNG or TIFF"),
    (0, b"%!PS", f"it is PostScript, which is not read: {SAVE}"),
    (0, b"8BPS", f"it is a Photoshop file, which is not read: {SAVE}"),
    (0, b"gimp xcf", f"it is a GIMP file, which is not read: {SAVE}"),
    (0, b"SIMPLE  =", f"it is FITS, which is not read: {SAVE} or .npy"),
    (0, b"\x76\x2f\x31\x01", f"it is OpenEXR, which is not read: {SAVE}"),
    (0, b"\x1a\x45\xdf\xa3", "it is a video (Matroska or WebM), which is not read: save frames as PNG"),
    (8, b"AVI ", "it is a video (AVI), which is not read: save frames as PNG"),
    (0, b"\0\0\x01\xba", "it is a video (MPEG), which is not read: save frames as PNG"),
    (0, b"\0\0\x01\xb3", "it is a video (MPEG), which is not read: save frames as PNG"),
    (0, b"7z\xbc\xaf\x27\x1c", "it is an archive (7z): unpack it"),
    (0, b"Rar!\x1a\x07", "it is an archive (RAR): unpack it"),
    (0, b"PK\x03\x04", "it is an archive (ZIP): unpack it"),
    (0, b"PK\x05\x06", "it is an empty archive (ZIP)"),
    (0, b"\x1f\x8b", "it is compressed (gzip): unpack it"),
    (0, b"BZh", "it is compressed (bzip2): unpack it"),
    (0, b"\xfd7zXZ\0", "it is compressed (xz): unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "it is compressed (zstd): unpack it"),
    (257, b"ustar", "it is an archive (tar): unpack it"),
    (0, b"SQLite format 3\0", "it is a database (SQLite), which is not read"),
    (0, b"\x80\x04\x95", "it is a Python pickle, which is not read: save the array as .npy"),
    (0, b"\x80\x05\x95", "it is a Python pickle, which is not read: save the array as .npy"),
    (
        0,
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        "it is WMA or WMV, which is not read: convert sounds to FLAC or WAV",
    ),
    (0, b"PAR1", "it is Parquet, which is not read: write each sample as a file, and labels as CSV"),
    (0, b"ARROW1", "it is Arrow, which is not read: write each sample as a file, and labels as CSV"),
    (0, b"0       ", f"it is EDF, {RECORDING}"),
    (0, b"\xffBIOSEMI", f"it is BDF (BioSemi), {RECORDING}"),
    (0, b"\0\0\x08\x01", f"it holds labels in the format of MNIST (IDX), {ONE_FILE_EACH}"),
    (0, b"\0\0\x08\x03", f"it holds images in the format of MNIST (IDX), {ONE_FILE_EACH}"),
    (8, b"CR\x02\x00", f"it is {RAW}"),
    (0, b"FUJIFILMCCD-RAW", f"it is {RAW}"),
    (0, b"IIRO", f"it is {RAW}"),
    (0, b"IIU\0", f"it is {RAW}"),
    (0, b"#!AMR", "it is AMR, which is not read: convert it to FLAC or WAV"),
    (0, b"MAC ", "it is Monkey's Audio, which is not read: convert it to FLAC or WAV"),
    (0, b"MThd", "it is MIDI, which has notes and no sound: render it as WAV"),
    (0, b"\x7fELF", "it is a program and not an image"),
    (0, b"MZ\x90\0", "it is a program and not an image"),
)
BRANDS = {
    "HEIC": b"heic heix heim heis hevc hevx mif1 msf1".split(),
    "AVIF": b"avif avis".split(),
    "a camera's raw file": [b"crx "],
}
"""Of ISO media files, which begin with `ftyp`; those of no such brand are videos."""
TEXT_KINDS: tuple[tuple[str, str], ...] = (
    (r"<!doctype html|<html|<head|<body", "it is a web page and not a file of data: download it again"),
    (
        r"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype svg[^>]*>\s*)?<svg",
        f"it is SVG, which is not read: {SAVE}",
    ),
    (r"<\?xml|<[a-z][\w:.-]*[\s>]", "it is XML and not an image"),
    (r"(objecttype|ndims)\s*=", META_IMAGE),
    (r"([#%][^\n]*\n|\s)*@(relation|problemname)\b", f"it is a table of Weka or sktime, {RECORDING}"),
    (
        r"(#[^\n]*\n)*\S+( \d+)? \d+ [\d.]+(/\S+)? \d+[^\n]*\n\S+\.(dat|mat)\s",
        f"it is the header of a WFDB record, {RECORDING}",
    ),
    (r"-----begin |from [^\n]*@", "it is text and not an image"),
)
"""Patterns of the beginning of a text, in lower case."""


def foreign_kind(content: bytes) -> str | None:
    """What a file is, if its kind is known and not read, and what to do: a sentence. None for all other files."""
    if content[4:8] == b"ftyp":
        return _iso_media(content)
    if volume := _volume(unpacked_head(content)):
        return volume
    for at, magic, sentence in MAGIC:
        if content[at : at + len(magic)] == magic:
            return sentence
    return None if b"\0" in content[:512] else _text(content)


def _volume(head: bytes) -> str | None:
    """What a file is that begins so, packed or not, if it is a volume whose kind has no mark of its own."""
    if head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and (len(head) == 348 or head[38:39] == b"r"):
        return "it is the header of an Analyze pair (.hdr and .img), which is not read: save both as one NIfTI file"
    kind = head[20:24]
    depth = int.from_bytes(head[12:16])
    if (
        head[:4] == b"\0\0\0\x01"
        and kind in (b"\0\0\0\0", b"\0\0\0\x01", b"\0\0\0\x03", b"\0\0\0\x04")
        and depth
    ):
        return "it is MGH (FreeSurfer), which is not read: convert it to NIfTI"
    return None


def is_foreign(content: bytes) -> bool:
    """Whether a file's kind is known and not read; HEIC is tried as a picture."""
    return not is_heic(content) and foreign_kind(content) is not None


def refuse_foreign(content: bytes, *_: Any) -> NoReturn:
    """Raises Unreadable with the kind of file."""
    raise Unreadable(foreign_kind(content) or "its kind is not read")


def is_heic(content: bytes) -> bool:
    return content[4:8] == b"ftyp" and content[8:12] in BRANDS["HEIC"] and not _is_avif(content)


def _is_avif(content: bytes) -> bool:
    brands = content[8 : int.from_bytes(content[:4]) or 32]
    return any(brand in brands for brand in BRANDS["AVIF"])


def _iso_media(content: bytes) -> str:
    if is_heic(content):
        return f"it is HEIC, which needs one more package: {extra('heif')}"
    if _is_avif(content):
        return f"it is AVIF, which is not read: {SAVE}"
    if content[8:12] in BRANDS["a camera's raw file"]:
        return f"it is {RAW}"
    if content[8:11] in (b"M4A", b"M4B", b"M4P"):
        return "it is AAC (M4A), which is not read: convert it to FLAC or WAV"
    return "it is a video (MP4 or QuickTime), which is not read: save frames as PNG"


def _text(content: bytes) -> str | None:
    """What a text is, if it is one that programs write."""
    start = content[:4096].decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    for pattern, sentence in TEXT_KINDS:
        if re.match(pattern, start, re.DOTALL):
            return sentence
    if start[:1] in ("{", "["):
        try:
            json.loads(content)
        except ValueError:
            return None
        return "it is JSON and not an image"
    return None
