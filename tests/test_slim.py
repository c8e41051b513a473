"""A machine that only predicts: no package beside those of requirements/predict.txt can be imported, and nothing differs."""

import io
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import slim
from exported import masks, preprocessing, write_run
from eyespot.data.formats.jpeg import _same_library
from eyespot.data.formats.read import decode
from eyespot.data.header import Unreadable
from eyespot.data.preprocess.resize import filters, resampled
from eyespot.environment import usual_cache
from eyespot.missing import ALONE, extra
from eyespot.onnx_file.export import export
from eyespot.prediction.load import load
from eyespot.softmax import sigmoid, softmax

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Exported networks by what they predict."""
    root = tmp_path_factory.mktemp("exported")
    signals = preprocessing(dim=1, channels=1, depth="float32", stored=["float32"], mean=[0.0], std=[1.0])
    runs = {
        "classes": ("small", preprocessing(accepts=[1, 3]), {"widths": (8, 16)}, ("cat", "dog", "owl")),
        "masks": ("unet_narrow", preprocessing(accepts=[1, 3], **masks()), {}, ("background", "object")),
        "signals": ("small", signals, {"widths": (8, 16)}, ("a", "b")),
    }
    made = {}
    for name, (preset, content, changes, classes) in runs.items():
        run = write_run(root / name, preset, content, classes, **changes)
        made[name] = root / f"{name}.onnx"
        export(run, made[name])
    return made


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EYESPOT_CACHE", str(tmp_path / "cache"))


def pixels(*shape, dtype=np.uint8):
    return np.random.default_rng(sum(shape)).integers(0, np.iinfo(dtype).max, shape, dtype)


def smooth(height, width):
    """(H, W, 3) as photographs are."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(y / 7 + k) + np.cos(x / (5 + k)) for k in range(3)]
    return np.uint8(127.5 + 60 * np.stack(waves, -1))


def saved(array, kind, mode=None, **options):
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def turned_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(smooth(40, 61), "JPEG", exif=exif)


def of_tifffile(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def with_chunk(png, name, content):
    """A PNG with one more chunk before its pixels."""
    at = png.index(b"IDAT") - 4
    body = name + content
    return png[:at] + struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body)) + png[at:]


def deep_colours():
    import imagecodecs

    return imagecodecs.png_encode(pixels(20, 23, 3, dtype=np.uint16))


READ = {
    "rgb.png": saved(smooth(40, 61), "PNG"),
    "grey.png": saved(pixels(33, 20), "PNG"),
    "palette.png": saved(smooth(24, 30), "PNG", "P"),
    "alpha.png": saved(pixels(24, 30, 4), "PNG"),
    "bits.png": saved(pixels(24, 30), "PNG", "1"),
    "plain.jpg": saved(smooth(64, 48), "JPEG"),
    "full.jpg": saved(smooth(64, 48), "JPEG", subsampling=0, quality=97),
    "grey.jpg": saved(smooth(31, 47)[..., 0], "JPEG"),
    "progressive.jpg": saved(smooth(64, 49), "JPEG", progressive=True),
    "large.jpg": saved(smooth(300, 401), "JPEG"),
    "inks.jpg": saved(smooth(20, 33), "JPEG", "CMYK"),
    "turned.jpg": turned_jpeg(),
    "lossy.webp": saved(smooth(40, 61), "WEBP"),
    "exact.webp": saved(pixels(40, 31, 4), "WEBP", lossless=True),
    "plain.bmp": saved(smooth(40, 31), "BMP"),
    "plain.gif": saved(smooth(40, 31), "GIF", "P"),
    "plain.ppm": saved(smooth(40, 31), "PPM"),
    "raw.tif": saved(smooth(40, 31), "TIFF"),
    "lzw.tif": saved(smooth(40, 31)[..., 1], "TIFF", compression="tiff_lzw", dpi=(120, 60)),
    "deflate.tif": of_tifffile(pixels(40, 32), compression="zlib", predictor=True),
    "tiles.tif": of_tifffile(pixels(60, 80, 3), compression="lzw", tile=(16, 16), photometric="rgb"),
    "inverted.tif": of_tifffile(pixels(40, 32), photometric="miniswhite"),
}
REFUSED = {
    "colours.png": deep_colours(),
    "transparent.png": with_chunk(saved(pixels(24, 30, dtype=np.uint16), "PNG"), b"tRNS", b"\x12\x34"),
    "deep.tif": of_tifffile(pixels(40, 32, dtype=np.uint16)),
    "signed.tif": of_tifffile(pixels(40, 32).astype(np.int8)),
    "float.tif": of_tifffile(pixels(40, 32).astype(np.float32)),
    "pages.tif": of_tifffile(pixels(4, 40, 32), photometric="minisblack"),
}
"""Files that take a package: what Pillow makes of them is not what tifffile or imagecodecs do."""
DIFFERENT_FOR_MASKS = {"lossy.tif": of_tifffile(smooth(48, 32)[..., 0], compression="jpeg")}
"""TIFF that masks are predicted of window by window."""


