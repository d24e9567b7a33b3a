"""Checks shared by the readers of checkpoints and of foreign weights."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snnquant.errors import InputError

NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COUNTER = "num_batches_tracked"
"""Batch norm's count of batches, the only integer of a state dict."""
LONGEST_NAME = 500
"""Max characters of a tensor's name; names are printed."""


def regular_file_size(path: Path) -> int:
    """Return the bytes of a file; raise `InputError` unless it is a regular one."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(status.st_mode):
        found = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise InputError(f"{path}: found {found}, expected a file")
    return status.st_size


def require_numbers(path: Path, state: dict[str, Any], size: int) -> None:
    """Raise `InputError` unless all values are dense, finite tensors with printable names.

    Only floating-point tensors are accepted, except batch norm's counter. Twice the file's `size`
    bounds the bytes: with strides of 0 and shared storage a small file holds any number of them.
    """
    held = 0
    for name, value in state.items():
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise InputError(f"{path}: found a name {name[:20]!r}..., expected printable ones")
        if not isinstance(value, Tensor):
            raise InputError(f"{path}: {name!r} is a {type(value).__name__}, expected a tensor")
        numbers = (*NUMBERS, torch.int64) if name.endswith(COUNTER) else NUMBERS
        if value.dtype not in numbers or value.layout != torch.strided or value.is_meta:
            found = f"{value.layout} {value.dtype} on {value.device}"
            raise InputError(f"{path}: {name!r} is {found}, expected dense floating-point numbers")
        held += value.numel() * value.element_size()
        if held > 2 * size:
            raise InputError(
                f"{path}: {name!r} brings it to {held:,} bytes of tensors in a file of {size:,}, "
                "expected them to be stored"
            )
        if not torch.isfinite(value).all():
            raise InputError(
                f"{path}: {name!r} holds NaN or infinite values, expected finite weights"
            )
