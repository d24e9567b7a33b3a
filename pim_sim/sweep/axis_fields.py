"""The fields that a sweep can move, with their values in a hardware file and their meanings."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from pim_sim.cost_model import Scales, calibrated
from pim_sim.hardware import Hardware, Macro
from pim_sim.sweep.axes import NODE_AXES, PARTS
from pim_sim.workload import Layer

_FIXED = ("name", "description", "node_nm", "supply_v")
_OF_LAYER = ("weight_bits", "input_bits", "input_density", "time_steps")
_NODE_WORDS = {
    "node_nm": "Node of both sides; everything that the file states moves with it.",
    "supply_v": "Supply of both sides; everything that the file states moves with it.",
}


@dataclass(frozen=True)
class AxisField:
    """One field."""

    name: str
    """Name of its axis."""
    value: Any
    """Value in the file; None for a default that follows from the others."""
    meaning: str
    """First sentence of its description."""


def axis_fields(hardware: Hardware) -> tuple[AxisField, ...]:
    """Return every field of the hardware, the layer and the scales that `--axis` takes."""
    found = [
        AxisField(name, getattr(hardware, name), _NODE_WORDS[name])
        for name in NODE_AXES
        if hardware.supply_v is not None
    ]
    for name in PARTS:
        if (part := getattr(hardware, name)) is not None:
            found += _fields(name, part)
    engine = hardware.engine
    hidden = _without_effect("digital_macro", hardware.digital_macro)
    for table, path in engine.TABLES.items():
        found += _fields(table, functools.reduce(getattr, path, engine))
        hidden |= _without_effect(table, engine)
    found = [field for field in found if field.name not in hidden]
    meanings = _meanings(Layer)
    found += [AxisField(f"layer.{name}", None, meanings.get(name, "")) for name in _OF_LAYER]
    meanings = _meanings(Scales)
    found += [
        AxisField(f"scales.{name}", value, meanings.get(name, ""))
        for name, value in vars(calibrated()).items()
    ]
    return tuple(found)


def _without_effect(table: str, engine: object) -> set[str]:
    if not isinstance(engine, Macro):
        return set()
    return {f"{table}.{name}" for name in engine.without_effect}


def _fields(prefix: str, part: Any) -> Iterator[AxisField]:
    meanings = _meanings(type(part))
    for field in fields(part):
        if field.name in _FIXED:
            continue
        name, value = f"{prefix}.{field.name}", getattr(part, field.name)
        if is_dataclass(value):
            yield from _fields(name, value)
        else:
            yield AxisField(name, value, meanings.get(field.name, ""))


def _meanings(kind: type) -> dict[str, str]:
    """Return the first sentence of the text below each field of a dataclass."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            words = " ".join(str(text.value.value).split())
            found[field.target.id] = words.partition(". ")[0].rstrip(".") + "."
    return found
