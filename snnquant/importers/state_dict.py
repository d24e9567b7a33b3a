"""State dicts of CNNs that were trained elsewhere, read without running anything in the file."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from snnquant.checkpoints.checks import regular_file_size, require_numbers
from snnquant.errors import InputError
from snnquant.io import one_line

NESTED = ("state_dict", "model_state_dict", "model", "net", "network")
"""Keys under which checkpoints of training programs, such as Lightning's, keep the state dict."""


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a PyTorch or safetensors file; no code in it is run.

    A file that would take more memory than its own size is not read.

    Args:
        path: A .pt, .pth, .ckpt or .safetensors file. It may hold the state dict under one of the
            keys `NESTED`.

    Returns:
        The tensors by name, in the file's order, on the CPU.

    Raises:
        InputError: One line, for what is no regular file, damaged, a pickle of anything except
            dense tensors, and for weights that are not finite floating-point numbers.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from snnquant.importers import load_state_dict
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "cnn.pt"
        ...     torch.save({"state_dict": {"fc.weight": torch.eye(2)}}, path)
        ...     load_state_dict(path)
        {'fc.weight': tensor([[1., 0.],
                [0., 1.]])}
    """
    size = regular_file_size(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # what matters comes as an error
            if path.suffix == ".safetensors":
                content: Any = load_file(path)
            else:
                if zipfile.is_zipfile(path):
                    _require_plain_archive(path, size)
                content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: found a pickle that would run code or holds more than tensors, expected a "
            "state dict: save it with torch.save(model.state_dict(), path)"
        ) from None
    except InputError:
        raise
    except Exception as error:  # damage leads torch's interpreter of pickles to any of them
        raise InputError(f"{path}: damaged, expected a state dict ({one_line(error)})") from None
    state = _innermost(content)
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise InputError(f"{path}: found {type(state).__name__}, expected a state dict of tensors")
    require_numbers(path, state, size)
    return state


def _require_plain_archive(path: Path, size: int) -> None:
    """Refuse an archive that unpacks to more than its size: torch.save compresses nothing."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    unpacked = sum(member.file_size for member in members)
    if packed or unpacked > size:
        raise InputError(
            f"{path}: found an archive of {size:,} bytes that unpacks to {unpacked:,}, expected "
            "one written by torch.save, which compresses nothing"
        )


def _innermost(content: Any) -> Any:
    """Unwrap the value under keys of `NESTED`, at most once per key."""
    for _ in NESTED:
        if not isinstance(content, dict):
            break
        inner = [content[key] for key in NESTED if isinstance(content.get(key), dict)]
        if not inner:
            break
        content = inner[0]
    return content
