"""Workloads: what a network demands of the hardware, one frozen dataclass per layer, kept as JSON.

The file is ``{"schema": 2, "name": ..., "layers": [{...}, ...], "operations": [{...}, ...]}``; the
fields of a layer are those of `Layer`, and those of a pooling or an addition those of `Operation`.
Schema 1, which has neither operations nor groups, dilation, counted products and membranes, is read
too.
Reading is strict: an unknown or missing field, a wrong type, an impossible geometry or another
schema version is an `InputError` that names the file, the layer and the field.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pim_sim.errors import InputError
from pim_sim.io import write_json
from pim_sim.schema import build_part, check_keys, check_table, check_text, refuse, set_field, shown
from pim_sim.workload.layer import Layer
from pim_sim.workload.operation import Operation

SCHEMA = 2
_PARTS = ("layers", "operations")
_SINCE_2 = (
    "groups", "dilation", "input_mean", "accumulates", "active_share", "fetched", "membrane_bits",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The weight layers of a network, first layer first.

    Arguments are the fields below.

    Raises:
        InputError: no layer is given, or two share a name.

    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> Workload(name="demo", layers=(fc,)).layers[0].name
    'fc'
    """

    name: str
    """Name of the network, for example the run and its scene."""
    layers: tuple[Layer, ...]
    """Layers in the order in which data passes them."""
    operations: tuple[Operation, ...] = ()
    """Poolings and additions of residuals, in any order."""

    def __post_init__(self) -> None:
        check_text("name", self.name)
        set_field(self, "layers", tuple(self.layers))
        set_field(self, "operations", tuple(self.operations))
        if not self.layers:
            raise refuse("layers", [], "at least one layer")
        names = [layer.name for layer in self.layers] + [part.name for part in self.operations]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise refuse("layers", repeated[0], "each name once")

    @classmethod
    def from_json(cls, path: str | Path) -> Workload:
        """Read and check a workload file.

        Args:
            path: JSON file, as written by `to_json` or by ``snnquant run``.

        Returns:
            The workload.

        Raises:
            InputError: the file cannot be read or a value is wrong; one line names file, layer
                and field.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
            return _workload(json.loads(text, object_pairs_hook=_no_repeated_key))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: line {error.lineno}: not JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            # not UTF-8, an integer of thousands of digits, or endless nesting
            raise InputError(f"{path}: not JSON: {shown(str(error))}") from None

    def to_json(self, path: str | Path) -> None:
        """Write the file that `from_json` reads; `InputError` as `write_json`."""
        tables = {field: [_given(part) for part in getattr(self, field)] for field in _PARTS}
        write_json(path, {"schema": SCHEMA, "name": self.name, **tables})

    @property
    def of_spikes(self) -> bool:
        """True if some layer takes spikes."""
        return any(layer.of_spikes for layer in self.layers)


def _given(part: Layer | Operation) -> dict[str, object]:
    return {name: value for name, value in asdict(part).items() if value is not None}


def _no_repeated_key(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the field {shown(repeated)} is given twice")
    return table


def _workload(content: object) -> Workload:
    table = check_table(content, "the file")
    # the version comes first, so that a file of another schema is not blamed for its fields
    version = table.get("schema", SCHEMA)
    if type(version) is not int or version not in (1, SCHEMA):
        raise refuse("schema", version, f"1 or {SCHEMA}, the versions this program reads")
    optional = ("operations",) if version >= 2 and "operations" in table else ()
    check_keys(table, ("schema", "name", "layers", *optional))
    for part in ("layers", *optional):
        if not isinstance(table[part], list):
            raise refuse(part, table[part], f"a list of {part}")
    found: Any = table
    layers = tuple(_layer(index, entry, version) for index, entry in enumerate(found["layers"]))
    entries = enumerate(found.get("operations", []))
    operations = tuple(build_part(Operation, f"operations[{i}]", entry) for i, entry in entries)
    name = check_text("name", table["name"])
    return Workload(name=name, layers=layers, operations=operations)


def _layer(index: int, entry: object, version: int) -> Layer:
    table = check_table(entry, f"layers[{index}]")
    required = [field.name for field in fields(Layer) if field.name not in _SINCE_2]
    optional = [name for name in _SINCE_2 if version >= 2 and name in table]
    try:
        if version == 1 and (newer := [name for name in _SINCE_2 if name in table]):
            raise InputError(f"unknown field {shown(newer[0])}, expected schema 2 for it")
        check_keys(table, [*required, *optional])
    except InputError as error:
        raise InputError(f"layer {shown(table.get('name', index))}: {error}") from None
    return Layer(**table)  # type: ignore[arg-type]  # Layer checks every type itself
