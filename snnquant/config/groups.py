"""Options of a run by the room that reads them: split, network, neuron, conversion, training.

The docstring of a field is the help text of its option. Every class checks its own values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from snnquant.config.networks import IMPORTED, NETWORKS
from snnquant.config.options import ABLATION, UsedFrom, require, require_types
from snnquant.config.scaling_names import forms_of, require_spectra
from snnquant.errors import InputError

_CNN_QUANTIZED, _SNN = UsedFrom("cnn_quantized"), UsedFrom("snn")
_ABLATION = Parameter(group=ABLATION)


def _check(config: Any, field: str, condition: bool, expected: str) -> None:
    require(condition, f"--{field.replace('_', '-')}", getattr(config, field), expected)


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Division of the labelled pixels into training, validation and test pixels.

    Raises:
        InputError: A value is of the wrong type or out of range.

    >>> SplitConfig(protocol="blocks", block_size=8).train_fraction
    0.4
    """

    protocol: Annotated[Literal["random", "blocks", "mask"], Parameter(name="--split")] = "random"
    """Protocol. random: stratified by class; blocks: blocks and a guard band; mask: the card's."""
    train_fraction: float = 0.4
    """Share of labelled pixels for training, validation included, 0 to 1; unused with a mask."""
    validation_fraction: float = 0.1
    """Share of the training pixels held out for every choice that is made, 0 to 1."""
    train_pixels: int = 0
    """Labelled pixels per class for training, validation included, in place of the share; random
    only; at most half of a class, 0 takes the share."""
    validation: Literal["auto", "pixels", "blocks"] = "auto"
    """Validation. pixels: drawn by class; blocks: whole fields or blocks behind a guard band; auto:
    pixels under random, else blocks."""
    block_size: int = 16
    """Side of a spatial block in pixels, at least 2."""
    refit: bool = True
    """Train on validation blocks too, once every choice was made by networks trained without them;
    only where blocks validate."""
    guard: int | None = None
    """Guard band: training pixels (random: test pixels) nearer than this to the other side are
    dropped; by default the window under blocks, 0 under random and mask."""
    drop_small_classes: int = 0
    """Leave out classes of fewer labelled pixels than this; 0 leaves out none."""

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("train_fraction", "validation_fraction"):
            _check(self, name, 0 < getattr(self, name) < 1, "a number between 0 and 1")
        allowed = self.train_pixels == 0 or (self.train_pixels >= 2 and self.protocol == "random")
        _check(
            self, "train_pixels", allowed, "0, or 2 or more pixels per class with --split random"
        )
        _check(self, "block_size", self.block_size >= 2, "at least 2 pixels")
        _check(self, "guard", self.guard is None or self.guard >= 0, "0 or more pixels")
        _check(self, "drop_small_classes", self.drop_small_classes >= 0, "0 or more pixels")

    @property
    def validates_on_blocks(self) -> bool:
        """True where whole fields or blocks of the training side validate."""
        return self.validation == "blocks" or (
            self.validation == "auto" and self.protocol != "random"
        )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of the network, CNN and SNN alike.

    Raises:
        InputError: A value is of the wrong type or out of range, or the network is unknown.

    >>> ModelConfig(name="hybridsn").window
    25
    """

    name: Annotated[str, Parameter(name=("--model", "--architecture"))] = None  # type: ignore[assignment]
    """Network: one that `snnquant models` lists; for convert also FILE.py:CLASS. By default cnn1x1,
    or cnn32h, the default before it, where `--widths` names four convolutions."""
    window: int = None  # type: ignore[assignment]
    """Side of the square patch around a pixel, odd, in pixels; by default the network's own."""
    components: int = None  # type: ignore[assignment]
    """Principal components that replace the bands, 0 keeps bands; by default the network's own."""
    spectra: str = "auto"
    """Form of a pixel's spectrum: raw, snv, log-derivative, or several side by side, joined by +;
    auto is raw, or what suits held-out blocks best where --split tests on unseen ground."""
    widths: Annotated[tuple[int, ...] | None, Parameter(consume_multiple=True, negative="")] = None
    """Filters of each convolution that is not depthwise, of each block of resnet3d; by default the
    network's own."""
    strides: Annotated[tuple[int, ...] | None, Parameter(consume_multiple=True, negative="")] = None
    """Spectral stride of each convolution, 1 where it sees all bands; by default the network's
    own."""
    dropout: float = 0.2
    """Share of the last hidden values dropped in training, 0 to below 1."""
    population: int = 0
    """Output neurons per class, whose mean is its score; 0 sums the last spikes without any."""

    def __post_init__(self) -> None:
        # The network's own values are filled in at once: a stored option always says all.
        if self.name is None:
            four = isinstance(self.widths, tuple) and len(self.widths) == 4
            object.__setattr__(self, "name", "cnn32h" if four else "cnn1x1")
        own = NETWORKS.get(self.name, IMPORTED) if isinstance(self.name, str) else IMPORTED
        for field, value in own._asdict().items():
            if getattr(self, field) is None:
                object.__setattr__(self, field, value)
        require_types(self)
        expected = f"{', '.join(NETWORKS)} or, for convert, FILE.py:CLASS"
        require(self.name in NETWORKS or self.is_own, "--model", repr(self.name), expected)
        odd = self.window >= 1 and self.window % 2 == 1
        _check(self, "window", odd, "an odd number of pixels")
        _check(self, "components", self.components >= 0, "0 or more")
        _check(self, "dropout", 0 <= self.dropout < 1, "0 or more, below 1")
        _check(self, "population", self.population >= 0, "0 or more")
        own_outputs = self.population > 0 and self.is_own
        require(not own_outputs, "--population", self.population, "0 for a network of your own")
        require_spectra(self.spectra)
        for name in ("widths", "strides"):
            positive = all(value >= 1 for value in getattr(self, name) or ())
            _check(self, name, positive, "1 or more each")

    @property
    def is_code(self) -> bool:
        """True for a class in a Python file of the user."""
        return re.fullmatch(r".+\.py:[^\W\d]\w*", self.name, re.DOTALL) is not None

    @property
    def is_own(self) -> bool:
        """True for a network of the user, kept as data: from a class or an ONNX file."""
        return self.is_code or self.name.endswith(".onnx")

    @property
    def forms(self) -> list[str]:
        """Forms of the spectrum that the network sees side by side."""
        return forms_of(self.spectra)

    def inputs(self, bands: int) -> int:
        """Return how many values of a pixel the network sees, for a scene of `bands` bands."""
        if 0 < self.components < bands:
            return self.components
        slopes = self.forms.count("log-derivative") if bands > 1 else 0  # one less than bands
        return bands * len(self.forms) - slopes

    def per_layer(self, option: Literal["widths", "strides"], own: Sequence[int]) -> Sequence[int]:
        """Return an option, or the network's own; raise InputError for another number of them."""
        values: Sequence[int] = getattr(self, option) or own
        if len(values) != len(own):
            raise InputError(
                f"--{option}: found {len(values)} numbers, expected {len(own)} for model "
                f"{self.name}"
            )
        return values


