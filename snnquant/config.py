"""What a run can be told: frozen dataclasses, read by the command line and stored in every run.

On the command line and in TOML files every option stands by its own flat name (`--bits`,
`bits = 6`); in Python the options are grouped by the room that reads them. Torch is not imported
here, so that `snnquant --help` stays fast. Every class checks its own values.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from snnquant.errors import InputError

FLAT = Parameter(name="*")


def _require(condition: bool, option: str, found: object, expected: str) -> None:
    if not condition:
        raise InputError(f"--{option.replace('_', '-')}: found {found}, expected {expected}")


def _require_types(config: Any) -> None:
    """Check fields against their annotations: files and Python callers may give anything."""
    hints = typing.get_type_hints(type(config))
    for option, (name, *nested) in _options(type(config)):
        if not nested:
            value = getattr(config, name)
            _require(_fits(value, hints[name]), option, repr(value), _described(hints[name]))


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type; `bool` is no number, NaN and infinity neither."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return any(_fits(value, choice) for choice in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, inner[0]) for item in value)
    if hint is float:
        return type(value) in (int, float) and -math.inf < value < math.inf
    return type(value) is hint


def _described(hint: Any) -> str:
    """An annotated type in the words of an error message."""
    if typing.get_origin(hint) is types.UnionType:
        return _described(typing.get_args(hint)[0])
    if typing.get_origin(hint) is Literal:
        *others, last = typing.get_args(hint)
        return f"{', '.join(others)} or {last}"
    names = {int: "a whole number", float: "a finite number", str: "text"}
    return names.get(hint, "whole numbers")


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How the labelled pixels are divided into training, validation and test."""

    protocol: Annotated[Literal["random", "blocks", "mask"], Parameter(name="--split")] = "random"
    """random: stratified by class; blocks: whole blocks and a guard band; mask: the card's own."""
    train_fraction: float = 0.4
    """Share of the labelled pixels given to training, validation included (not for a mask)."""
    validation_fraction: float = 0.1
    """Share of the training pixels held out for every choice that is made."""
    block_size: int = 16
    """Side of a spatial block in pixels (blocks only)."""

    def __post_init__(self) -> None:
        _require_types(self)
        for name in ("train_fraction", "validation_fraction"):
            value = getattr(self, name)
            _require(0 < value < 1, name, value, "a number between 0 and 1")
        _require(self.block_size >= 2, "block_size", self.block_size, "at least 2 pixels")


OWN_INPUTS: dict[str, tuple[int, int]] = {
    "cnn32h": (5, 0),
    "cnn3d": (5, 0),
    "hamida": (5, 0),
    "luo": (3, 0),
    "hybridsn": (25, 30),
    "li": (5, 0),
    "makantasis": (5, 30),
    "hu": (1, 0),
    "hu_relu": (1, 0),
}
"""Window and principal components of every network where nothing else is asked for."""
USER_INPUTS = (5, 0)
"""The same for a network of the user's own."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of the network, CNN and SNN alike."""

    name: Annotated[str, Parameter(name=("--model", "--architecture"))] = "cnn32h"
    """A network that `snnquant models` lists; for convert also FILE.py:CLASS."""
    window: int = None  # type: ignore[assignment]
    """Side of the square patch around a pixel, odd; none takes the model's own."""
    components: int = None  # type: ignore[assignment]
    """Principal components in place of the bands, 0 keeps these; none takes the model's own."""
    widths: Annotated[tuple[int, ...] | None, Parameter(consume_multiple=True, negative="")] = None
    """Filters of each convolution; none takes the model's own."""
    dropout: float = 0.2
    """Share of the last hidden values dropped in training."""

    def __post_init__(self) -> None:
        # What stands for "the model's own" is replaced at once: a stored option always says all.
        own = OWN_INPUTS.get(self.name, USER_INPUTS) if isinstance(self.name, str) else USER_INPUTS
        for field_name, value in zip(("window", "components"), own, strict=True):
            if getattr(self, field_name) is None:
                object.__setattr__(self, field_name, value)
        _require_types(self)
        known = ", ".join(OWN_INPUTS)
        expected = f"{known} or, for convert, FILE.py:CLASS"
        _require(self.name in OWN_INPUTS or self.is_own, "model", repr(self.name), expected)
        _require(
            self.window >= 1 and self.window % 2 == 1,
            "window",
            self.window,
            "an odd number of pixels",
        )
        _require(self.components >= 0, "components", self.components, "0 or more")
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "0 or more, below 1")
        _require(
            self.widths is None or all(w >= 1 for w in self.widths),
            "widths",
            self.widths,
            "1 or more each",
        )

    @property
    def is_code(self) -> bool:
        """Whether `name` is a class in a file of the user's own."""
        return re.fullmatch(r".+\.py:[^\W\d]\w*", self.name, re.DOTALL) is not None

    @property
    def is_own(self) -> bool:
        """Whether the network is the user's own, kept as data: such a class, or an ONNX file's."""
        return self.is_code or self.name.endswith(".onnx")

    def inputs(self, bands: int) -> int:
        """Values of a pixel that the network sees: `components`, or all `bands` if no fewer."""
        return self.components if 0 < self.components < bands else bands


