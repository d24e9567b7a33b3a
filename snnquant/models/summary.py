"""A summary of every network: source, size and operations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from snnquant.config import NETWORKS, ModelConfig
from snnquant.models.own import build_model
from snnquant.models.published import PUBLISHED
from snnquant.nn.layer_table import layer_table, parameter_count


@dataclass(frozen=True)
class ModelSummary:
    """A network on its own window; `refused` is the reason why it cannot become an SNN, or None."""

    name: str
    paper: str
    window: int
    components: int
    parameters: int
    mac: int
    refused: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, and `convertible`."""
        return asdict(self) | {"convertible": self.refused is None}


def summarise_models(bands: int, classes: int) -> list[ModelSummary]:
    """Summarise every network that `ModelConfig.name` may name; no weights are allocated."""
    summaries = []
    for name in NETWORKS:
        config = ModelConfig(name=name)
        with torch.device("meta"):
            model = build_model(config, bands, classes)
            patch = torch.empty(1, 1, config.inputs(bands), config.window, config.window)
            mac = sum(row.mac for row in layer_table(model, patch))
        paper, refused = "this package", None
        if name in PUBLISHED:
            paper, refused = PUBLISHED[name].paper, PUBLISHED[name].refused
        summaries.append(
            ModelSummary(
                name,
                paper,
                config.window,
                config.components,
                parameter_count(model),
                mac,
                refused,
            )
        )
    return summaries
