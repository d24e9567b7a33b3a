"""Maps of classes, smoothed classes, confidence and distance in one pass over a scene's tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from snnquant.inference.dense import TileLogits
from snnquant.inference.edges import Edges
from snnquant.inference.smoothing import Readout
from snnquant.inference.spectral_distance import SpectralDistance
from snnquant.inference.tiles import Tile, class_type
from snnquant.sampling import Normalisation

_NO_GUIDE = np.zeros((1, 1, 1), np.float32)


def map_fields(classes: int) -> np.dtype[Any]:
    """Return the type of a pixel of `TileMaps`.

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


@dataclass(frozen=True, eq=False)
class TileMaps:
    """All maps of a tile, in pixels of `map_fields`: a `TileMethod`."""

    logits: TileLogits
    """Logits [K, h, w] of a normalised tile with its margin; see `tile_logits`."""
    normalisation: Normalisation
    """Statistics of the training pixels."""
    window: int
    """Side of the patches, in pixels."""
    readout: Readout
    """Smoothing and temperatures."""
    edges: Edges
    """Edges of the fields, for a smoothing that stays within them."""
    distance: SpectralDistance
    """Distance of a normalised spectrum from the training pixels."""

    @property
    def margin(self) -> int:
        """As far as the smoothing reaches."""
        return self.readout.strength.reach

    def __call__(self, tile: Tile) -> NDArray[Any]:
        """Return the pixels [h, w]."""
        half, (height, width) = self.window // 2, tile.wide_valid.shape
        scaled, valid = self.normalisation.apply(tile.values), tile.valid
        logits = self.logits(torch.from_numpy(scaled).permute(2, 0, 1)[None, None]).cpu()
        centre = slice(half, half + height), slice(half, half + width)
        # Only a mean within edges looks at it.
        guide = self.edges(tile.values[centre]) if self.readout.strength.passes else _NO_GUIDE
        by_pixel = logits.permute(1, 2, 0).numpy()
        smoothed = self.readout.smoothed(by_pixel, tile.wide_valid, guide)[tile.inner]
        found = np.zeros(valid.shape, map_fields(len(logits)))
        found["smoothed"] = np.where(valid, smoothed.argmax(2) + 1, 0)
        found["confidence"] = self.readout.confidence(smoothed)
        found["distance"] = np.where(valid, self.distance(scaled[centre][tile.inner]), 0)
        found["classes"] = np.where(valid, logits.argmax(0).numpy()[tile.inner] + 1, 0)
        return found
