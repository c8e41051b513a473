"""Where a network runs, and in which arithmetic."""

import torch

from eyespot.errors import UserError
from eyespot.fast import HALF as HALF
from eyespot.fast import arithmetic as arithmetic


def choose_device(device: str | None) -> str:
    """The device as torch names it; the first GPU if there is one and nothing was typed."""
    if device is None:
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"device {device!r} cannot be used here ({str(error).splitlines()[0][:80]}); use --device cpu"
        ) from error
    if device.startswith("cuda:"):
        torch.cuda.set_device(device)  # where steps are recorded
    return device


def wait(device: str) -> None:
    """Until the device has done what it was asked for, so that a clock tells the truth."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    elif device.startswith("mps"):
        torch.mps.synchronize()


def multiplies_bfloat16(device: str) -> bool:
    """Whether this machine has bfloat16 products in hardware; emulated, they are more than ten times slower."""
    if device.startswith("cpu"):
        return torch.cpu._is_avx512_bf16_supported()
    return device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)


def prediction_precision(precision: str | None, device: str) -> str:
    """The precision of predictions: float32 on the processor, so that every machine and an exported file give the same.

    On other devices it is that of training, where they have it in hardware.
    """
    return (
        "bfloat16"
        if precision in HALF and not device.startswith("cpu") and multiplies_bfloat16(device)
        else "float32"
    )