@dataclass(frozen=True, kw_only=True)
class NeuronConfig:
    """Neuron model and its number of time steps.

    Raises:
        InputError: A value is of the wrong type or out of range.

    >>> NeuronConfig(time_steps=3).reset
    'delayed'
    """

    neuron: str = "lif"
    """Neuron model: lif (leaky integrate-and-fire), or one that a plugin registers."""
    time_steps: int = 2
    """Time steps T per classification."""
    reset: Literal["delayed", "same_step", "zero"] = "delayed"
    """Reset. delayed: V is subtracted a step later (ACE-SNN); same_step: at once; zero: to 0."""
    initial: float = 0.5
    """Membrane potential before the first step, in thresholds, 0 to 1; 0.5 centres the rounding."""
    leak: Literal["free", "power-of-two", "two-powers"] = "free"
    """Grid of the leak in training. power-of-two: 1 or 1 - 2^-k, a shift and a subtraction in
    hardware; two-powers: also 1 - 2^-j - 2^-k, k up to 8; free: any, a multiplication."""
    potential_bits: int = 32
    """Bits of a membrane potential in training, 8 to 16, saturating; 32 keeps floating point, which
    the integer engine holds in 32 bits."""
    surrogate: Literal[
        "triangle", "arctan", "boxcar", "polynomial", "clipped", "ste", "identity"
    ] = "triangle"
    """Surrogate for the derivative of the spike in training; the last four as for --estimator."""
    surrogate_scale: float = 1.0
    """Height of the surrogate (gamma); the ACE-SNN line of work uses 0.3."""
    surrogate_width: float = 1.0
    """Half width of the surrogate, in thresholds."""

    def __post_init__(self) -> None:
        require_types(self)
        _check(self, "time_steps", self.time_steps >= 1, "at least 1")
        _check(self, "initial", 0 <= self.initial <= 1, "0 to 1")
        narrow = self.potential_bits in (*range(8, 17), 32)
        _check(self, "potential_bits", narrow, "8 to 16, or 32")
        _check(self, "surrogate_scale", self.surrogate_scale > 0, "above 0")
        _check(self, "surrogate_width", self.surrogate_width > 0, "above 0")


