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

NESTED = (
    *("state_dict", "model_state_dict", "model", "net", "network"),
    *("state_dict_ema", "ema_state_dict", "model_ema", "params_ema", "params", "ema", "weights"),
)
"""Keys under which checkpoints of training programs, such as Lightning's, keep the state dict."""


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a PyTorch or safetensors file, as `read_weights` without its remarks.

    Raises InputError as that does.
    """
    return read_weights(path)[0]


def read_weights(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Read the tensors of a PyTorch or safetensors file; no code in it is run.

    A file that would take more memory than its own size is not read.

    Args:
        path: A .pt, .pth, .ckpt or .safetensors file. It may hold the state dict under one of the
            keys `NESTED`, or under the only key that has tensors by name.

    Returns:
        The tensors by name, in the file's order, on the CPU, and remarks on what was left out.

    Raises:
        InputError: One line, for what is no regular file, damaged, a pickle of anything except
            dense tensors, and for weights that are not finite floating-point numbers.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from snnquant.importers.state_dict import read_weights
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "cnn.pt"
        ...     torch.save({"state_dict_ema": {"fc.weight": torch.eye(2)}}, path)
        ...     read_weights(path)
        ({'fc.weight': tensor([[1., 0.],
                [0., 1.]])}, ['weights taken from state_dict_ema'])
    """
    size = regular_file_size(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # what matters comes as an error
            if path.suffix == ".safetensors":
                content: Any = load_file(path)
            else:
                if zipfile.is_zipfile(path):
                    _require_plain_archive(path, size)
                with torch.serialization.safe_globals(HARMLESS):
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
    state, remarks = _innermost(path, content)
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise InputError(f"{path}: found {type(state).__name__}, expected a state dict of tensors")
    state, more = _only_tensors(state)
    require_numbers(path, state, size)
    return state, remarks + more


class _Inert:
    """A stand-in for an object of another library in a checkpoint; it runs nothing of it."""

    def __init__(self, *parts: Any, **named: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __reduce__(self) -> tuple[Any, ...]:
        return _Inert, ()


HARMLESS: list[Any] = [
    (_Inert, name)
    for name in (
        *("numpy.dtype", "numpy.ndarray"),
        *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")),
        *(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")),
        *(f"numpy.dtypes.{kind}DType" for kind in ("Float64", "Float32", "Int64", "Int32", "Bool")),
        *("argparse.Namespace", "types.SimpleNamespace", "collections.defaultdict"),
        *("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath"),
        *("easydict.EasyDict", "yacs.config.CfgNode"),
        *("lightning.fabric.utilities.data.AttributeDict",),
        *("lightning_fabric.utilities.data.AttributeDict",),
        *("pytorch_lightning.utilities.parsing.AttributeDict",),
    )
]
"""Things that training programs keep beside the weights: read as `_Inert`, then left out."""


def _require_plain_archive(path: Path, size: int) -> None:
    """Refuse an archive that unpacks to more than its size: torch.save compresses nothing."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    names = [member.filename.partition("/")[2] or member.filename for member in members]
    if any(name == "constants.pkl" or name.startswith("code/") for name in names):
        raise InputError(
            f"{path}: found a TorchScript program, expected a state dict: save it with "
            "torch.save(torch.jit.load(path).state_dict(), new_path), or export the network to ONNX"
        )
    if any("exported_program" in name or name == "archive_format" for name in names):
        raise InputError(
            f"{path}: found a program of torch.export, expected a state dict: save it with "
            "torch.save(torch.export.load(path).state_dict, new_path), or export it to ONNX"
        )
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    unpacked = sum(member.file_size for member in members)
    if packed or unpacked > size:
        raise InputError(
            f"{path}: found an archive of {size:,} bytes that unpacks to {unpacked:,}, expected "
            "one written by torch.save, which compresses nothing"
        )


def _innermost(path: Path, content: Any) -> tuple[Any, list[str]]:
    """Unwrap the value under keys of `NESTED`, or under the only key that has tensors by name."""
    keys: list[str] = []
    for _ in NESTED:
        inner = _state_dicts(content)
        if not inner:
            break
        key = next((key for key in NESTED if key in inner), None)
        if key is None and len(inner) > 1:
            expected = f"one of them, or one under {', '.join(NESTED[:3])}, ..."
            raise InputError(f"{path}: found tensors under {_named(inner)}, expected {expected}")
        key = key or next(iter(inner))
        if others := [other for other in inner if other != key]:
            keys.append(f"{key}, not from {', '.join(others)}")
        elif key not in NESTED[:5]:
            keys.append(key)
        content = inner[key]
    return content, [f"weights taken from {key}" for key in keys]


def _state_dicts(content: Any) -> dict[str, Any]:
    """Return the nested dictionaries that may be a state dict, unless it stands here itself."""
    if not isinstance(content, dict) or _is_weight_table(content):
        return {}
    return {
        key: value
        for key, value in content.items()
        if isinstance(key, str)
        and isinstance(value, dict)
        and not key.startswith("optim")
        and (key in NESTED or _is_weight_table(value))
    }


def _is_weight_table(content: dict[Any, Any]) -> bool:
    """Tell whether a dictionary has weights by name."""
    tensors = [key for key, value in content.items() if isinstance(value, Tensor) and value.ndim]
    return any(isinstance(key, str) and key.endswith("weight") for key in tensors)


def _only_tensors(state: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Leave out what stands beside the weights and is no tensor, and counters of operations."""
    if not _is_weight_table(state):
        return state, []
    others = {
        name
        for name, value in state.items()
        if not isinstance(value, Tensor) or name.rpartition(".")[2] in PROFILED
    }
    kept = {name: value for name, value in state.items() if name not in others}
    return kept, [f"left out {_named(sorted(others))}"] if others else []


PROFILED = ("total_ops", "total_params", "n_averaged")
"""Buffers that the profiler thop and torch's averaged models leave beside the weights."""


def _named(names: Any) -> str:
    listed = [repr(name)[1:-1][:100] for name in names]
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")
