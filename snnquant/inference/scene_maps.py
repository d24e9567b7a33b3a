"""Maps of classes, smoothed classes, confidence and distance in one pass over a scene's tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from snnquant.inference.cube import Cube
from snnquant.inference.dense import TileLogits
from snnquant.inference.edges import Edges
from snnquant.inference.smoothing import Readout
from snnquant.inference.spectral_distance import SpectralDistance
from snnquant.inference.tiles import class_type, work_on_tiles
from snnquant.sampling import Normalisation
from snnquant.sampling.patches import check_window

_NO_GUIDE = np.zeros((1, 1, 1), np.float32)


def map_fields(classes: int) -> np.dtype[Any]:
    """Return the type of a pixel of `map_scene`.

    Its fields are "classes" and "smoothed", class numbers from 1, "confidence" in the smoothed
    class, 0 to 1, and "distance"; all are 0 where a pixel has no data.

    >>> map_fields(16).names
    ('classes', 'smoothed', 'confidence', 'distance')
    """
    number = class_type(classes)
    return np.dtype(
        [
            *(("classes", number), ("smoothed", number)),
            *(("confidence", np.float32), ("distance", np.float32)),
        ]
    )


def map_scene(
    logits: TileLogits,
    cube: Cube,
    normalisation: Normalisation,
    window: int,
    readout: Readout,
    edges: Edges,
    distance: SpectralDistance,
    pixels: NDArray[Any],
    progress: Callable[[int, int], None],
) -> None:
    """Fill all maps of a cube, tile by tile; a tile's margin is as wide as the smoothing reaches.

    Tiles whose pixels with data have classes are done already and left as they are.

    Args:
        logits: Logits [K, h, w] of a normalised tile with its margin; see `tile_logits`.
        cube: Raw pixels [H, W, B].
        normalisation: Statistics of the training pixels.
        window: Side of the patches, in pixels.
        readout: Smoothing and temperatures.
        edges: Edges of the fields, for a smoothing that stays within them.
        distance: Distance of a normalised spectrum from the training pixels.
        pixels: Array [H, W] of `map_fields` that is filled.
        progress: Receives the number of pixels done and in total.

    Raises:
        InputError: For a window larger than the scene.
    """
    height, width, _ = cube.shape
    check_window(window, height, width)
    margin, half = readout.strength.reach, window // 2

    @torch.inference_mode()
    def fill(rows: range, columns: range) -> int:
        part = pixels[rows.start : rows.stop, columns.start : columns.stop]
        if part["classes"].all():
            return int(part.size)
        wide = _widened(rows, margin, height), _widened(columns, margin, width)
        values, wide_valid = cube.block(*wide, half)
        inner = _within(rows, wide[0]), _within(columns, wide[1])
        valid = wide_valid[inner]
        if not part["classes"][valid].all():
            scaled = normalisation.apply(values)
            found = logits(torch.from_numpy(scaled).permute(2, 0, 1)[None, None]).cpu()
            centre = slice(half, half + len(wide[0])), slice(half, half + len(wide[1]))
            # Only a mean within edges looks at it.
            guide = edges(values[centre]) if readout.strength.passes else _NO_GUIDE
            smoothed = readout.smoothed(found.permute(1, 2, 0).numpy(), wide_valid, guide)[inner]
            spectra = scaled[centre][inner]
            part["smoothed"] = np.where(valid, smoothed.argmax(2) + 1, 0)
            part["confidence"] = readout.confidence(smoothed)
            part["distance"] = np.where(valid, distance(spectra), 0)
            # Last, because they tell that the tile is done.
            part["classes"] = np.where(valid, found.argmax(0).numpy()[inner] + 1, 0)
        return int(part.size)

    work_on_tiles(fill, height, width, progress)


def _widened(part: range, margin: int, length: int) -> range:
    return range(max(part.start - margin, 0), min(part.stop + margin, length))


def _within(part: range, wide: range) -> slice:
    return slice(part.start - wide.start, part.stop - wide.start)