@dataclass(frozen=True, kw_only=True)
class QuantizationConfig:
    """Uniform quantization of the weights, and of leaks and thresholds if asked."""

    bits: int = 6
    """Bits of a weight, 2 to 8, or 32: floating point, nothing is quantized."""
    scheme: Literal["symmetric", "affine"] = "symmetric"
    """symmetric: 2^b - 1 levels around 0; affine: 2^b levels from the minimum to the maximum."""
    granularity: Literal["channel", "tensor"] = "channel"
    """One scale an output channel, or one a tensor."""
    clip: Literal["max", "mse"] = "max"
    """max: the range follows the largest weight; mse: fixed where the squared error is least."""
    neuron_bits: int | None = None
    """Fixed-point bits of leak and threshold, 2 to 16; none leaves them in floating point."""

    def __post_init__(self) -> None:
        _require_types(self)
        _require(2 <= self.bits <= 8 or self.bits == 32, "bits", self.bits, "2 to 8, or 32")
        if self.neuron_bits is not None:
            _require(2 <= self.neuron_bits <= 16, "neuron_bits", self.neuron_bits, "2 to 16")


@dataclass(frozen=True, kw_only=True)
class NeuronConfig:
    """The neuron and how long it runs."""

    neuron: str = "lif"
    """lif (leaky integrate-and-fire), or the name of a neuron model that a plugin registers."""
    time_steps: int = 5
    """Time steps T of one classification."""
    reset: Literal["delayed", "same_step", "zero"] = "delayed"
    """delayed: V is taken off a step after the spike (ACE-SNN); same_step: at once; zero: to 0."""
    initial: float = 0.5
    """Membrane potential before the first step, in thresholds; 0.5 centres the rounding (QCFS)."""
    surrogate: Literal["triangle", "arctan", "boxcar"] = "triangle"
    """Stands in for the derivative of the spike."""
    surrogate_scale: float = 1.0
    """Height of the surrogate (gamma); ACE-SNN's neighbours use 0.3."""
    surrogate_width: float = 1.0
    """Half width of the surrogate, in thresholds."""

    def __post_init__(self) -> None:
        _require_types(self)
        _require(self.time_steps >= 1, "time_steps", self.time_steps, "at least 1")
        _require(0 <= self.initial <= 1, "initial", self.initial, "0 to 1")
        _require(self.surrogate_scale > 0, "surrogate_scale", self.surrogate_scale, "above 0")
        _require(self.surrogate_width > 0, "surrogate_width", self.surrogate_width, "above 0")


