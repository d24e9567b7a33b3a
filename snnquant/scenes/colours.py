"""Colours of classes on maps: their form, and a palette for classes without one."""

from __future__ import annotations

import re

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
# The twenty of "tab20", strong ones first.
_PALETTE = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"),
    *("#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"),
    *("#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5"),
    *("#c49c94", "#f7b6d2", "#c7c7c7", "#dbdb8d", "#9edae5"),
)


def default_colour(index: int) -> str:
    """Return the palette's colour for the class with this index, from 0; it repeats after 20."""
    return _PALETTE[index % len(_PALETTE)]
