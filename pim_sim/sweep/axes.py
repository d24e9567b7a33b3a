"""The axes of a sweep: fields of hardware, layer and scale factors, by their dotted names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from pim_sim.checks import shown
from pim_sim.components import energy_ratio
from pim_sim.errors import InputError
from pim_sim.hardware import Hardware
from pim_sim.macro import Scales
from pim_sim.numeric import altered
from pim_sim.workload import Layer

MOST_VALUES = 100_000
_NODE_AXES = ("node_nm", "supply_v")
_PARTS = ("memory", "digital", "array", "adc", "macro", "digital_macro", "mapping", "noise")


@dataclass(frozen=True)
class Design:
    """What is swept: a layer on a piece of hardware, and the scales of the macro model."""

    layer: Layer
    hardware: Hardware
    scales: Scales


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """``name=1,2,4``, ``name=4:8`` or ``name=64:512:64``, both ends included; words too.

    Raises `InputError` for another form.
    """
    name, equals, values = text.partition("=")
    if not (name and equals and values):
        raise InputError(f"--axis: found {shown(text)}, expected NAME=VALUE,VALUE or NAME=LOW:HIGH")
    if ":" not in values:
        return name, [_value(value) for value in values.split(",")]
    ends = [_value(value) for value in values.split(":")]
    if len(ends) not in (2, 3) or not all(type(end) is int for end in ends):
        raise InputError(
            f"--axis {name}: found {shown(values)}, expected LOW:HIGH or LOW:HIGH:STEP"
        )
    low, high, step = (*ends, 1)[:3]
    if step < 1 or high < low or (high - low) // step >= MOST_VALUES:
        raise InputError(f"--axis {name}: found {shown(values)}, expected a rising range")
    return name, list(range(low, high + 1, step))


def is_vector(name: str, values: Sequence[Any]) -> bool:
    """Whether all values of an axis can be computed at once: numbers, but for node and supply."""
    return name not in _NODE_AXES and all(type(value) in (int, float) for value in values)


def checked(design: Design, name: str, value: Any) -> Design:
    """The design with one field changed and everything about it checked.

    A node or supply moves the whole hardware: digital energies and memory by Stillmaker & Baas from
    the file's own node, times in proportion to the node. Raises `InputError` for a name that the
    hardware does not have or a value that cannot be.
    """
    try:
        if name in _NODE_AXES:
            return replace(design, hardware=_moved(design.hardware, name, value))
        changed: Design = _set(design, _path(design, name), value, unchecked=False)
        return changed
    except InputError as error:
        raise InputError(f"--axis {name}: {error}") from None


def with_array(design: Design, name: str, values: Any) -> Design:
    """The design with an array of values, each of which `checked` has passed, for one field."""
    changed: Design = _set(design, _path(design, name), values, unchecked=True)
    return changed


def _path(design: Design, name: str) -> list[str]:
    path = name.split(".")
    if path[0] in _PARTS:
        path.insert(0, "hardware")
    part: Any = design
    for step in path:
        if not is_dataclass(part) or step not in {field.name for field in fields(part)}:
            raise InputError(
                f"found no such field, expected one like {', '.join(_examples(design))}"
            )
        part = getattr(part, step)
    if is_dataclass(part):
        raise InputError("found a table, expected the name of a number or word")
    return path


def _examples(design: Design) -> list[str]:
    engine = ["array.columns", "adc.bits"]
    if design.hardware.macro is not None:
        engine = ["macro.array.rows", "macro.converter.bits"]
    return [*engine, "layer.weight_bits", "scales.converter", "node_nm"]


def _set(part: Any, path: Sequence[str], value: Any, unchecked: bool) -> Any:
    name, *rest = path
    new = _set(getattr(part, name), rest, value, unchecked) if rest else value
    return altered(part, **{name: new}) if unchecked else replace(part, **{name: new})


def _moved(hardware: Hardware, name: str, value: float) -> Hardware:
    macro = hardware.macro
    if macro is None:
        raise InputError(f"found hardware {hardware.name!r} without a macro, expected one with it")
    node_nm, supply_v = (value, macro.supply_v) if name == "node_nm" else (macro.node_nm, value)
    energy = energy_ratio(macro.node_nm, macro.supply_v, node_nm, supply_v)
    time = node_nm / macro.node_nm
    memory, digital, other = hardware.memory, hardware.digital, hardware.digital_macro
    return replace(
        hardware,
        node_nm=node_nm,
        macro=replace(macro, node_nm=node_nm, supply_v=supply_v),
        digital_macro=replace(other, node_nm=node_nm, supply_v=supply_v) if other else None,
        memory=replace(
            memory,
            read_energy_pj=memory.read_energy_pj * energy,
            read_time_ns=memory.read_time_ns * time,
        ),
        digital=replace(
            digital,
            multiply_energy_pj=digital.multiply_energy_pj * energy,
            add_energy_pj=digital.add_energy_pj * energy,
            multiply_time_ns=digital.multiply_time_ns * time,
        ),
    )


def _value(text: str) -> Any:
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
