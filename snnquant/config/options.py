"""Options as data: help groups, stages, checks of values, and the table of all options.

An option is declared once, as a field of a frozen dataclass: its name, type, default and, in the
docstring after it, its help text. The help group and the stage that first depends on it are set for
a whole class and overridden by single fields:

    batch_size: int = 64
    \"\"\"Patches per training step.\"\"\"
    spike_penalty: Annotated[float, UsedFrom("snn")] = 0.0
    \"\"\"Weight of the accumulates in the SNN's loss.\"\"\"
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from snnquant.errors import InputError

(SCENE, SPLIT, NETWORK, QUANTIZATION, NEURON, CONVERSION, TRAINING, OUTPUT, ABLATION) = GROUPS = [
    Group(name, sort_key=position)
    for position, name in enumerate(
        (
            *("Scene", "Split", "Network", "Quantization", "Neuron", "Conversion", "Training"),
            *("Output", "Ablation"),
        )
    )
]
"""Help groups, in the order of the help page; ablation switches come last."""
StageName = Literal["cnn", "cnn_quantized", "conversion", "snn", "evaluation"]
STAGES: tuple[StageName, ...] = typing.get_args(StageName)
"""Stages of a run in their order."""
FLAT = Parameter(name="*")
"""Marks a nested dataclass whose options stand by their own names."""


def section(group: Group, name: str = "*") -> Parameter:
    """Return the annotation of a nested dataclass: its help group and the prefix of its options."""
    return Parameter(name=name, group=group)


@dataclass(frozen=True)
class UsedFrom:
    """Annotation of options: the first stage of a run whose result depends on them.

    >>> UsedFrom("snn").name
    'snn'
    """

    name: StageName


@dataclass(frozen=True)
class Option:
    """An option of the command line and of config.toml."""

    name: str
    """Key in config.toml, such as `time_steps`; `quantization.bits` is in the method's table."""
    path: tuple[str, ...]
    """Names of the fields that lead to its value."""
    hint: Any
    """Type that the value is annotated with."""
    default: Any
    """Value where nothing else is asked for."""
    owner: type
    """Dataclass with the field."""
    group: str
    """Name of its help group."""
    stage: StageName
    """First stage whose result depends on it."""

    @property
    def flag(self) -> str:
        """Spelling on the command line, such as `--time-steps`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> str:
        """Help text: the docstring after the field."""
        return help_texts(self.owner).get(self.path[-1], "")

    def value(self, config: Any) -> Any:
        """Return the option's value in a configuration."""
        for name in self.path:
            config = getattr(config, name)
        return config


def options_of(kind: type, group: str = "", stage: StageName = "cnn") -> Iterator[Option]:
    """Yield every option of a dataclass and of the dataclasses nested in it, in their order.

    Args:
        kind: Dataclass of options.
        group: Help group of options that name none.
        stage: Stage of options that name none.

    >>> from snnquant.config import ConversionConfig
    >>> [option.flag for option in options_of(ConversionConfig)]
    ['--calibration', '--correction']
    """
    yield from _walk(kind, (), "", group, stage)


def _walk(
    kind: type, path: tuple[str, ...], prefix: str, group: str, stage: StageName
) -> Iterator[Option]:
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint, extras = _unwrapped(hints[field.name])
        names: tuple[str, ...] = ()
        own_group, own_stage = group, stage
        for extra in extras:
            if isinstance(extra, Parameter):
                names = tuple(extra.name or names)
                own_group = next((g.name for g in _groups(extra)), own_group)
            elif isinstance(extra, UsedFrom):
                own_stage = extra.name
        name = next(iter(names), field.name).removeprefix("--")
        own_path = (*path, field.name)
        if dataclasses.is_dataclass(hint):
            below = prefix if name == "*" else f"{prefix}{name}."
            yield from _walk(typing.cast(type, hint), own_path, below, own_group, own_stage)
        else:
            spelled = name if names else f"{prefix}{name}"  # a name with -- has no prefix
            yield Option(spelled, own_path, hint, _default(field), kind, own_group, own_stage)


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return an annotated type without its annotations, and these."""
    if typing.get_origin(hint) is Annotated:
        return hint.__origin__, hint.__metadata__
    return hint, ()


def _groups(parameter: Parameter) -> list[Group]:
    return [group for group in parameter.group or () if isinstance(group, Group)]  # type: ignore[union-attr]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


@cache
def help_texts(kind: type) -> dict[str, str]:
    """Return the docstrings after the fields of a class and of its bases, by field."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):  # a class that was made by a function
            continue
        (definition,) = ast.parse(source).body
        statements = typing.cast(ast.ClassDef, definition).body
        for field, text in pairwise(statements):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match text:
                    case ast.Expr(value=ast.Constant(value=str(words))):
                        found[field.target.id] = " ".join(words.split())
    return found


def require(condition: bool, flag: str, found: object, expected: str) -> None:
    """Raise `InputError` where the condition of an option's value does not hold."""
    if not condition:
        raise InputError(f"{flag}: found {found}, expected {expected}")


def require_types(config: Any, prefix: str = "") -> None:
    """Raise `InputError` where a field's value is not of its annotated type.

    Files and Python callers may give anything. `prefix` is that of the options' names.
    """
    kind: type = type(config)
    for option in _own_options(kind, prefix):
        value = option.value(config)
        require(_fits(value, option.hint), option.flag, repr(value), described(option.hint))


@cache
def _own_options(kind: type, prefix: str) -> tuple[Option, ...]:
    every = _walk(kind, (), prefix, "", "cnn")
    return tuple(option for option in every if len(option.path) == 1)


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of an annotated type; no bool, NaN or infinity is a number."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return any(_fits(value, choice) for choice in inner)
    if origin is Literal:
        return type(value) in (int, str) and value in inner
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, inner[0]) for item in value)
    if hint is float:
        return type(value) in (int, float) and -math.inf < value < math.inf
    return type(value) is hint


def described(hint: Any) -> str:
    """Return an annotated type in the words of an error message and of the option table."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return described(inner[0])
    if origin is Literal:
        *others, last = map(str, inner)
        return f"{', '.join(others)} or {last}" if others else last
    names = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false"}
    return names.get(hint, "whole numbers")