@dataclass(frozen=True, kw_only=True)
class ConversionConfig:
    """Calibration of a converted network's thresholds.

    Raises:
        InputError: A value is not one of the allowed ones.

    >>> ConversionConfig(calibration="mse").correction
    'none'
    """

    calibration: Literal["percentile", "maximum", "mse"] = "percentile"
    """Thresholds. percentile: 99.7 % of pre-activations, scaled on validation; mse: min error."""
    correction: Literal["none", "bias"] = "none"
    """Correction. bias: shift each channel's bias by its mean error; helps with few steps."""

    def __post_init__(self) -> None:
        require_types(self)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Training of the CNN, the quantized CNN, the SNN and its twin.

    Raises:
        InputError: A value is of the wrong type or out of range.

    >>> TrainingConfig(snn_epochs=10).learning_rate
    0.002
    """

    cnn_epochs: int = 40
    """Epochs of the 32-bit CNN."""
    quantized_epochs: Annotated[int, _CNN_QUANTIZED] = 5
    """Epochs of the quantized CNN, which starts from the 32-bit CNN."""
    snn_epochs: Annotated[int, _SNN] = 80
    """Epochs of the SNN, which starts from the converted CNN."""
    twin_epochs: Annotated[int, _SNN] = 0
    """Epochs of the SNN's twin, a CNN with activations of ceil(log2(T + 1)) bits; 0: half of the
    SNN's, after which Indian Pines' validation pixels find it as good as after all of them."""
    batch_size: int = 64
    """Patches per training step, at least 2."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule of CNN and SNN, at most 1; a tenth for the quantized CNN."""
    weight_decay: float = 0.4
    """AdamW's decay of every parameter, 0 to 1 / rate; batch norm keeps the function meanwhile."""
    distillation: Annotated[float, _CNN_QUANTIZED] = 0.9
    """Weight of the teacher's soft labels in the loss of SNN and quantized CNN, 0 to 1."""
    teacher: Annotated[
        Literal["cnn", "twin", "lda", "svm", "cnn+lda", "cnn+svm", "lda+svm", "cnn+lda+svm"], _SNN
    ] = "cnn"
    """Source of the SNN's soft labels, or sources whose mean they are: the CNN; the twin; linear
    discriminant analysis or an SVM of window means, which keep their ground where training pixels
    are few."""
    teacher_passes: Annotated[int, _SNN] = 0
    """Passes within the edges of fields that smooth the teacher's soft labels, 0 to 8."""
    unlabelled: Annotated[float, _CNN_QUANTIZED] = 0.0
    """Unlabelled pixels per labelled one, trained on soft labels only, 0 to 100."""
    snn_start: Annotated[Literal["converted", "random"], _SNN, _ABLATION] = "converted"
    """Start of the SNN's training: the converted CNN, or random weights, leak 1 and threshold 1."""
    snn_batch_norm: Annotated[bool, _SNN, _ABLATION] = True
    """Batch norm after the synapses of SNN and twin in training, folded into their scales."""
    trained_neuron: Annotated[Literal["both", "leak", "threshold", "neither"], _SNN, _ABLATION] = (
        "both"
    )
    """Neuron parameters trained beside the weights: leak and threshold, one of them, or neither."""
    spike_penalty: Annotated[float, _SNN] = 0.0
    """Weight in the loss of SNN and twin of their accumulates per dense MAC of the layers that
    receive spikes (twin: activations other than 0); 0: spikes are free."""
    spike_target: Annotated[float, _SNN] = 0.0
    """Accumulates per MAC, as in --spike-penalty, that SNN and twin may need on validation pixels;
    the weight of the penalty adapts until they are met; 0: the constant weight."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of training. bfloat16: factors of dense layers have 8 significant bits, sums 24."""

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("cnn_epochs", "quantized_epochs", "snn_epochs"):
            _check(self, name, getattr(self, name) >= 1, "at least 1")
        _check(self, "twin_epochs", self.twin_epochs >= 0, "0 or more")
        _check(self, "batch_size", self.batch_size >= 2, "at least 2 (batch norm)")
        # AdamW moves a weight by up to the rate per step, and shrinks it by rate times decay.
        rate = self.learning_rate
        _check(self, "learning_rate", 0 < rate <= 1, "above 0, at most 1")
        _check(self, "weight_decay", 0 <= self.weight_decay <= 1 / rate, "0 to 1 / learning rate")
        _check(self, "distillation", 0 <= self.distillation <= 1, "0 to 1")
        _check(self, "spike_penalty", self.spike_penalty >= 0, "0 or more")
        alone = self.spike_target == 0 or (self.spike_target > 0 and self.spike_penalty == 0)
        _check(self, "spike_target", alone, "0 or more, and 0 beside --spike-penalty")
        _check(self, "teacher_passes", 0 <= self.teacher_passes <= 8, "0 to 8 passes")
        limit = 100.0 if self.distillation else 0.0
        expected = "0 to 100, and 0 without distillation"
        _check(self, "unlabelled", 0 <= self.unlabelled <= limit, expected)


