"""Maps of numbers, such as a confidence: as an array, and as a picture with its scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from snnquant.io import replacing
from snnquant.report.maps import GAP, INK, LINE, PANEL

_VIRIDIS = ("440154", "3b528b", "21918c", "5ec962", "fde725")
"""Colours of matplotlib's viridis at 0, 1/4, 1/2, 3/4 and 1; those between are interpolated."""
_BAR = 12
_LARGEST = 2048  # pixels on a side; of larger maps the picture has every second pixel, or fewer


def write_values(
    stem: Path,
    values: NDArray[np.float32],
    known: NDArray[np.bool_],
    caption: str,
    ends: tuple[float, float],
) -> list[Path]:
    """Write a map of numbers as STEM.npy, and as STEM.png in colours with their scale.

    Both files are written whole or not at all.

    Args:
        stem: Path without suffix.
        values: Numbers [H, W].
        known: [H, W] True where a pixel has a number; others are black.
        caption: Name and unit of the numbers.
        ends: Numbers of the darkest and of the brightest colour; those beyond have the same.

    Returns:
        The paths of the files.

    Raises:
        InputError: If a file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> values = np.zeros((3, 4), np.float32)
    >>> with TemporaryDirectory() as folder:
    ...     files = write_values(Path(folder) / "m", values, values == 0, "confidence", (0, 1))
    >>> [file.name for file in files]
    ['m.png', 'm.npy']
    """
    paths = [stem.with_name(f"{stem.name}{end}") for end in (".png", ".npy")]
    with replacing(paths[0]) as temporary:
        _picture(values, known, caption, ends).save(temporary)
    with replacing(paths[1]) as temporary:
        np.save(temporary, values)
    return paths


def _picture(
    values: NDArray[np.float32], known: NDArray[np.bool_], caption: str, ends: tuple[float, float]
) -> Image.Image:
    """Draw the caption, the map, enlarged or reduced, and the scale under it."""
    low, high = ends
    step = -(-max(values.shape) // _LARGEST)
    values, known = values[::step, ::step], known[::step, ::step]
    palette = np.append(colour_scale(), np.zeros((1, 3), np.uint8), axis=0)
    shares = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    numbers = np.where(known, np.rint(255 * shares).astype(np.uint16), 256)
    scale = max(1, round(PANEL / max(values.shape)))
    height, width = (side * scale for side in values.shape)
    page = Image.new("RGB", (max(width, PANEL) + 2 * GAP, height + 3 * LINE + GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    draw.text((GAP, 2), caption, INK, font)
    panel = Image.fromarray(palette[numbers]).resize((width, height), Image.Resampling.NEAREST)
    page.paste(panel, (GAP, LINE))
    top, right = LINE + height + GAP // 2, GAP + PANEL
    bar = Image.fromarray(palette[None, :256]).resize((PANEL, _BAR), Image.Resampling.NEAREST)
    page.paste(bar, (GAP, top))
    draw.text((GAP, top + _BAR + 2), f"{low:.3g}", INK, font)
    draw.text((right, top + _BAR + 2), f"{high:.3g}", INK, font, anchor="ra")
    return page


def colour_scale() -> NDArray[np.uint8]:
    """Return viridis in 256 colours [256, 3]."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in _VIRIDIS])
    places, steps = np.linspace(0, 1, len(anchors)), np.linspace(0, 1, 256)
    channels = [np.interp(steps, places, channel) for channel in anchors.T]
    palette: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return palette
