"""Keys of a card that say how its files are read, beside or in place of the files' headers."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError

if TYPE_CHECKING:
    from snnquant.scenes.card import Table

_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
_PIXEL_AXES = {"bands", "pixels"}
_IMAGE_AXES = {"rows", "columns", "bands"}


@dataclass(frozen=True)
class BandChoice:
    """Bands that a card keeps or excludes, counted from 1."""

    numbers: tuple[int, ...]
    keeps: bool
    """False if the numbers are those of the excluded bands."""

    def kept(self, bands: int, where: str) -> NDArray[np.bool_]:
        """Return the mask [bands] of the bands kept; InputError for a number out of range."""
        wrong = [number for number in self.numbers if not 1 <= number <= bands]
        if wrong:
            raise InputError(f"{where}: bands: found {wrong[0]}, expected 1 to {bands}")
        chosen = np.zeros(bands, bool)
        chosen[np.array(self.numbers, int) - 1] = True
        kept = chosen if self.keeps else ~chosen
        if not kept.any():
            raise InputError(f"{where}: bands: found none kept, expected at least one")
        return kept


@dataclass(frozen=True)
class CubeRules:
    """Keys of the cube; None where its file decides."""

    nodata: float | None = None
    scale: float | None = None
    """Values divided by it are reflectance; 1 leaves them as they are."""
    bands: BandChoice | None = None
    layout: tuple[str, ...] | None = None
    """Names of the array's axes: rows, columns and bands, or bands and pixels, in any order."""
    order: str | None = None
    """Axis along which pixels follow each other: "rows" or "columns"."""


@dataclass(frozen=True)
class LabelRules:
    """Keys of the labels."""

    nodata: float | None = None
    order: str | None = None
    ignore_labels: tuple[int, ...] = ()
    """Class numbers that count as unlabelled."""
    merge: tuple[tuple[int, ...], ...] = ()
    """Class numbers that count as the first of their group."""


CUBE_KEYS = [field.name for field in fields(CubeRules)]
LABEL_KEYS = [field.name for field in fields(LabelRules)]
CARD_KEYS = ["nodata", "scale", "bands", "layout", "order", "ignore_labels", "merge"]
"""Keys that may stand at the top of a card instead of in [cube] or [labels]."""


def cube_rules(card: Table) -> CubeRules:
    """Read the keys of [cube], or of the card's top; raise `InputError` for a wrong one."""
    keys = _Keys(card, "cube")
    scale = keys.number("scale")
    if scale is not None and not 0 < scale < float("inf"):
        raise keys.fail("scale", scale, "a number above 0")
    layout = keys.value("layout")
    axes = None if layout is None else tuple(str(layout).replace(",", " ").lower().split())
    if axes is not None and (
        len(axes) != len(set(axes)) or set(axes) not in (_PIXEL_AXES, _IMAGE_AXES)
    ):
        expected = '"rows columns bands" or "bands pixels", in any order'
        raise keys.fail("layout", repr(layout), expected)
    order = _order(keys)
    if axes is not None and "pixels" in axes:
        if "shape" not in card.values:
            raise card.fail("shape", "nothing", "[rows, columns, bands] beside layout")
        if order is None:
            raise keys.fail(
                "order", "nothing", '"rows" (row by row) or "columns" (column by column)'
            )
    return CubeRules(keys.number("nodata"), scale, _band_choice(keys), axes, order)


def label_rules(card: Table) -> LabelRules:
    """Read the keys of [labels], or of the card's top; raise `InputError` for a wrong one."""
    keys = _Keys(card, "labels")
    own = card.values.get("labels")
    nodata = keys.number("nodata") if isinstance(own, dict) and "nodata" in own else None
    merge = keys.value("merge") or []
    if not isinstance(merge, list) or not all(_numbers(group, 2) for group in merge):
        raise keys.fail("merge", merge, "lists of class numbers, such as [[2, 3]]")
    ignore = keys.value("ignore_labels") or []
    if not _numbers(ignore, 0):
        raise keys.fail("ignore_labels", ignore, "a list of class numbers")
    merged = [number for group in merge for number in group]
    if len(set(merged)) != len(merged):
        raise keys.fail("merge", merge, "every class number once")
    own_order = _order(keys) if isinstance(own, dict) and "order" in own else None
    return LabelRules(nodata, own_order, tuple(ignore), tuple(map(tuple, merge)))


class _Keys:
    """Keys that stand in a table of a card, or at the card's top."""

    def __init__(self, card: Table, table: str) -> None:
        self.card, self.table = card, table
        inner = card.values.get(table)
        self.inner: dict[str, Any] = inner if isinstance(inner, dict) else {}

    def fail(self, key: str, found: object, expected: str) -> InputError:
        place = f"{self.table}.{key}" if key in self.inner or key not in self.card.values else key
        return self.card.fail(place, found, expected)

    def value(self, key: str) -> Any:
        if key in self.inner and key in self.card.values and key in CARD_KEYS:
            raise self.fail(key, "it at the card's top, too", "one place")
        return self.inner.get(key, self.card.values.get(key))

    def number(self, key: str) -> float | None:
        value = self.value(key)
        if value is None:
            return None
        if type(value) not in (int, float):
            raise self.fail(key, repr(value), "a number")
        return float(value)


def _numbers(values: object, at_least: int) -> bool:
    whole = isinstance(values, list) and all(type(value) is int for value in values)
    return whole and isinstance(values, list) and len(values) >= at_least


def _order(keys: _Keys) -> str | None:
    value = keys.value("order")
    if value not in (None, "rows", "columns"):
        raise keys.fail("order", repr(value), '"rows" (row by row) or "columns" (column by column)')
    return None if value is None else str(value)


def _band_choice(keys: _Keys) -> BandChoice | None:
    value, keeps = keys.value("bands"), True
    if value is None:
        return None
    expected = 'a list such as ["1-107", 113], {exclude = [...]} or "all"'
    if value == "all":
        return BandChoice((), False)
    if isinstance(value, dict) and list(value) in (["keep"], ["exclude"]):
        keeps = "keep" in value
        (value,) = value.values()
    if not isinstance(value, list):
        raise keys.fail("bands", repr(value), expected)
    numbers: list[int] = []
    for entry in value:
        ends = _RANGE.fullmatch(entry.strip()) if isinstance(entry, str) else None
        if type(entry) is int:
            numbers.append(entry)
        elif ends is not None:
            numbers += range(int(ends[1]), int(ends[2]) + 1)
        else:
            raise keys.fail("bands", repr(entry), expected)
    if not numbers:
        raise keys.fail("bands", "an empty list", expected)
    return BandChoice(tuple(sorted(set(numbers))), keeps)
