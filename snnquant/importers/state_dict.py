"""Weights that were trained elsewhere, read so that nothing in their file is ever run."""

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

NESTED = ("state_dict", "model_state_dict", "model", "net", "network")
"""Where checkpoints of training programs keep the state dict, Lightning's among them."""


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch (.pt, .pth, .ckpt) or safetensors file; no code in it is run.

    A dictionary that holds the state dict under one of `NESTED` stands for it. A file that would
    take more memory than its own size is not read.

    Raises InputError, one line, for what is no regular file, damaged, a pickle of anything but
    dense tensors, and for weights that are not finite floating-point numbers.
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
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: damaged, expected a state dict ({reason})") from None
    state = _innermost(content)
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise InputError(f"{path}: found {type(state).__name__}, expected a state dict of tensors")
    require_numbers(path, state, size)
    return state


def _require_plain_archive(path: Path, size: int) -> None:
    """InputError for an archive that unpacks to more than it is: torch.save compresses nothing."""
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
    """What lies under the keys of `NESTED`, at most as many times as there are such keys."""
    for _ in NESTED:
        if not isinstance(content, dict):
            break
        inner = [content[key] for key in NESTED if isinstance(content.get(key), dict)]
        if not inner:
            break
        content = inner[0]
    return content
