"""What the environment variables say: EYESPOT_CACHE, EYESPOT_CACHE_GB, EYESPOT_MEMORY_MB, EYESPOT_OFFLINE and others."""

import os
import re
import sys
from pathlib import Path

from eyespot.errors import UserError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else ONNX Runtime 1.32 keeps an id and sends events


def cache_folder() -> Path:
    """Where decoded images, built-in sets and weights are kept: $EYESPOT_CACHE, or the system's place for caches."""
    return Path(os.environ.get("EYESPOT_CACHE") or _system_cache())


def _system_cache() -> str | Path:
    """Our folder in the system's place for caches, also where platformdirs is not installed, in the usual setups."""
    try:
        import platformdirs
    except ImportError:
        return usual_cache(sys.platform)
    return platformdirs.user_cache_dir("eyespot")


def usual_cache(system: str) -> Path:
    """What platformdirs gives on a system that `sys.platform` calls so."""
    if system == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local, "eyespot", "eyespot", "Cache")
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(caches):
        return Path(caches, "eyespot")
    return Path.home() / ("Library/Caches" if system == "darwin" else ".cache") / "eyespot"


def torch_cache_folder() -> Path:
    """Where torch.hub and torchvision keep what they fetched."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TORCH_HOME") or Path(caches, "torch")) / "hub" / "checkpoints"


def offline() -> bool:
    """Whether nothing may be fetched: EYESPOT_OFFLINE is set, and not to 0."""
    return os.environ.get("EYESPOT_OFFLINE", "0") not in ("", "0")


def positive_number(name: str, default: float) -> float:
    """The value of an environment variable. Raises UserError where it is not a number above zero."""
    text = os.environ.get(name) or str(default)
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", text) or not float(text):
        raise UserError(f"{name} is {text!r}: set it to a number above zero, such as {default:g}")
    return float(text)
