"""Quantization methods by name: the registry that everything learns of a method from.

A method is one class, its options and how it puts quantizers on a network:

    from snnquant.quantization import LayerPlace, MethodConfig, Plan, register_method

    @register_method("toy")
    class Toy(MethodConfig):
        bits: int = 2
        \"\"\"Bits of a weight.\"\"\"

        def plan(self) -> Plan:
            return Plan(weight=lambda weight, place: ToyWeight(self.bits))

The file is imported by the command line where the environment variable SNNQUANT_PLUGINS or an entry
point of the group `snnquant.plugins` names it; the package's own are the modules of
`snnquant.quantization.methods`. `--quantization toy --quantization.bits 2` and, in TOML,
`quantization = "toy"` with a table `[toy]` select it. This file imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    dataclass_transform,
    get_origin,
    get_type_hints,
)

from cyclopts import Parameter

from pim_sim.registry import Registry
from snnquant.config.options import require, require_types
from snnquant.errors import InputError

WEIGHT_ESTIMATORS: tuple[str, ...] = ("clipped", "ste", "cosine", "tanh", "ewgs", "polynomial")
ACTIVATION_ESTIMATORS: tuple[str, ...] = ("clipped_relu", "relu", "identity", "log")
ActivationQuantizerName = Literal["lsq", "pact", "bcgd"]
ACTIVATION_BITS = range(1, 9)
"""Bits that activations may have."""
DEFAULT_METHOD = "uniform"
"""Method where none is named. Its options stand without a prefix: `--bits`, `--scheme`, ..."""


@dataclass(frozen=True, kw_only=True)
class About:
    """Origin of a quantization method and what it touches, in words."""

    summary: str = ""
    """One sentence; the first of the class's docstring where it is empty."""
    hooks: tuple[str, ...] = ("quantizer",)
    """Kinds of hook: quantizer, estimator, error, pass, rule, optimizer, cost, study."""
    cnn: str = "weights"
    """Quantized on a CNN."""
    snn: str = "weights"
    """Quantized on an SNN."""
    source: str = ""
    """Publication that the method is from."""
    certainty: str = ""
    """Basis of the equations: read in the paper, in the authors' code, or ours."""


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Base of the options of a quantization method.

    Subclasses are decorated with `register_method`, which makes them frozen dataclasses. They add
    fields, each with a default, and override `plan`.
    """

    method: Annotated[str, Parameter(name="--quantization")] = ""
    """Quantization method. Options of one other than uniform are --quantization.OPTION."""
    bits: int = 32
    """Bits per weight, 2 to 8; 32 keeps floating point."""
    min_bits: ClassVar[int] = 2
    """Least bits per weight that the method has levels for."""
    before: ClassVar[Mapping[str, Any]] = {}
    """Options that came after files were stored without them, with what was done then."""
    about: ClassVar[About] = About()
    """Origin of the method and what it touches, for `snnquant methods`."""

    def __post_init__(self) -> None:
        name, prefix = type(self).method, _prefix(type(self).method)
        require_types(self, prefix)
        require(self.method == name, "--quantization", repr(self.method), name)
        known = self.min_bits <= self.bits <= 8 or self.bits == 32
        self.require(known, "bits", f"{self.min_bits} to 8, or 32")

    def require(self, condition: bool, field: str, expected: str) -> None:
        """Raise `InputError`, which names the option of a field, where a condition does not hold.

        Args:
            condition: Whether the field's value is allowed.
            field: Name of the field.
            expected: Words for the allowed values.

        Raises:
            InputError: The condition is false.
        """
        flag = f"--{_prefix(self.method)}{field.replace('_', '-')}"
        require(condition, flag, getattr(self, field), expected)

    def require_estimator(self, field: str, *, of_activations: bool = False) -> None:
        """Raise `InputError` unless a field names a gradient estimator for its values.

        Args:
            field: Name of the field.
            of_activations: Whether the values are activations, else weights.

        Raises:
            InputError: The name is unknown, or is that of an estimator for other values.
        """
        names = {False: WEIGHT_ESTIMATORS, True: ACTIVATION_ESTIMATORS}
        own, others = names[of_activations], names[not of_activations]
        name = getattr(self, field)
        if name in own:
            return
        known = ", ".join((*own, "one that a plugin registers"))
        self.require(name not in others, field, known)
        # Only a plugin's needs the registry, which imports torch.
        registry = import_module("snnquant.quantization.estimators").ESTIMATORS
        self.require(name in registry, field, known)

    def require_activation_bits(self) -> None:
        """Raise `InputError` unless the field `activation_bits` has bits that activations may have.

        Raises:
            InputError: The bits are neither 1 to 8 nor 32.
        """
        bits = getattr(self, "activation_bits")  # noqa: B009 - a field of subclasses
        self.require(bits in ACTIVATION_BITS or bits == 32, "activation_bits", "1 to 8, or 32")

    def plan(self) -> Any:
        """Return the `snnquant.quantization.Plan` of quantizers for a network.

        Raises:
            InputError: The subclass does not override it.
        """
        raise InputError(_no_plan(type(self)))

    def require_channel_scales(self) -> None:
        """Raise `InputError` unless the weights of an output channel can be multiplied by a factor.

        The batch norms of the SNN's training are folded in this way. Methods whose weights follow
        any factor override this and `WeightQuantizer.scale_channels_`.
        """
        raise InputError(
            f"--quantization: found {self.method}, whose output channels cannot be rescaled, "
            "expected --no-snn-batch-norm beside it"
        )


METHODS: Registry[type[MethodConfig]] = Registry(
    "quantization method", package="snnquant.quantization.methods"
)
"""Every quantization method by name."""

Method = TypeVar("Method", bound=MethodConfig)


def _prefix(method: str) -> str:
    return "" if method == DEFAULT_METHOD else "quantization."


def _option(method: str, field: str, hint: Any) -> Any:
    """Return the hint of a method's field with its option's name: --quantization.FIELD."""
    if not _prefix(method) or field == "method" or get_origin(hint) is ClassVar:
        return hint
    return Annotated[hint, Parameter(name=f"--{_prefix(method)}{field.replace('_', '-')}")]


def _no_plan(cls: type[MethodConfig]) -> str:
    return f"{cls.__name__}: found no plan(), expected it to return a quantization.Plan"


@dataclass_transform(frozen_default=True, kw_only_default=True)
def register_method(name: str) -> Callable[[type[Method]], type[Method]]:
    """Make the decorated class the quantization method `name`: a frozen dataclass of its options.

    Args:
        name: Name of the method, an identifier: `--quantization NAME`, and the name of its
            table in TOML, `[NAME]`.

    Returns:
        The decorator of a subclass of `MethodConfig`.

    Raises:
        InputError: The name is no identifier or is taken, or the class has no `plan`.

    >>> from snnquant.quantization import METHODS, MethodConfig, register_method
    >>> @register_method("coarse")
    ... class Coarse(MethodConfig):
    ...     bits: int = 3
    ...     def plan(self):
    ...         return Plan(lambda weight, place: ThreeLevels(self.bits))
    >>> Coarse(), Coarse(bits=4).method
    (Coarse(method='coarse', bits=3), 'coarse')
    >>> _ = METHODS._entries.pop("coarse")  # only an example
    """

    def add(cls: type[Method]) -> type[Method]:
        if "__dataclass_fields__" in vars(cls):
            raise InputError(f"method {name!r}: found @dataclass, which register_method applies")
        if not name.isidentifier():
            raise InputError(f"quantization method: found {name!r}, expected an identifier")
        if cls.plan is MethodConfig.plan:
            raise InputError(f"quantization method {name!r}: {_no_plan(cls)}")
        # The base's fields again: the name is its default, and the prefix is that of the options.
        own = {"method": None, "bits": None} | vars(cls).get("__annotations__", {})
        hints = get_type_hints(cls, include_extras=True)
        cls.__annotations__ = {field: _option(name, field, hints[field]) for field in own}
        cls.method = name
        made = dataclass(frozen=True, kw_only=True)(cls)
        METHODS.register(name)(made)
        return made

    return add


@register_method(DEFAULT_METHOD)
class QuantizationConfig(MethodConfig):
    """Uniform quantization of the weights and, on request, of leaks and thresholds.

    Raises:
        InputError: A value is of the wrong type or out of range.

    >>> from snnquant.config import QuantizationConfig
    >>> QuantizationConfig(bits=4, scheme="affine").bits
    4
    """

    bits: int = 6
    """Bits per weight, 2 to 8; 32 keeps floating point, nothing is quantized then."""
    scheme: Literal["symmetric", "affine"] = "symmetric"
    """Levels. symmetric: 2^b - 1 around 0; affine: 2^b from the min to the max weight."""
    granularity: Literal["channel", "tensor"] = "channel"
    """Scales. channel: one per output channel; tensor: one per layer."""
    clip: Literal["max", "mse"] = "max"
    """Range. max: it follows the largest weight; mse: the one of least squared error, fixed."""
    estimator: str = "clipped"
    """Gradient of rounding. clipped: 1 inside the range, else 0; ste: 1; cosine, tanh, ewgs and
    polynomial vary within a step; or one that a plugin registers."""
    neuron_bits: int | None = None
    """Fixed-point bits of leak and threshold, 2 to 16; by default both stay in floating point."""
    activation_bits: int = None  # type: ignore[assignment]
    """Bits of a CNN's activations, 1 to 8; 32 keeps floating point; by default those of weights."""
    activation_quantizer: ActivationQuantizerName = "lsq"
    """Learning of the ceiling of activations: lsq, by steps; pact, where they are clipped; bcgd, by
    three values, rounding up."""
    activation_estimator: str = "clipped_relu"
    """Gradient of rounded activations. clipped_relu: 1 from 0 to the ceiling, else 0; relu: 1 above
    0; log: less and less above the ceiling; identity: 1; or one that a plugin registers."""
    before: ClassVar[Mapping[str, Any]] = {"activation_bits": 32}
    about: ClassVar[About] = About(
        hooks=("quantizer", "estimator"),
        cnn="weights and activations",
        snn="weights; leak and threshold with neuron_bits",
        source="Jacob et al. 2018 (arXiv 1712.05877); Datta et al. 2022 (ACE-SNN); activations: "
        "Esser et al. 2020 (arXiv 1902.08153), Choi et al. 2018 (arXiv 1805.06085), "
        "Yin et al. 2019 (arXiv 1808.05240)",
        certainty="read in the papers; lsq and pact recalled, bcgd read in the authors' code",
    )

    def __post_init__(self) -> None:
        if self.activation_bits is None or self.bits == 32:
            # Filled in at once: a stored option always says all.
            object.__setattr__(self, "activation_bits", self.bits)
        super().__post_init__()
        self.require_estimator("estimator")
        self.require_estimator("activation_estimator", of_activations=True)
        self.require_activation_bits()
        if self.neuron_bits is not None:
            self.require(2 <= self.neuron_bits <= 16, "neuron_bits", "2 to 16")

    def plan(self) -> Any:
        """Return the quantizers of uniform quantization."""
        # By name, as subcommands are: options must be read without torch.
        return import_module("snnquant.quantization.uniform").plan(self)

    def require_channel_scales(self) -> None:
        """Raise `InputError` where one scale serves a whole layer."""
        if self.granularity != "channel":
            raise InputError(
                "--granularity: found tensor, expected channel, or --no-snn-batch-norm: batch norm "
                "cannot be folded into one scale per tensor"
            )


def find_method(name: object) -> type[MethodConfig]:
    """Return the method of a name; raise `InputError`, which lists all names, for another one."""
    if not isinstance(name, str):
        raise InputError(f"--quantization: found {name!r}, expected text")
    return METHODS.get(name)


def read_method(values: dict[str, Any]) -> MethodConfig:
    """Return the options of a method that are stored as a dictionary.

    Args:
        values: Values by field; `method` may be missing, which means uniform. Others that are
            missing have their defaults, or the values of the method's `before`.

    Raises:
        InputError: The method is unknown, or a value is not allowed.
        TypeError: A field is unknown.

    >>> read_method({"bits": 4}).bits
    4
    """
    method = find_method(values.get("method", DEFAULT_METHOD))
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return method(**(dict(method.before) | fields))
