"""Networks for other programs: one file a network, written by one function a format.

The function of a format is called `write_FORMAT` and is in the module that `FORMATS` names:

    write_FORMAT(network, example, path, *, normalisation=None, facts=NO_FACTS) -> None

network
    `SpikingNetwork` or CNN in evaluation mode, left as it is. Its weights may be quantized:
    `freeze` a copy for the plain values, or take `integer_weights`.
example
    Standardised patches [N, 1, B, h, w], float32, N >= 1: shapes, and values as the network meets
    them.
path
    File to write, whole or not at all (`snnquant.io.replacing`).
normalisation
    What makes standardised patches of raw ones. A format that can computes it in the file; any
    other stores it, so that whoever reads the file can.
facts
    What the file says about itself, text by name (see `facts_of`); a format without a place for
    it leaves it out.

It raises `InputError`, one line, for a network that the format cannot hold, where the format's
extra is not installed (`snnquant.io.require_extra`), and for a file that cannot be written. A
module here imports its libraries within functions, so that this table costs nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["FORMATS", "NO_FACTS", "Format", "Name", "writer"]

Name = Literal["onnx", "qdq", "nir", "snntorch", "brian2"]
NO_FACTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Format:
    """Where a format is written, and which of a run's networks is meant if nothing else is said."""

    module: str
    network: str = "snn_trained"


FORMATS: dict[Name, Format] = {
    "onnx": Format("snnquant.export.onnx_file"),
    "qdq": Format("snnquant.export.qdq", "cnn_quantized"),
    "nir": Format("snnquant.export.nir_graph"),
    "snntorch": Format("snnquant.export.snntorch_module"),
    "brian2": Format("snnquant.export.brian2.script"),
}


def writer(name: Name) -> Callable[..., None]:
    """The function `write_NAME`."""
    function: Callable[..., None] = getattr(
        importlib.import_module(FORMATS[name].module), f"write_{name}"
    )
    return function
