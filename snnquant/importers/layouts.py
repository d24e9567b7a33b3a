"""Layouts of a patch: which of them a file or a window allows, and how a user names them."""

from __future__ import annotations

import math
import re

import torch

from snnquant.errors import InputError
from snnquant.nn.wiring import LAYOUTS

WORDS = {
    **dict.fromkeys(("bands", "band", "b", "c", "channels", "spectrum"), "bands"),
    **dict.fromkeys(("window", "h", "w", "rows", "columns", "height", "width"), "window"),
    **dict.fromkeys(("pixels", "p"), "pixels"),
    "1": "1",
    "x": "x",
}
"""Words for an axis, in small letters, and the one that `LAYOUTS` has for it."""


def layouts_for(window: int) -> list[str]:
    """Return the layouts that patches of a window can have, each shape once.

    >>> layouts_for(1)[2:5]
    ['N, 1, bands', 'N, bands', 'N, window, window, bands, 1']
    """
    of_one = ("N, 1, bands", "N, bands", "N, bands, 1")
    of_several = ("N, bands, pixels", "N, pixels, bands")
    return [
        layout
        for layout in LAYOUTS
        if (window == 1 or layout not in of_one)
        and (window > 1 or (layout not in of_several and " x " not in layout))
    ]


def layout_of(text: str, window: int) -> str:
    """Return the layout that a user names, such as "N,1,h,w,B".

    Args:
        text: Names of the axes between commas, with or without brackets.
        window: Side of the window, pixels.

    Raises:
        InputError: No layout of this window has these axes.

    >>> layout_of("[N, 1, h, w, B]", 5)
    'N, 1, window, window, bands'
    """
    parts = [part.strip() for part in text.strip().strip("[]()").split(",")]
    words = [re.split(r"\s*[x*]\s*", part.lower()) for part in parts[1:]]
    named = [" x ".join(WORDS.get(word, word) for word in axis) for axis in words]
    layout = ", ".join([parts[0].upper(), *named])
    if layout not in layouts_for(window):
        found = f"--layout: found {text!r} for a window of {window}"
        raise InputError(f"{found}, expected one of {listed(window)}")
    return layout


def sample_shape(layout: str, bands: int, window: int) -> tuple[int, ...]:
    """Return the shape of a patch in a layout, without the batch."""
    patch = torch.empty(1, 1, bands, window, window, device="meta")
    return tuple(LAYOUTS[layout]()(patch).shape[1:])


def fits(shape: tuple[int, ...], declared: tuple[int | None, ...]) -> bool:
    """Tell whether a shape fits a declared one, in which None stands for any length."""
    pairs = zip(shape, declared, strict=False)
    return len(shape) == len(declared) and all(theirs in (None, own) for own, theirs in pairs)


def windows_in(declared: tuple[int | None, ...]) -> list[int | None]:
    """Return the windows, None for any, of an input of a declared shape, layout by layout."""
    return [side for layout in LAYOUTS for side in _sides(layout, declared)]


def described(declared: tuple[int | None, ...]) -> str:
    """Write a declared shape with its batch."""
    lengths = ["any" if length is None else str(length) for length in declared]
    return f"[N, {', '.join(lengths)}]"


def listed(window: int | None = None) -> str:
    """Write all layouts, or those of a window."""
    return "; ".join(f"[{name}]" for name in (LAYOUTS if window is None else layouts_for(window)))


def _sides(layout: str, declared: tuple[int | None, ...]) -> list[int | None]:
    """Return the possible windows, None for any, of an input in a layout; [] if it cannot fit."""
    bands = 10007
    window = 101 if "window" in layout or "pixels" in layout else 1  # not found by chance
    shape = sample_shape(layout, bands, window)
    if " x " in layout or len(shape) != len(declared):
        return []
    sides: set[int] = set()
    for own, theirs in zip(shape, declared, strict=True):
        if theirs is None or own == bands:
            continue
        side = math.isqrt(theirs) if own == window**2 else theirs
        if (own == 1 and theirs != 1) or (own == window**2 and side**2 != theirs):
            return []
        if own != 1:
            sides.add(side)
    if len(sides) > 1:
        return []
    return [1 if window == 1 else next(iter(sides), None)]
