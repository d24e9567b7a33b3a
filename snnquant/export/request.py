"""The one argument of all exporters, and their type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the command line's help imports this module and must not wait for torch
    from torch import Tensor, nn

    from snnquant.sampling import Normalisation


@dataclass(frozen=True)
class ExportRequest:
    """A network and everything that goes into its file.

    Args:
        network: A `SpikingNetwork` or CNN in evaluation mode, left as it is. Its weights may be
            quantized.
        example: Standardised patches [N, 1, B, h, w], float32, N >= 1: they give the shapes, and
            the currents of formats that store inputs.
        normalisation: Statistics that standardise raw patches. A format that can computes it in
            the file; any other stores it for the reader of the file.
        metadata: Text by name, see `metadata_of`; a format without a place for it leaves it out.

    Example:
        >>> import torch
        >>> request = ExportRequest(torch.nn.Flatten(), torch.zeros(2, 1, 8, 3, 3))
        >>> request.normalisation, dict(request.metadata)
        (None, {})
    """

    network: nn.Module
    example: Tensor
    normalisation: Normalisation | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class Exporter(Protocol):
    """A function that writes the file of one format, whole or not at all.

    It raises `InputError`, one line, for a network that the format cannot hold, a missing extra
    (`snnquant.io.require_extra`) and a file that cannot be written.
    """

    def __call__(self, request: ExportRequest, path: Path) -> None:
        """Write the request's network to `path`."""
