"""Maps of the test pixels on which two networks differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from snnquant.report.maps import GAP, INK, LINE, PANEL

_COLOURS = {
    "not tested": "#ffffff",
    "both right": "#d0d5dc",
    "only {first} right": "#0072b2",
    "only {second} right": "#e69f00",
    "both wrong": "#000000",
}
"""Blue and orange stay apart for colour-blind readers."""


def difference_png(
    shape: Sequence[int],
    pixels: NDArray[np.int64],
    right: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    names: tuple[str, str],
) -> bytes:
    """Draw the test pixels of two networks: both right, only one right, both wrong.

    Args:
        shape: Rows and columns of the scene.
        pixels: [N] flat indices of the pixels that both tested.
        right: Per network [N], True where it is right.
        names: Names of the two for the legend.

    Returns:
        A PNG file; small scenes are enlarged.

    >>> right = np.array([True, False]), np.array([True, True])
    >>> difference_png((2, 2), np.array([0, 3]), right, ("a", "b"))[1:4]
    b'PNG'
    """
    kinds = np.zeros(shape[0] * shape[1], np.uint8)
    first, second = right
    kinds[pixels] = np.select([first & second, first, second], [1, 2, 3], 4)
    colours = np.array([ImageColor.getrgb(colour) for colour in _COLOURS.values()], np.uint8)
    scale = max(1, round(PANEL / max(shape)))
    height, width = shape[0] * scale, shape[1] * scale
    size = width, height
    panel = Image.fromarray(colours[kinds.reshape(tuple(shape))])
    counts = np.bincount(kinds[pixels], minlength=len(_COLOURS))
    texts = [
        f"{text.format(first=names[0], second=names[1])}: {count:,}"
        for text, count in zip(_COLOURS, counts, strict=True)
    ]
    font = ImageFont.load_default(14)
    longest = max(math.ceil(font.getlength(text)) for text in texts[1:])
    page_width = max(width, longest + 22) + 2 * GAP
    page = Image.new("RGB", (page_width, height + 2 * GAP + 4 * LINE), "white")
    page.paste(panel.resize(size, Image.Resampling.NEAREST), (GAP, GAP))
    draw = ImageDraw.Draw(page)
    draw.rectangle((GAP - 1, GAP - 1, GAP + width, GAP + height), None, "#808080")
    for row, (text, colour) in enumerate(list(zip(texts, _COLOURS.values(), strict=True))[1:]):
        top = 2 * GAP + height + row * LINE - GAP // 2
        draw.rectangle((GAP, top + 2, GAP + 14, top + 16), colour, "#808080")
        draw.text((GAP + 22, top), text, INK, font)
    file = BytesIO()
    page.save(file, "PNG", optimize=True)
    return file.getvalue()
