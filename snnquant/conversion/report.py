"""What a conversion did, layer by layer and in figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from snnquant.conversion.rewriting import Match


@dataclass(frozen=True)
class ConversionReport:
    """What the conversion chose, and what came of it.

    For every LIF layer: the percentile of the CNN's pre-activations, the factor and their product,
    the threshold; the share of its neurons that spike in a step; and the relative error of
    threshold times rate against the CNN's activation, in the root mean square over the calibration
    inputs. `validation_accuracy` is the SNN's, `cnn_accuracy` the CNN's, and `accuracies` the SNN's
    with other `time_steps` and everything else the same; without a score they are None and empty.
    `operations` says what became of each of the CNN's.
    """

    layers: tuple[str, ...]
    percentiles: tuple[float, ...]
    scales: tuple[float, ...]
    thresholds: tuple[float, ...]
    firing_rates: tuple[float, ...]
    errors: tuple[float, ...]
    calibration: str
    correction: str
    cnn_accuracy: float | None
    validation_accuracy: float | None
    time_steps: tuple[int, ...]
    accuracies: tuple[float, ...]
    operations: tuple[Match, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)