@pytest.fixture
def without_decoders(monkeypatch):
    """tifffile and imagecodecs cannot be imported."""
    for name in ("tifffile", "imagecodecs"):
        monkeypatch.setitem(sys.modules, name, None)
    _same_library.cache_clear()
    yield
    _same_library.cache_clear()


def test_grey_png_of_16_bits_keeps_its_bits(without_decoders):
    values = pixels(24, 30, dtype=np.uint16)
    assert np.array_equal(decode(saved(values, "PNG")).array[..., 0], values)


@pytest.mark.parametrize("at", [-30, 40])
def test_a_damaged_png_of_16_bits_is_not_read(without_decoders, at):
    content = bytearray(saved(pixels(24, 30, dtype=np.uint16), "PNG"))
    content[at] ^= 1
    with pytest.raises(Unreadable):
        decode(bytes(content))


def test_signed_tiff_keeps_its_sign():
    values = np.array([[-128, -1], [0, 127]], np.int8).repeat(20, 0)
    assert np.array_equal(decode(of_tifffile(values)).array[..., 0], values)


def folder_of(root, contents):
    root.mkdir()
    for name, content in contents.items():
        (root / name).write_bytes(content)
    return root


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_classes_are_the_same_bit_by_bit(files, cli, tmp_path):
    data = folder_of(tmp_path / "data", READ)
    full = tmp_path / "full.jsonl"
    cli("predict", files["classes"], data, "-o", full, "-q")
    here = tmp_path / "slim.jsonl"
    ended = slim.run("predict", files["classes"], data, "-o", here, "-q")
    assert ended.returncode == 0, ended.stderr
    assert here.read_bytes() == full.read_bytes()
    assert len(full.read_text().splitlines()) == len(READ)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_masks_are_the_same_bit_by_bit(files, cli, tmp_path):
    data = folder_of(
        tmp_path / "data",
        {f"{Path(n).stem}-{Path(n).suffix[1:]}{Path(n).suffix}": c for n, c in READ.items()},
    )
    paths = sorted(data.iterdir())
    cli("predict", files["masks"], *paths, "-o", tmp_path / "full", "-q")
    ended = slim.run("predict", files["masks"], *paths, "-o", tmp_path / "slim", "-q")
    assert ended.returncode == 0, ended.stderr
    made = {path.name: path for path in (tmp_path / "slim").iterdir()}
    assert len(made) == len(READ)
    for path in (tmp_path / "full").iterdir():
        with Image.open(path) as a, Image.open(made[path.name]) as b:
            assert np.array_equal(np.asarray(a), np.asarray(b)), path.name
            for tag in (282, 283, 296) if path.suffix == ".tif" else ():
                assert a.tag_v2.get(tag) == b.tag_v2.get(tag), path.name


