"""Conversion of a CNN to an SNN whose firing rates follow the CNN's activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from snnquant.config import ConversionConfig, NeuronConfig
from snnquant.conversion.comparison import compare, correct_biases
from snnquant.conversion.reference import ReferenceCNN, allowed
from snnquant.conversion.rewriting import Match, rewrite
from snnquant.conversion.thresholds import (
    percentile,
    preactivations,
    set_thresholds,
    starting_thresholds,
)
from snnquant.quantization.activations import QuantizedReLU
from snnquant.spiking import SpikingNetwork

SCALES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
"""Factors of the percentile tried on the validation inputs."""
TIME_STEPS = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of steps for which the report has the SNN's score."""
MAX_COMPARED = 256
"""Calibration inputs on which rates, errors and biases are measured."""
NEURON, CONVERSION = NeuronConfig(), ConversionConfig()
Accuracy = Callable[[nn.Module], float]
"""A network's score on validation inputs, of the SNN or of the CNN."""


def convert(
    module: nn.Module,
    example: Tensor,
    calibration: Tensor,
    *,
    neuron: NeuronConfig = NEURON,
    conversion: ConversionConfig = CONVERSION,
    accuracy: Accuracy | None = None,
) -> tuple[SpikingNetwork, ConversionReport]:
    """Convert a trained CNN to an SNN of the same shape.

    Each threshold starts from a statistic of the CNN's pre-activations on `calibration`; that of a
    quantized ReLU is its learnt ceiling. With an
    `accuracy`, a percentile is scaled by the factors that score best: one for all layers first,
    then layer by layer from the input on.

    Args:
        module: The CNN, in any state of training; it is not changed.
        example: Any input [N, ...] of the right shape.
        calibration: Inputs [M, ...] as the CNN meets them, some hundred of them.
        neuron: Neurons and time steps of the SNN.
        conversion: Statistic of the thresholds, and whether biases are corrected.
        accuracy: Scores a network on validation inputs; it is called with the SNN and with the CNN.

    Returns:
        The SNN in evaluation mode, and the report: thresholds, firing rates and errors per layer,
        scores, and the counterpart of each of the CNN's operations.

    Raises:
        InputError: One line that names an operation without a spiking form, its line in the user's
            source and what to do about it.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from snnquant.config import NeuronConfig
        >>> from snnquant.conversion import convert
        >>> _ = torch.manual_seed(0)
        >>> cnn = nn.Sequential(nn.Flatten(), nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 3)).eval()
        >>> patches = torch.rand(200, 1, 30, 1, 1)
        >>> snn, report = convert(cnn, patches[:1], patches, neuron=NeuronConfig(time_steps=64))
        >>> report.layers
        ('2',)
        >>> same = snn(patches).argmax(1) == cnn(patches).argmax(1)
        >>> bool(same.float().mean() > 0.9)
        True
    """
    reference, operations = rewrite(module, example)
    values = preactivations(reference, calibration)
    percentiles = {name: percentile(x) for name, x in values.items()}
    thresholds = starting_thresholds(reference, values, conversion.calibration, neuron)
    del values
    snn = reference.spiking(neuron).eval()
    if accuracy is not None and conversion.calibration == "percentile":
        thresholds = _search(snn, reference, percentiles, accuracy)
    set_thresholds(snn, reference, thresholds)
    if conversion.correction == "bias":
        correct_biases(snn, reference, thresholds, calibration[:MAX_COMPARED])
    comparison = compare(snn, reference, thresholds, calibration[:MAX_COMPARED])
    report = ConversionReport(
        layers=tuple(thresholds),
        percentiles=tuple(percentiles.values()),
        scales=tuple(round(v / percentiles[name], 9) for name, v in thresholds.items()),
        thresholds=tuple(thresholds.values()),
        firing_rates=tuple(row.rate for row in comparison.values()),
        errors=tuple(row.error for row in comparison.values()),
        calibration=conversion.calibration,
        correction=conversion.correction,
        cnn_accuracy=None if accuracy is None else accuracy(reference),
        validation_accuracy=None if accuracy is None else accuracy(snn),
        time_steps=() if accuracy is None else TIME_STEPS,
        accuracies=() if accuracy is None else _by_time_steps(snn, accuracy),
        operations=tuple(operations),
    )
    return snn, report


def _search(
    snn: SpikingNetwork, reference: ReferenceCNN, percentiles: dict[str, float], accuracy: Accuracy
) -> dict[str, float]:
    """Find the thresholds that score best, each its percentile times one of `SCALES`."""
    activations = reference.activations()

    def scaled(scales: list[float]) -> dict[str, float]:
        rows = zip(percentiles.items(), scales, strict=True)
        return {name: allowed(activations[name], p * scale) for (name, p), scale in rows}

    def score(scales: list[float]) -> float:
        set_thresholds(snn, reference, scaled(scales))
        return accuracy(snn)

    candidates = [[scale] * len(percentiles) for scale in SCALES]
    scores = [score(candidate) for candidate in candidates]
    best = max(scores)
    scales = candidates[scores.index(best)]
    learnt = [isinstance(layer, QuantizedReLU) for layer in activations.values()]
    for layer in (i for i, fixed in enumerate(learnt) if not fixed):
        for scale in SCALES:
            trial = [*scales[:layer], scale, *scales[layer + 1 :]]
            if (reached := score(trial)) > best:
                best, scales = reached, trial
    return scaled(scales)


def _by_time_steps(snn: SpikingNetwork, accuracy: Accuracy) -> tuple[float, ...]:
    """Score the SNN at each of `TIME_STEPS`."""
    own, scores = snn.time_steps, []
    for snn.time_steps in TIME_STEPS:
        scores.append(accuracy(snn))
    snn.time_steps = own
    return tuple(scores)


@dataclass(frozen=True)
class ConversionReport:
    """The thresholds that a conversion chose, and how close the SNN is to the CNN.

    Attributes:
        layers: Names of the LIF layers; the next five have a value per layer.
        percentiles: Percentile of the CNN's pre-activations.
        scales: Factor of the percentile.
        thresholds: Product of the two, in units of the CNN's activations.
        firing_rates: Spikes per neuron per step.
        errors: Relative error of threshold times rate against the CNN's activation, root mean
            square over the calibration inputs.
        calibration: Statistic that the thresholds start from.
        correction: Correction of the biases, `none` or `bias`.
        cnn_accuracy: The CNN's score; None without a score.
        validation_accuracy: The SNN's score; None without a score.
        time_steps: Numbers of steps T at which the SNN was scored.
        accuracies: The SNN's score at each of these, everything else being the same.
        operations: The counterpart of each of the CNN's operations.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from snnquant.conversion import convert
        >>> cnn = nn.Sequential(nn.Flatten(), nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
        >>> patches = torch.rand(50, 1, 30, 1, 1)
        >>> _, report = convert(cnn, patches[:1], patches)
        >>> [(match.found, match.action, match.layer) for match in report.operations[1:3]]
        [('Linear', 'matched', '1'), ('ReLU', 'replaced', '2')]
        >>> sorted(report.to_dict())[:3]
        ['accuracies', 'calibration', 'cnn_accuracy']
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
        """Return the fields as JSON values."""
        return asdict(self)