@dataclass(frozen=True, kw_only=True)
class ConfidenceConfig:
    """Smoothing of maps, and confidence in them.

    Raises:
        InputError: A value is of the wrong type or out of range.

    >>> ConfidenceConfig(smoothing="2").strength, ConfidenceConfig(smoothing="edges:5").strength
    ((2.0, 0), (0.0, 5))
    """

    smoothing: str = "auto"
    """Mean of neighbours' class probabilities in a map: a Gaussian's sigma in pixels, at most 20;
    edges:N, N passes within the edges of fields, at most 8; 0: none; auto: the weakest that is
    about as accurate as the best on validation pixels."""
    unknown_accuracy: float = 0.0
    """Accuracy for which the least certain pixels are unknown, 0 to below 1; 0: none are."""

    def __post_init__(self) -> None:
        require_types(self)
        expected = "auto, 0 to 20 pixels, or edges:N with 1 to 8 passes"
        try:
            sigma, _ = self.strength or (0.0, 0)
            fits = 0 <= sigma <= 20
        except ValueError:
            fits = False
        _check(self, "smoothing", fits, expected)
        accuracy = self.unknown_accuracy
        _check(self, "unknown_accuracy", 0 <= accuracy < 1, "0 or more, below 1")

    @property
    def strength(self) -> tuple[float, int] | None:
        """Sigma of the Gaussian in pixels, and passes within edges; None where validation chooses.

        Raises:
            ValueError: `smoothing` is none of the allowed values.
        """
        if self.smoothing == "auto":
            return None
        kind, _, passes = self.smoothing.rpartition(":")
        if not kind:
            return float(self.smoothing), 0
        if kind != "edges" or not 1 <= int(passes) <= 8:
            raise ValueError(self.smoothing)
        return 0.0, int(passes)
