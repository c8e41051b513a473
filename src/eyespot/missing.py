"""Libraries that a slim install does not have: which command or file needs one, and how it is installed."""

from importlib import import_module
from importlib.util import find_spec

from eyespot.errors import UserError

TIFF = "tifffile imagecodecs"
PIP = {
    "tifffile": TIFF,
    "imagecodecs": TIFF,
    "scipy": "scipy",
    "nibabel": "nibabel",
    **dict.fromkeys(("torch", "safetensors", "matplotlib", "jinja2", "platformdirs", "tomli_w"), "eyespot"),
}
"""What pip installs for a package that cannot be imported."""


ALONE = {
    "predict": "onnxruntime",
    "fast": "openvino",
    "nifti": "nibabel",
    "heif": "pillow-heif",
    "sound": "soundfile",
    "hub": "huggingface-hub",
    "ray": "ray",
    "serve": "fastapi uvicorn python-multipart prometheus-client",
}
"""The packages of extras that a machine without torch may use."""


def missing_package(error: BaseException) -> str:
    """The name of the package that an import did not find, if it is one that eyespot comes with; else empty."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return name if name in PIP else ""


def has_torch() -> bool:
    """Whether torch is installed: where it is not, only exported files are predicted and served."""
    return find_spec("torch") is not None


def extra(name: str) -> str:
    """The line that installs an extra: of a machine without torch, its packages alone, since the extra would bring torch."""
    return f"pip install 'eyespot[{name}]'" if has_torch() else f"pip install {ALONE[name]}"


def install(package: str, line: str = "") -> str:
    """That a package is not there, and the remedy: what pip is given.

    >>> install("scipy")
    'scipy, which is not installed here: pip install scipy'
    """
    return f"{package}, which is not installed here: pip install {line or PIP[package]}"


def require(package: str, what: str, otherwise: str = "") -> None:
    """Raises UserError where something needs a package that is not installed.

    otherwise   what to do instead
    """
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        raise UserError(f"{what} needs {install(package)}{otherwise}") from error
