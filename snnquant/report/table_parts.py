"""Parts of all tables: the section, the blank cell, numbers as text."""

from __future__ import annotations

from dataclasses import dataclass

BLANK = "-"
ALONE, IN_MAP = "alone", "in a map"
"""Settings in which a pixel is classified, as headings."""


@dataclass(frozen=True)
class Section:
    """A table: one heading per column of values, rows that start with their label, notes."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def percent(share: float | None) -> str:
    """Format a share of 1 in per cent."""
    return BLANK if share is None else f"{100 * share:.2f}"
