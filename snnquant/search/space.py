"""Search space: axes over any option of a run, and over chips and schedules that need no training.

An axis is a name and its values, `time-steps=1,2,3` on the command line and `time_steps = [1, 2]`
in a TOML file. Names, types and limits are those of the options of a run.
"""

from __future__ import annotations

import itertools
import json
import math
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnquant.config import (
    MethodConfig,
    Option,
    RunConfig,
    config_from_values,
    find_method,
    options_of,
    run_config_type,
)
from snnquant.config.options import OUTPUT, SCENE, SPLIT
from snnquant.errors import InputError

DEFAULT = "default"
"""Value of an axis that leaves an option at its own default."""
DEFAULT_AXES: dict[str, tuple[Any, ...]] = {
    "model": ("cnn1x1", "cnn1x1h"),
    "widths": (DEFAULT, (32, 64), (8, 32, 64)),
    "time_steps": (1, 2, 3, 5),
    "bits": (3, 4, 6),
    "pixel_bits": (6, 8),
    "scaling": ("standard", "within-class"),
    "spike_penalty": (0.0, 0.1),
}
"""Axes where none are given. Widths of another network's number of layers are left out."""
FREE_AXES: dict[str, tuple[Any, ...]] = {"chip": ("edge_22nm",), "schedule": ("best",)}
"""Axes that need no training, with their defaults."""
_FIXED_GROUPS = (SCENE.name, SPLIT.name, OUTPUT.name)
_DRAWS = 50
"""Combinations drawn per candidate that is wanted, since some may be impossible."""

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A combination of the axes' values."""

    number: int
    """Place among the candidates of its search, from 1."""
    values: Values
    """Value per axis, `DEFAULT` included."""
    config: RunConfig
    """All options of its run."""


@dataclass(frozen=True)
class Space:
    """Candidates of a search, and what each of them is priced on."""

    candidates: tuple[Candidate, ...]
    impossible: int
    """Combinations left out because their options exclude each other."""
    combinations: int
    """Combinations of all values."""
    chips: tuple[str, ...] = FREE_AXES["chip"]
    schedules: tuple[str, ...] = FREE_AXES["schedule"]


def read_axes(over: Sequence[str], file: Path | None) -> dict[str, tuple[Any, ...]]:
    """Read axes from the command line and from a TOML file; the former replace those of the file.

    Args:
        over: Axes as NAME=VALUE,VALUE; numbers of one value, such as widths, are joined by /.
        file: TOML file with a list of values per name.

    Returns:
        Values by option name.

    Raises:
        InputError: An axis has another form, no value, or a value or a name twice.

    >>> read_axes(["time-steps=1,2", "widths=4/4,default"], None)
    {'time_steps': (1, 2), 'widths': ((4, 4), 'default')}
    """
    axes = {} if file is None else _of_file(file)
    given: dict[str, tuple[Any, ...]] = {}
    for text in over:
        name, equals, values = text.partition("=")
        if not (name and equals and values):
            raise InputError(f"--over: found {text!r}, expected NAME=VALUE,VALUE")
        key = _key(name)
        if key in given:
            raise InputError(f"--over {name}: found twice, expected each name once")
        given[key] = tuple(_value(value.strip()) for value in values.split(","))
    axes |= given
    for name, found in axes.items():
        if len(set(found)) < len(found):
            raise InputError(f"--over {name}: found a value twice, expected each once")
    return axes


def _of_file(file: Path) -> dict[str, tuple[Any, ...]]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--space {file}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"--space {file}: not a TOML file ({error})") from None
    flat: dict[str, Any] = {}
    for name, value in tables.items():
        inner = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name}.{key}" if key else name: values for key, values in inner.items()}
    for name, values in flat.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"--space {file}: {name}: found {values!r}, expected a list of values")
    return {_key(name): tuple(map(_hashable, values)) for name, values in flat.items()}


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _key(name: str) -> str:
    return name.strip().removeprefix("--").replace("-", "_")


def _value(text: str) -> Any:
    """Return a word as the TOML value that it looks like; the option's type is checked later."""
    if "/" in text and all(part.isdigit() for part in text.split("/")):
        return tuple(int(part) for part in text.split("/"))
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text


def default_axes(base: RunConfig) -> dict[str, tuple[Any, ...]]:
    """Return `DEFAULT_AXES` without the options that are fixed at another value than the default.

    >>> "bits" in default_axes(RunConfig()), "bits" in default_axes(config_from_values({"bits": 4}))
    (True, False)
    """
    own, plain = _given(base), _given(RunConfig())
    return {name: axis for name, axis in DEFAULT_AXES.items() if own.get(name) == plain.get(name)}


