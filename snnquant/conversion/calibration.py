"""From a CNN to an SNN that fires at the rates the CNN's activations call for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from snnquant.config import ConversionConfig, NeuronConfig
from snnquant.conversion.comparison import compare, correct_biases
from snnquant.conversion.reference import Twin, ceiling
from snnquant.conversion.rewriting import Match, rewrite
from snnquant.conversion.thresholds import (
    percentile,
    preactivations,
    set_thresholds,
    starting_thresholds,
)
from snnquant.spiking import SpikingNetwork

SCALES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
"""Factors of the percentile tried on the validation inputs."""
TIME_STEPS = (1, 2, 4, 8, 16, 32, 64)
"""Steps that the report scores the SNN at."""
COMPARED = 256
"""Calibration inputs on which rates, errors and biases are measured."""
NEURON, CONVERSION = NeuronConfig(), ConversionConfig()
Accuracy = Callable[[nn.Module], float]
"""A network's score on validation inputs; gets the SNN, and the CNN as it was read."""


def convert(
    module: nn.Module,
    example: Tensor,
    calibration: Tensor,
    *,
    neuron: NeuronConfig = NEURON,
    conversion: ConversionConfig = CONVERSION,
    accuracy: Accuracy | None = None,
) -> tuple[SpikingNetwork, ConversionReport]:
    """An SNN of a trained CNN's shape, and what was done to get there.

    `example` is any input [N, ...] of the right shape, `calibration` inputs [M, ...] as the CNN
    meets them. Each threshold starts from a statistic of the CNN's pre-activations on these.
    With an `accuracy` a percentile is scaled: one factor for all layers first, then layer by layer
    from the input on, whatever scores best. `module` is left as it is.
    Raises InputError, one line that names operation and source, for what has no spiking form.
    """
    twin, operations = rewrite(module, example)
    values = preactivations(twin, calibration)
    percentiles = {name: percentile(x) for name, x in values.items()}
    thresholds = starting_thresholds(twin, values, conversion.calibration, neuron)
    del values
    snn = twin.spiking(neuron).eval()
    if accuracy is not None and conversion.calibration == "percentile":
        thresholds = _search(snn, twin, percentiles, accuracy)
    set_thresholds(snn, twin, thresholds)
    if conversion.correction == "bias":
        correct_biases(snn, twin, thresholds, calibration[:COMPARED])
    comparison = compare(snn, twin, thresholds, calibration[:COMPARED])
    report = ConversionReport(
        layers=tuple(thresholds),
        percentiles=tuple(percentiles.values()),
        scales=tuple(round(v / percentiles[name], 9) for name, v in thresholds.items()),
        thresholds=tuple(thresholds.values()),
        firing_rates=tuple(row.rate for row in comparison.values()),
        errors=tuple(row.error for row in comparison.values()),
        calibration=conversion.calibration,
        correction=conversion.correction,
        cnn_accuracy=None if accuracy is None else accuracy(twin),
        validation_accuracy=None if accuracy is None else accuracy(snn),
        time_steps=() if accuracy is None else TIME_STEPS,
        accuracies=() if accuracy is None else _by_time_steps(snn, accuracy),
        operations=tuple(operations),
    )
    return snn, report


def _search(
    snn: SpikingNetwork, twin: Twin, percentiles: dict[str, float], accuracy: Accuracy
) -> dict[str, float]:
    """The thresholds that score best, each its percentile times one of `SCALES`."""
    ceilings = [ceiling(layer) for layer in twin.activations().values()]

    def scaled(scales: list[float]) -> dict[str, float]:
        rows = zip(percentiles.items(), scales, ceilings, strict=True)
        return {name: min(p * scale, limit) for (name, p), scale, limit in rows}

    def score(scales: list[float]) -> float:
        set_thresholds(snn, twin, scaled(scales))
        return accuracy(snn)

    candidates = [[scale] * len(percentiles) for scale in SCALES]
    scores = [score(candidate) for candidate in candidates]
    best = max(scores)
    scales = candidates[scores.index(best)]
    for layer in range(len(percentiles)):
        for scale in SCALES:
            trial = [*scales[:layer], scale, *scales[layer + 1 :]]
            if (reached := score(trial)) > best:
                best, scales = reached, trial
    return scaled(scales)


def _by_time_steps(snn: SpikingNetwork, accuracy: Accuracy) -> tuple[float, ...]:
    """The SNN's scores at each of `TIME_STEPS`."""
    own, scores = snn.time_steps, []
    for snn.time_steps in TIME_STEPS:
        scores.append(accuracy(snn))
    snn.time_steps = own
    return tuple(scores)


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
