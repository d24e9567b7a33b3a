"""Options of a whole run, and the TOML file that keeps them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

from cyclopts import Parameter

from snnquant.config import options
from snnquant.config.groups import (
    ConfidenceConfig,
    ConversionConfig,
    ModelConfig,
    NeuronConfig,
    SplitConfig,
    TrainingConfig,
)
from snnquant.config.methods import DEFAULT_METHOD, MethodConfig, QuantizationConfig, find_method
from snnquant.config.options import (
    STAGES,
    Option,
    StageName,
    UsedFrom,
    options_of,
    require,
    require_types,
    section,
)
from snnquant.config.scaling_names import PIXEL_BITS, require_scaling
from snnquant.errors import InputError

if TYPE_CHECKING:
    AnyMethod: TypeAlias = MethodConfig
else:
    AnyMethod = QuantizationConfig  # whose options the command line shows where none is named


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run's result.

    Raises:
        InputError: A value is of the wrong type or out of range, or two options do not fit.

    >>> config = RunConfig(scene="synthetic:24x24x16", neuron=NeuronConfig(time_steps=3))
    >>> config.neuron.time_steps, config.quantization.bits
    (3, 6)
    """

    scene: Annotated[str, Parameter(group=options.SCENE)] = "indian_pines"
    """Scene: a scene card's name, the path of a card (.toml), or synthetic:HxWxB."""
    seed: Annotated[int, Parameter(group=options.SPLIT)] = 0
    """Seed of the split, the initial weights and the order of the patches."""
    hardware: Annotated[str, Parameter(group=options.OUTPUT), UsedFrom("evaluation")] = "sram_65nm"
    """In-memory hardware that the first layer is simulated on: a name or a TOML file."""
    chip: Annotated[str, Parameter(group=options.OUTPUT), UsedFrom("evaluation")] = "edge_22nm"
    """Chip that the networks are compared on, memory included: a name or a TOML file."""
    scaling: Annotated[str, Parameter(group=options.NETWORK)] = "auto"
    """Pixels: standard, within-class, within-class:X, none, minmax, minmax-band, divide:X, whiten
    or FILE.npz; auto is the card's, else what suits held-out blocks best where these validate,
    else within-class:0.3 for networks that take it into their first weights (cnn1x1...) and
    standard for others, or the scaling that an imported CNN scores best with."""
    pixel_bits: Annotated[int, Parameter(group=options.QUANTIZATION)] = None  # type: ignore[assignment]
    """Bits of the values that CNN and SNN receive, 2 to 14, one grid for all from the training
    pixels; 32 keeps floating point; by default 8, or 32 where nothing else is quantized."""
    split: Annotated[SplitConfig, section(options.SPLIT)] = field(default_factory=SplitConfig)
    model: Annotated[ModelConfig, section(options.NETWORK)] = field(default_factory=ModelConfig)
    quantization: Annotated[AnyMethod, section(options.QUANTIZATION), UsedFrom("cnn_quantized")] = (
        field(default_factory=QuantizationConfig)
    )
    neuron: Annotated[NeuronConfig, section(options.NEURON), UsedFrom("conversion")] = field(
        default_factory=NeuronConfig
    )
    conversion: Annotated[ConversionConfig, section(options.CONVERSION), UsedFrom("conversion")] = (
        field(default_factory=ConversionConfig)
    )
    training: Annotated[TrainingConfig, section(options.TRAINING)] = field(
        default_factory=TrainingConfig
    )
    confidence: Annotated[ConfidenceConfig, section(options.OUTPUT), UsedFrom("evaluation")] = (
        field(default_factory=ConfidenceConfig)
    )

    def __post_init__(self) -> None:
        if self.pixel_bits is None:  # filled in at once: a stored option always says all
            object.__setattr__(self, "pixel_bits", 32 if self.quantization.bits == 32 else 8)
        require_types(self)
        known = self.pixel_bits in PIXEL_BITS or self.pixel_bits == 32
        require(known, "--pixel-bits", self.pixel_bits, "2 to 14, or 32")
        require(0 <= self.seed < 2**64, "--seed", self.seed, "0 or more, below 2^64")
        require_scaling(self.scaling)
        coarse = self.neuron.leak != "free" or self.neuron.potential_bits < 32
        bits = getattr(self.quantization, "neuron_bits", None)
        expected = "none where --leak or --potential-bits has a grid of its own"
        require(not (coarse and bits), "--neuron-bits", bits, expected)
        if self.quantization.bits < 32 and self.training.snn_batch_norm:
            self.quantization.require_channel_scales()


