"""Tensors and a JSON header in one safetensors file, whole or not at all, checked by digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from snnquant.errors import InputError
from snnquant.io import replacing


def _digest(tensors: dict[str, Tensor], header: str) -> str:
    parts = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        parts.update(f" {name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        parts.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return parts.hexdigest()


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header; raise `InputError` where the file cannot be written."""
    tensors = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    digest = _digest(tensors, _canonical(header))
    # One entry: safetensors writes several in an order that changes from run to run.
    content = save(tensors, {"header": _canonical(header | {"sha256": digest})})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and the header that `write_tensors` wrote; execute nothing in the file.

    Raises:
        InputError: The file is missing, a pickle, truncated, without a header of this package or
            changed since it was written.
    """
    tensors, metadata = _read(path, with_tensors=True)
    header = _parsed(path, metadata)
    canonical = _canonical(header)
    digest = header.pop("sha256", None)
    if canonical != metadata["header"] or digest != _digest(tensors, _canonical(header)):
        raise InputError(f"{path}: changed since it was written: its sha256 does not match")
    return tensors, header


def read_json_header(path: Path) -> dict[str, Any]:
    """Read the header only; raise `InputError` as `read_tensors`, except for the digest."""
    _, metadata = _read(path, with_tensors=False)
    header = _parsed(path, metadata)
    header.pop("sha256", None)
    return header


def _read(path: Path, *, with_tensors: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if start in (b"PK", b"\x80\x02"):
        raise InputError(f"{path}: found a pickled PyTorch file, expected a safetensors checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = file.keys() if with_tensors else ()
            return {name: file.get_tensor(name) for name in names}, metadata
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged, expected a safetensors checkpoint ({error})") from None


def _parsed(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    if "header" not in metadata:
        raise InputError(f"{path}: found no header, expected a checkpoint written by snnquant")
    try:
        header = json.loads(metadata["header"])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise InputError(f"{path}: header is {type(header).__name__}, expected a JSON object")
    return header


def _canonical(header: dict[str, Any]) -> str:
    return json.dumps(header, sort_keys=True)