@dataclass(frozen=True, kw_only=True)
class ConversionConfig:
    """How the thresholds of a converted network are found."""

    calibration: Literal["percentile", "maximum", "mse"] = "percentile"
    """percentile: 99.7 % of pre-activations, scaled by validation; maximum; mse: least error."""
    correction: Literal["none", "bias"] = "none"
    """bias: each channel's bias makes up for what its spikes lack in the mean, for few steps."""

    def __post_init__(self) -> None:
        _require_types(self)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The loop that trains the CNN, the quantized CNN and the SNN."""

    cnn_epochs: int = 40
    """Epochs of the 32-bit CNN."""
    quantized_epochs: int = 5
    """Epochs of the quantized CNN, which starts from the 32-bit one."""
    snn_epochs: int = 80
    """Epochs of the SNN, which starts from the converted CNN."""
    batch_size: int = 64
    """Patches a step."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule of CNN and SNN; the quantized CNN's is a tenth of it."""
    weight_decay: float = 0.4
    """AdamW's decay of every parameter; batch norm keeps the function as weights shrink."""
    distillation: float = 0.9
    """Weight of the CNN's soft labels in the loss of the SNN and of the quantized CNN."""
    unlabelled: float = 0.0
    """Pixels without any label for each labelled one: they learn the CNN's soft labels alone."""
    snn_start: Literal["converted", "random"] = "converted"
    """What the SNN starts from: the converted CNN, or random weights, leak 1 and threshold 1."""
    snn_batch_norm: bool = True
    """Batch norm behind the SNN's synapses in training, folded into their channels' scales then."""
    trained_neuron: Literal["both", "leak", "threshold", "neither"] = "both"
    """What is trained of the neurons, besides the weights: leak and threshold, one, or neither."""
    spike_penalty: float = 0.0
    """Weight in the SNN's loss of its accumulates over the dense CNN's (0: spikes are free)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: factors in dense layers keep 8 significant bits in training, sums float32's 24."""

    def __post_init__(self) -> None:
        _require_types(self)
        for name in ("cnn_epochs", "quantized_epochs", "snn_epochs"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2 (batch norm)")
        # A step of AdamW moves a weight by up to the rate, and shrinks it by rate times decay.
        rate, decay = self.learning_rate, self.weight_decay
        _require(0 < rate <= 1, "learning_rate", rate, "above 0, at most 1")
        _require(0 <= decay <= 1 / rate, "weight_decay", decay, "0 to 1 / learning rate")
        _require(0 <= self.distillation <= 1, "distillation", self.distillation, "0 to 1")
        _require(self.spike_penalty >= 0, "spike_penalty", self.spike_penalty, "0 or more")
        share, most = self.unlabelled, 100.0 if self.distillation else 0.0
        _require(0 <= share <= most, "unlabelled", share, "0 to 100, and 0 without distillation")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run's result."""

    scene: str = "indian_pines"
    """A scene card's name, the path of your own card (.toml), or synthetic:HxWxB."""
    seed: int = 0
    """Seed of the split, the initial weights and the order of the patches."""
    hardware: str = "sram_65nm"
    """In-memory hardware that prices the first layer: a name or a TOML file."""
    split: Annotated[SplitConfig, FLAT] = field(default_factory=SplitConfig)
    model: Annotated[ModelConfig, FLAT] = field(default_factory=ModelConfig)
    quantization: Annotated[QuantizationConfig, FLAT] = field(default_factory=QuantizationConfig)
    neuron: Annotated[NeuronConfig, FLAT] = field(default_factory=NeuronConfig)
    conversion: Annotated[ConversionConfig, FLAT] = field(default_factory=ConversionConfig)
    training: Annotated[TrainingConfig, FLAT] = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        _require_types(self)
        _require(0 <= self.seed < 2**64, "seed", self.seed, "0 or more, below 2^64")
        one_scale = self.quantization.bits < 32 and self.quantization.granularity == "tensor"
        if one_scale and self.training.snn_batch_norm:
            raise InputError(
                "--granularity: found tensor, expected channel, or --no-snn-batch-norm: batch norm "
                "cannot be folded into one scale a tensor"
            )


def _options(cls: type) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Flat option names of a config class with the path of the field each one sets."""
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        base, *extras = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
        if dataclasses.is_dataclass(base):
            yield from (
                (option, (name, *path)) for option, path in _options(typing.cast(type, base))
            )
        else:
            given = next(
                (next(iter(p.name)) for p in extras if isinstance(p, Parameter) and p.name), name
            )
            yield given.removeprefix("--"), (name,)


def write_config(config: RunConfig) -> str:
    """The flat TOML text of a run's configuration; `None` is left out, being every such default."""
    lines = []
    for option, path in _options(RunConfig):
        value: Any = config
        for name in path:
            value = getattr(value, name)
        if value is not None:
            # JSON's strings, numbers and arrays are TOML's too, but for the two halves that JSON
            # escapes a rare character as, and for DEL, which only TOML wants escaped.
            text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
            lines.append(f"{option} = {text}\n")
    return "".join(lines)


def read_config(path: Path) -> RunConfig:
    """Read what `write_config` wrote.

    Raises InputError where the file is missing, is no TOML or holds an unknown option or a value
    that the option cannot take.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a run's configuration") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable TOML file ({error})") from None
    groups: dict[str, dict[str, Any]] = {}
    own: dict[str, Any] = {}
    for option, path_of_field in _options(RunConfig):
        if option in values:
            value = values.pop(option)
            value = tuple(value) if isinstance(value, list) else value
            target = groups.setdefault(path_of_field[0], {}) if len(path_of_field) == 2 else own
            target[path_of_field[-1]] = value
    if values:
        raise InputError(f"{path}: unknown option {next(iter(values))!r}")
    hints = typing.get_type_hints(RunConfig)
    try:
        return RunConfig(**own, **{name: hints[name](**group) for name, group in groups.items()})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
