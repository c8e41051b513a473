"""ONNX Runtime for browsers: fetched once by `npm pack`, checked against its published hash, and made one script.

The script works from disk, where pages may not fetch files: the wasm is in it, compressed, as text.
"""

import base64
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from eyespot.environment import cache_folder, offline
from eyespot.files import write_file

PACKAGE = "onnxruntime-web@1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""What `npm view onnxruntime-web@1.30.0 dist.integrity` prints, in base64."""
API = "ort.wasm.min.js"
GLUE = "ort-wasm-simd-threaded.mjs"
WASM = "ort-wasm-simd-threaded.wasm"
SECONDS = 180
HEAD = "// ONNX Runtime 1.30.0 for browsers, (c) Microsoft, MIT licence: https://github.com/microsoft/onnxruntime\n"


class RuntimeMissing(Exception):
    """Why the runtime cannot be had, as one sentence."""


def runtime_script() -> bytes:
    """The runtime as one script, from the cache or fetched. Raises RuntimeMissing."""
    cached = cache_folder() / f"{PACKAGE.replace('@', '-')}.js"
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_file(cached, script_of(fetch_package()))
    return cached.read_bytes()


def fetch_package() -> bytes:
    """The package as npm serves it. Raises RuntimeMissing, also where its hash is another."""
    npm = shutil.which("npm")
    if offline():
        raise RuntimeMissing(f"EYESPOT_OFFLINE is set, so {PACKAGE} was not fetched")
    if npm is None:
        raise RuntimeMissing(f"npm is not installed, so {PACKAGE} was not fetched")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            npm,
            "pack",
            PACKAGE,
            "--loglevel=error",
            "--fetch-retries=1",
            "--pack-destination",
            folder,
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
        except (subprocess.SubprocessError, OSError) as error:
            raise RuntimeMissing(f"npm pack {PACKAGE} failed: {reason(error)}") from error
        content = next(Path(folder).glob("*.tgz")).read_bytes()
    check_hash(content)
    return content


def reason(error: Exception) -> str:
    """The first line of what npm printed, or that it took too long."""
    printed = (getattr(error, "stderr", "") or "").strip()
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took longer than {SECONDS} s"
    return printed.splitlines()[0] if printed else type(error).__name__


def check_hash(content: bytes) -> None:
    """Raises RuntimeMissing for another file than the one that these pages were tested with."""
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if digest != SHA512:
        raise RuntimeMissing(f"{PACKAGE} has the SHA-512 {digest}, and not {SHA512}: it was not used")


def script_of(package: bytes) -> bytes:
    """The API, and what it loads for one thread without a GPU, as one classic script."""
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        api, glue, wasm = (read_member(archive, name) for name in (API, GLUE, WASM))
    texts = {
        "glue": base64.b64encode(glue).decode(),
        "wasm": base64.b64encode(gzip.compress(wasm, 9, mtime=0)).decode(),
    }
    plain = b"\n".join(line for line in api.splitlines() if not line.startswith(b"//# sourceMappingURL"))
    return HEAD.encode() + plain + f"\nself.eyespotRuntime = {json.dumps(texts)};\n".encode()


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    """One file of the package."""
    file = archive.extractfile(f"package/dist/{name}")
    assert file is not None
    return file.read()