def run_config_type(method: type[MethodConfig]) -> type[RunConfig]:
    """Return `RunConfig` with the options of one quantization method.

    The command line and TOML files take their options from it. Those of a method other than
    uniform have a prefix: `--quantization.bits`, and `bits` in a table of the method's name.

    Raises:
        InputError: The method has the name of an option.
    """
    if method is QuantizationConfig:
        return RunConfig
    name = method.method
    if name in {option.name.partition(".")[0] for option in options_of(RunConfig)}:
        raise InputError(f"quantization method: found the name {name!r} of an option")
    hint = Annotated[method, section(options.QUANTIZATION), UsedFrom("cnn_quantized")]  # type: ignore[valid-type]
    own = ("quantization", hint, field(default_factory=method))
    space = {"__module__": __name__}
    made = make_dataclass(
        "RunConfig", [own], bases=(RunConfig,), namespace=space, frozen=True, kw_only=True
    )
    return cast(type[RunConfig], made)


def options_before(config: RunConfig, stage: StageName) -> dict[str, Any]:
    """Return the values of the options that a stage's result depends on, by option name.

    Results of a stage can be reused by runs that agree in these.

    Args:
        config: Options of a run.
        stage: The stage: "cnn", "cnn_quantized", "conversion", "snn" or "evaluation".

    >>> "snn_epochs" in options_before(RunConfig(), "cnn")
    False
    """
    return {
        option.name: option.value(config)
        for option in _options(config.quantization)
        if STAGES.index(option.stage) <= STAGES.index(stage)
    }


def _options(method: MethodConfig) -> list[Option]:
    return list(options_of(run_config_type(type(method))))


def write_config(config: RunConfig) -> str:
    """Return the TOML text of a run's options, one line per option, defaults included.

    Options that are None are left out, since None is their default. Options of a quantization
    method other than uniform stand in a table of its name at the end.

    >>> write_config(RunConfig()).splitlines()[:2]
    ['scene = "indian_pines"', 'seed = 0']
    """
    flat: list[str] = []
    table: list[str] = []
    for option in _options(config.quantization):
        value = option.value(config)
        if value is not None:
            # JSON's strings, numbers and arrays are TOML's too, except the two halves that JSON
            # escapes a rare character as, and DEL, which only TOML wants escaped.
            text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
            method, _, name = option.name.rpartition(".")
            (table if method else flat).append(f"{name} = {text}\n")
    heading = [f"\n[{config.quantization.method}]\n"] if table else []
    return "".join([*flat, *heading, *table])


BEFORE: Mapping[str, Any] = {
    "validation": "pixels",
    "pixel_bits": 32,
    "model": "cnn32h",
    "time_steps": 5,
}
"""Options whose defaults are not what runs did before them, with what these did."""


def with_options_of_before(values: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the values of a run's config.toml by `BEFORE`, and by uniform's own.

    >>> with_options_of_before({"bits": 3})["activation_bits"]
    32
    """
    uniform = values.get("quantization", DEFAULT_METHOD) == DEFAULT_METHOD
    return {**BEFORE, **(QuantizationConfig.before if uniform else {}), **values}


def read_config(path: Path) -> RunConfig:
    """Read the options of a run from a TOML file as `write_config` writes it.

    Args:
        path: The file. Options that it leaves out have their defaults, or those of before: the file
            of a run lacks only options that came after it. `quantization` names the
            method; options of a method other than uniform are in a table of its name.

    Raises:
        InputError: The file is missing or no TOML, an option is unknown or a value not allowed.
    """
    try:
        values = with_options_of_before(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a run's configuration") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable TOML file ({error})") from None
    try:
        return config_from_values(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def config_from_values(values: Mapping[str, Any]) -> RunConfig:
    """Return the options of values by their keys in TOML; options left out have their defaults.

    Args:
        values: Values as `write_config` writes them. Those of a method other than uniform are in a
            table of its name.

    Raises:
        InputError: An option is unknown or a value not allowed.

    >>> config_from_values({"time_steps": 3, "widths": [4, 4]}).model.widths
    (4, 4)
    """
    method = find_method(values.get("quantization", DEFAULT_METHOD))
    given = _flattened(values, method.method)
    parts: dict[str, dict[str, Any]] = {}
    own: dict[str, Any] = {}
    kinds = {name: type(part) for name, part in vars(RunConfig()).items()} | {
        "quantization": method
    }
    for option in options_of(run_config_type(method)):
        *parents, name = option.path
        if option.name in given:
            value = given.pop(option.name)
            target = parts.setdefault(parents[0], {}) if parents else own
            target[name] = tuple(value) if isinstance(value, list) else value
    if given:
        raise InputError(f"unknown option {next(iter(given))!r}")
    nested = {name: kinds[name](**fields) for name, fields in parts.items()}
    return RunConfig(**own, **{"quantization": method()} | nested)


def _flattened(values: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return values by option name: those of the method's table have its prefix."""
    flat = dict(values)
    table = flat.pop(method, {}) if method != DEFAULT_METHOD else {}
    if not isinstance(table, dict):
        raise InputError(f"{method}: found {table!r}, expected a table of options")
    return flat | {f"quantization.{name}": value for name, value in table.items()}
