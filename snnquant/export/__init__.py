"""Networks for other programs: one file per network, one function per format.

The exporter of a format is called `write_FORMAT` and is in the module that `FORMATS` names. These
modules import their libraries within functions, so that this table costs nothing.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from snnquant.export.request import Exporter, ExportRequest

__all__ = ["FORMATS", "ExportRequest", "Exporter", "Format", "FormatName", "export", "exporter"]

FormatName = Literal["onnx", "qdq", "nir", "snntorch", "brian2"]


@dataclass(frozen=True)
class Format:
    """The module that writes a format, and the network of a run that it takes by default."""

    module: str
    network: str = "snn_trained"


FORMATS: dict[FormatName, Format] = {
    "onnx": Format("snnquant.export.onnx_file"),
    "qdq": Format("snnquant.export.qdq", "cnn_quantized"),
    "nir": Format("snnquant.export.nir_graph"),
    "snntorch": Format("snnquant.export.snntorch_module"),
    "brian2": Format("snnquant.export.brian2.script"),
}


def exporter(name: FormatName) -> Exporter:
    """Return the function `write_NAME`."""
    module = importlib.import_module(FORMATS[name].module)
    return cast(Exporter, getattr(module, f"write_{name}"))


def export(request: ExportRequest, path: str | Path, format: FormatName) -> None:
    """Write a network for another program.

    Args:
        request: The network, example patches [N, 1, B, h, w], and what else goes into the file.
        path: File to write, whole or not at all.
        format: onnx, qdq, nir, snntorch or brian2.

    Raises:
        InputError: For a network that the format cannot hold, a missing extra, and a file that
            cannot be written.

    Example:
        >>> import tempfile, torch
        >>> from snnquant.spiking import LIF, SpikingNetwork
        >>> layers = {"flatten": torch.nn.Flatten(), "fc": torch.nn.Linear(8, 3), "lif": LIF()}
        >>> network = SpikingNetwork(layers, time_steps=5).eval()
        >>> request = ExportRequest(network, torch.zeros(2, 1, 8, 1, 1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(request, Path(folder) / "snn.py", "snntorch")
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['snn.pt', 'snn.py']
    """
    exporter(format)(request, Path(path))
