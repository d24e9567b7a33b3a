"""Overall accuracy measured on analog columns, over the bits of the converter and rows summed.

The file is JSON, written by `scripts/study/analog_accuracy.py`: the conditions of the measurement,
and an accuracy for every combination of some bits and some rows. Between these it is interpolated;
a design beyond them, or of other conditions, is refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pim_sim.errors import InputError
from pim_sim.hardware import Hardware
from pim_sim.schema import check_integer, check_keys, check_number, check_table, refuse, shown
from pim_sim.workload import Layer

SCHEMA = 1
_FIELDS = ("schema", "network", "pixels", "chips", "percentile", "conditions", "points")


@dataclass(frozen=True)
class MeasuredAccuracy:
    """Content of an accuracy file."""

    file: str
    conditions: dict[str, Any]
    """`conditions` of the measured designs."""
    points: dict[tuple[int, int], float]
    """Overall accuracy, 0 to 1, by bits of the converter and rows; every bits with every rows."""

    @classmethod
    def from_json(cls, path: str | Path) -> MeasuredAccuracy:
        """Read and check a file; `InputError` names it and the value found."""
        try:
            table = check_table(json.loads(Path(path).read_text(encoding="utf-8")), "the file")
            check_keys(table, _FIELDS)
            if table["schema"] != SCHEMA:
                raise refuse("schema", table["schema"], f"{SCHEMA}, which this program reads")
            found = check_table(table["conditions"], "conditions")
            return cls(str(path), found, _points(table["points"]))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not JSON: {shown(str(error))}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return conditions and points, ready for JSON."""
        points = [[*place, oa] for place, oa in sorted(self.points.items())]
        return {"conditions": self.conditions, "points": points}

    def oa(self, layer: Layer, hardware: Hardware) -> NDArray[np.float64]:
        """Return the overall accuracy, 0 to 1, of a design, or of each in arrays of designs.

        Straight lines between the bits, and between the logarithms of the rows, that were measured;
        a sum takes no more rows than it has products. Raises `InputError` for a design of other
        conditions, or of bits or rows outside those measured.
        """
        self._require_conditions(layer, hardware)
        # of the measured rows that hold a whole sum, all are the same: the fewest stand for them
        held = {min(rows, layer.fan_in): rows for _, rows in sorted(self.points, reverse=True)}
        known_bits, known_rows = sorted({bits for bits, _ in self.points}), sorted(held)
        bits, rows = np.broadcast_arrays(
            np.asarray(hardware.engine.adc_bits, dtype=np.float64),
            np.minimum(hardware.engine.products_at_once, float(layer.fan_in)),
        )
        self._require_within("ADC bits", bits, known_bits)
        self._require_within("rows", rows, known_rows)
        logs = np.log(known_rows)
        at_bits = np.array(
            [
                np.interp(np.log(rows), logs, [self.points[b, held[r]] for r in known_rows])
                for b in known_bits
            ]
        )
        place = np.interp(bits, known_bits, range(len(known_bits)))
        low, high = np.floor(place).astype(int), np.ceil(place).astype(int)
        below, above = (np.take_along_axis(at_bits, end[None], axis=0)[0] for end in (low, high))
        oa: NDArray[np.float64] = below + (place - np.floor(place)) * (above - below)
        return oa

    def _require_conditions(self, layer: Layer, hardware: Hardware) -> None:
        for name, found in conditions(layer, hardware).items():
            expected, values = self.conditions.get(name), np.unique(found)
            if values.tolist() != [expected]:
                seen = [f"{v:g}" if values.dtype.kind in "iuf" else v for v in values.tolist()]
                raise InputError(
                    f"--accuracy {self.file}: measured with {name} {expected}, "
                    f"found {', '.join(seen)} among the designs"
                )

    def _require_within(self, name: str, values: NDArray[np.float64], known: list[int]) -> None:
        low, high = float(values.min()), float(values.max())
        if low < known[0] or high > known[-1]:
            found = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            raise InputError(
                f"--accuracy {self.file}: measured at {known[0]} to {known[-1]} {name}, "
                f"found {found} among the designs"
            )


def conditions(layer: Layer, hardware: Hardware) -> dict[str, Any]:
    """Return the conditions of a design's accuracy beside bits, rows, weights and scene."""
    engine = hardware.engine
    return {
        "filters": layer.filters,
        "products": layer.fan_in,
        "input_bits": layer.input_bits,
        "weight_bits": layer.weight_bits,
        "input_bits_a_conversion": np.minimum(engine.input_bits_per_conversion, layer.input_bits),
        "weight_bits_a_column": np.minimum(engine.weight_bits_per_column, layer.weight_bits),
        "weight_signs": engine.weight_signs,
        **{f"noise.{name}": value for name, value in asdict(hardware.noise).items()},
    }


def _points(found: object) -> dict[tuple[int, int], float]:
    if not isinstance(found, list) or not found:
        raise refuse("points", found, "a list of measured points")
    points: dict[tuple[int, int], float] = {}
    for i, entry in enumerate(found):
        point = check_table(entry, f"points[{i}]")
        check_keys(point, ("adc_bits", "rows", "oa", "interval"))
        bits = check_integer(f"points[{i}].adc_bits", point["adc_bits"], 1, 16)
        rows = check_integer(f"points[{i}].rows", point["rows"], 1)
        points[bits, rows] = check_number(f"points[{i}].oa", point["oa"], 0, 1)
    bits, rows = (len({point[place] for point in points}) for place in (0, 1))
    if not len(points) == len(found) == bits * rows:
        raise refuse("points", f"{len(found)} points", "every bits with every rows, each once")
    return points