def make_space(
    base: RunConfig,
    axes: Mapping[str, tuple[Any, ...]],
    limit: int,
    accept: Callable[[RunConfig], RunConfig] = lambda config: config,
) -> Space:
    """Combine the values of all axes, or draw some combinations where there are more than a limit.

    Args:
        base: Fixed options, in force where no axis has their name. Its seed draws combinations.
        axes: Values by name, as `read_axes` returns them; none for the default space.
        limit: Max candidates.
        accept: Returns the options of a possible candidate, completed, and raises InputError for
            one that is impossible.

    Returns:
        The space; candidates of equal options stand once.

    Raises:
        InputError: A name is no option of a network, a value is impossible in every combination
            that was looked at, or no combination is possible.

    >>> space = make_space(RunConfig(), {"time_steps": (1, 2), "bits": (3, 6)}, limit=10)
    >>> [(c.config.neuron.time_steps, c.config.quantization.bits) for c in space.candidates]
    [(1, 3), (1, 6), (2, 3), (2, 6)]
    """
    free = {name: tuple(axes.get(name, values)) for name, values in FREE_AXES.items()}
    trained = {name: values for name, values in axes.items() if name not in FREE_AXES}
    chosen = trained or default_axes(base)
    given, methods = _given(base), _methods(base, chosen)
    for name in chosen:
        _require_option(name, methods)
    found: dict[str, Candidate] = {}
    refused: dict[tuple[str, Any], InputError] = {}
    impossible, total = 0, math.prod(len(values) for values in chosen.values())
    for values in _combinations(chosen, total, limit, base.seed):
        if len(found) == limit:
            break
        try:
            config = accept(_config(given, values, methods))
        except InputError as error:
            impossible += 1
            for pair in values.items():
                refused.setdefault(pair, error)
        else:
            found.setdefault(repr(config), Candidate(0, values, config))
    if trained:
        _require_use(found.values(), refused)
    if not found:
        raise InputError(f"--over: found no possible combination: {next(iter(refused.values()))}")
    order = {name: {value: i for i, value in enumerate(chosen[name])} for name in chosen}
    ranked = sorted(found.values(), key=lambda c: [order[n][v] for n, v in c.values.items()])
    numbered = (Candidate(i, c.values, c.config) for i, c in enumerate(ranked, 1))
    return Space(tuple(numbered), impossible, total, free["chip"], free["schedule"])


def _combinations(
    axes: Mapping[str, tuple[Any, ...]], total: int, limit: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield all combinations in order, or some of them in an order drawn by the seed."""
    if total <= limit:
        for values in itertools.product(*axes.values()):
            yield dict(zip(axes, values, strict=True))
        return
    if total >= 2**63:
        raise InputError(f"--over: found {total:,} combinations, expected below 2^63")
    draw = np.random.default_rng(seed)
    for index in draw.choice(total, size=min(total, _DRAWS * limit), replace=False).tolist():
        places = np.unravel_index(index, [len(axis) for axis in axes.values()])
        yield {name: axis[i] for (name, axis), i in zip(axes.items(), places, strict=True)}


def _require_use(
    found: typing.Iterable[Candidate], refused: Mapping[tuple[str, Any], InputError]
) -> None:
    """Raise the error of a value that is impossible in every combination."""
    used = {pair for candidate in found for pair in candidate.values.items()}
    for pair, error in refused.items():
        if pair not in used:
            raise InputError(f"--over: {error}")


def _given(base: RunConfig) -> dict[str, Any]:
    """Return the options of a run by name, without those that follow from the others."""
    options = _options(type(base.quantization)).values()
    values = {option.name: option.value(base) for option in options}
    given = {name: value for name, value in values.items() if value is not None}
    for option in options:
        if option.default is None and option.name in given:
            others = {name: value for name, value in given.items() if name != option.name}
            if config_from_values(others) == base:
                given = others
    return given


def _options(method: type[MethodConfig]) -> dict[str, Option]:
    return {option.name: option for option in options_of(run_config_type(method))}


def _methods(base: RunConfig, axes: Mapping[str, Any]) -> dict[str, dict[str, Option]]:
    """Return the options of every quantization method in play, by the method's name."""
    names = axes.get("quantization", (base.quantization.method,))
    return {str(name): _options(find_method(name)) for name in names}


def _spelled(name: str, options: Mapping[str, Option]) -> str | None:
    """Return an option's name under a method: --bits is --quantization.bits of another method."""
    prefix = "quantization."
    names = (name, name.removeprefix(prefix), f"{prefix}{name}")
    return next((spelled for spelled in names if spelled in options), None)


def _require_option(name: str, methods: Mapping[str, dict[str, Option]]) -> None:
    found = [
        options[spelled]
        for options in methods.values()
        if (spelled := _spelled(name, options)) is not None
    ]
    if not found or found[0].group in _FIXED_GROUPS:
        what = "no such option" if not found else f"an option of the {found[0].group.lower()}"
        expected = f"an option of the network or its training, {' or '.join(FREE_AXES)}"
        raise InputError(f"--over {name.replace('_', '-')}: found {what}, expected {expected}")


def _config(given: Values, values: Values, methods: Mapping[str, dict[str, Option]]) -> RunConfig:
    """Return the options of a combination on top of the fixed ones."""
    options = methods[str(values.get("quantization", given["quantization"]))]
    merged = {name: value for name, value in given.items() if name in options}
    for name, value in values.items():
        spelled = _spelled(name, options)
        if spelled is None:
            continue  # of another method
        merged.pop(spelled, None)
        if value != DEFAULT:
            merged[spelled] = _typed(value, options[spelled].hint)
    return config_from_values(merged)


def _typed(value: Any, hint: Any) -> Any:
    """Return a value as its option has it: one number as a tuple, a number as text."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) is types.UnionType else (hint,)
    if typing.get_origin(kinds[0]) is tuple and type(value) is int:
        return (value,)
    return str(value) if kinds[0] is str and type(value) in (int, float) else value


def shown(value: Any) -> str:
    """Return a value as the command line takes it.

    >>> shown((16, 64)), shown(0.1)
    ('16/64', '0.1')
    """
    if isinstance(value, (tuple, list)):
        return "/".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