def test_signals_are_the_same_bit_by_bit(files, cli, tmp_path):
    values = np.sin(np.arange(90) / 5)
    wave = np.int16(3e4 * values).tobytes()
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(wave),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        100,
        200,
        2,
        16,
        b"data",
        len(wave),
    )
    npy = io.BytesIO()
    np.save(npy, values)
    contents = {
        "a.wav": header + wave,
        "a.npy": npy.getvalue(),
        "a.csv": "\n".join(map(str, values)).encode(),
    }
    data = folder_of(tmp_path / "data", contents)
    cli("predict", files["signals"], data, "-o", tmp_path / "full.jsonl", "-q")
    ended = slim.run("predict", files["signals"], data, "-o", tmp_path / "slim.jsonl", "-q")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "slim.jsonl").read_bytes() == (tmp_path / "full.jsonl").read_bytes()
    assert len((tmp_path / "full.jsonl").read_text().splitlines()) == 3


def test_a_file_that_takes_a_package_is_refused_with_the_line_for_pip(files, tmp_path):
    data = folder_of(tmp_path / "data", REFUSED | {"good.png": READ["rgb.png"]})
    ended = slim.run("predict", files["classes"], data)
    assert ended.returncode == 1, ended.stderr
    assert [line.split(",")[0] for line in ended.stdout.splitlines()[1:]] == [str(data / "good.png")]
    reasons = dict(re.findall(r"cannot be read: \S*/(\S+): (.*)", ended.stderr))
    assert reasons.keys() == REFUSED.keys()
    for reason in reasons.values():
        assert re.fullmatch(
            r"reading it needs (tifffile|imagecodecs), which is not installed here: pip install tifffile imagecodecs",
            reason,
        )


def test_masks_of_files_that_pillow_reads_otherwise_are_refused(files, tmp_path):
    contents = DIFFERENT_FOR_MASKS | REFUSED | {"good.png": READ["rgb.png"]}
    data = folder_of(tmp_path / "data", contents)
    ended = slim.run("predict", files["masks"], *sorted(data.iterdir()), "-o", tmp_path / "out")
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.count("pip install tifffile imagecodecs") == len(contents) - 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


def test_which_files_are_masks_is_not_guessed_without_reading_them(files, tmp_path):
    data = tmp_path / "data"
    for folder, values in (
        ("images", pixels(40, 32, dtype=np.uint16)),
        ("masks", np.zeros((40, 32), np.uint16)),
    ):
        (data / folder).mkdir(parents=True)
        for k in range(3):
            (data / folder / f"{k}.tif").write_bytes(of_tifffile(values))
    ended = slim.run("predict", files["masks"], data, "-o", tmp_path / "out")
    assert ended.returncode != 0
    assert "pip install tifffile imagecodecs" in ended.stderr
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


@pytest.mark.parametrize("option,package", [("--instances", "scipy"), ("--probabilities", "tifffile")])
def test_an_option_that_takes_a_package_is_refused_at_once(files, tmp_path, option, package):
    (tmp_path / "a.png").write_bytes(READ["grey.png"])
    ended = slim.run("predict", files["masks"], tmp_path / "a.png", option, "-o", tmp_path / "out")
    assert ended.returncode == 2
    assert re.search(rf"eyespot: .* needs {package}, which is not installed here: pip install ", ended.stderr)
    assert len(ended.stderr.strip().splitlines()) <= 2  # the other is that the file is checked


def test_verify_and_help(files):
    ended = slim.run("verify", files["classes"])
    assert ended.returncode == 0, ended.stderr
    assert "the certificate holds" in ended.stdout
    ended = slim.run("--help")
    assert ended.returncode == 0, ended.stderr
    assert "predict" in ended.stdout


