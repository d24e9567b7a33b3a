"""Widths of a network of the package, read from weights that were made with others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from snnquant.config import ModelConfig
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.models.residual import follows
from snnquant.nn.kinds import CONVOLUTIONS

BANDS = 200
"""Bands of the network whose convolutions are counted; their number depends on none."""


def widths_in(model: ModelConfig, state: Mapping[str, Tensor]) -> tuple[int, ...] | None:
    """Return the filters of each convolution in a state dict, where they differ from the model's.

    Args:
        model: A network of the package, with or without widths.
        state: The tensors by name, in the order of their layers.

    Returns:
        The widths; None where they are the model's, or where the convolutions are others.

    >>> first, second = torch.empty(16, 1, 7, 3, 3), torch.empty(32, 16, 3, 3, 3)
    >>> widths_in(ModelConfig(name="li"), {"a.weight": first, "b.weight": second})
    (16, 32)
    """
    try:
        with torch.device("meta"):
            network = build_model(model, BANDS, 2)
    except InputError:  # widths of the user's that fit no network: refused where it is built
        return None
    named = [(n, m) for n, m in network.named_modules() if isinstance(m, CONVOLUTIONS)]
    filters = [
        len(tensor) for name, tensor in state.items() if name.endswith("weight") and tensor.ndim > 2
    ]
    if len(filters) != len(named) or filters == [m.out_channels for _, m in named]:
        return None
    pairs = zip(named, filters, strict=True)
    found = tuple(width for (name, module), width in pairs if not follows(name, module))
    try:
        replace(model, widths=found)
    except InputError:
        return None
    return found
