"""Frozen dataclasses to JSON values and back, checked by their annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Self, TypeVar

from snnquant.errors import InputError

T = TypeVar("T")


class Record:
    """A dataclass that is the content of one JSON file."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read a JSON object; raise InputError for a missing key or a value of another type."""
        return from_json(cls, values, cls.__name__)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        values: dict[str, Any] = to_json(self)
        return values


def to_json(value: Any) -> Any:
    """Return JSON values of a dataclass; fields that are None by default and in fact are left out.

    >>> to_json({"shape": (3, 4)})
    {'shape': [3, 4]}
    """
    if is_dataclass(value):
        pairs = ((entry, getattr(value, entry.name)) for entry in fields(value))
        return {
            entry.name: to_json(content)
            for entry, content in pairs
            if content is not None or entry.default is not None
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(content) for key, content in value.items()}
    return [to_json(item) for item in value] if isinstance(value, tuple | list) else value


def from_json(cls: type[T], values: Mapping[str, Any], place: str) -> T:
    """Build a dataclass from a JSON object found at `place`.

    Keys that the class does not have are left out. Raises InputError, naming the place, for a
    missing key and for a value that does not fit its annotation.
    """
    hints, arguments = typing.get_type_hints(cls), {}
    for entry in fields(cls):  # type: ignore[arg-type]
        where = f"{place}: {entry.name}"
        if entry.name in values:
            arguments[entry.name] = _read(hints[entry.name], values[entry.name], where)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise InputError(f"{where}: found none, expected a value")
    return cls(**arguments)


def _read(hint: Any, value: Any, place: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        (other,) = (choice for choice in inner if choice is not types.NoneType)
        return None if value is None else _read(other, value, place)
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return from_json(hint, value, place)
    if origin is dict and isinstance(value, Mapping):
        key, content = inner
        return {key(name): _read(content, item, f"{place}: {name}") for name, item in value.items()}
    if origin in (list, tuple) and isinstance(value, list | tuple):
        return origin(_read(inner[0], item, f"{place}[{i}]") for i, item in enumerate(value))
    accepted = (int, float) if hint is float else hint
    fits = isinstance(value, bool) == (hint is bool)  # a bool is an int too
    if origin is None and isinstance(value, accepted) and fits:
        return value
    raise InputError(f"{place}: found {value!r:.40}, expected {(origin or hint).__name__}")