@contextmanager
def serving(path):
    """The server of a file in a process that has what requirements/serve.txt has, and its address, when it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = slim.command("serve", path, "--port", port, "-q", requirements="serve.txt")
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}/readyz")
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(process, address):
    for _ in range(600):
        assert process.poll() is None, process.stderr.read()
        try:
            return urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server does not get ready")


def sent(address, content):
    """The status and body of a response."""
    request = urllib.request.Request(address, content, {"Content-Type": "application/octet-stream"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_serve(files):
    with serving(files["masks"]) as (process, address):
        (expected,) = load(files["masks"])([smooth(40, 61)])
        for form in ("png", "tiff"):
            status, body = sent(f"{address}/v1/predict?format={form}", READ["rgb.png"])
            assert status == 200, body
            with Image.open(io.BytesIO(body)) as mask:
                assert np.array_equal(np.asarray(mask) == 255, expected.labels == 1)
        for path, content in (("predict", REFUSED["deep.tif"]),):
            status, body = sent(f"{address}/v1/{path}", content)
            assert 400 <= status < 500 or status == 501, (path, status, body)
            assert b"pip install" in body or b"torch" in body, (path, body)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    "words",
    ["train digits", "evaluate run", "explain run a.png", "export run", "predict run a.png", "look digits"],
)
def test_a_command_that_takes_more_says_so(words, tmp_path):
    ended = slim.run(*words.split(), cwd=tmp_path)
    assert ended.returncode == 2
    sentence = r"eyespot: (eyespot \w+|predicting with run) needs \w+, which is not installed here: pip install eyespot"
    assert re.match(sentence, ended.stderr), ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_requirements_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    known = {*project["dependencies"], *extras["predict"], *extras["serve"]}
    lines = [
        line
        for name in ("predict.txt", "serve.txt")
        for line in (slim.REQUIREMENTS / name).read_text().splitlines()
    ]
    assert {line for line in lines if line[0] not in "#-"} <= known
    assert slim.listed("predict.txt") == {"onnxruntime", "numpy", "pillow", "typer", "rich"}
    assert slim.listed("serve.txt") - slim.listed("predict.txt") == {
        re.split("[>=]", line)[0] for line in extras["serve"]
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the places of other systems depend on their settings")
@pytest.mark.parametrize("value", [None, "", "/tmp/caches", "relative", "  "])
def test_the_cache_is_where_platformdirs_has_it(monkeypatch, value):
    import platformdirs

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert usual_cache("linux") == Path(platformdirs.user_cache_dir("eyespot"))


@pytest.mark.parametrize(
    "n,out,window", [(100, 37, None), (37, 100, None), (50, 50, (3.5, 41.25)), (1, 9, None), (9, 1, None)]
)
def test_resampling_is_the_product_with_the_matrix_exactly(n, out, window):
    values = np.random.default_rng(n).normal(100, 50, (n, 5, 2)).astype(np.float32)
    matrix = filters(n, out, window).astype(np.float32)
    expected = (matrix @ values.reshape(n, -1)).reshape(out, 5, 2)
    assert np.array_equal(resampled(values, out, window), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_are_those_of_scipy(dtype):
    from scipy import special

    logits = (30 * np.random.default_rng(0).normal(size=(500, 7, 3))).astype(dtype)
    assert np.array_equal(softmax(logits, 1), special.softmax(logits, axis=1))
    # The library of C rounds exp otherwise than NumPy, in the last bits.
    np.testing.assert_array_max_ulp(sigmoid(logits), special.expit(logits), 4, dtype)
    assert sigmoid(np.array([-1e4, 0, 1e4], dtype)).tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("name", list(ALONE))
def test_an_extra_brings_no_torch_where_there_is_none(name, monkeypatch):
    assert extra(name) == f"pip install 'eyespot[{name}]'"
    monkeypatch.setattr("eyespot.missing.has_torch", lambda: False)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = {line.partition(">=")[0] for line in extras[name]}
    assert set(extra(name).removeprefix("pip install ").split()) >= packages - {"onnxruntime"}
    assert "eyespot" not in extra(name)
