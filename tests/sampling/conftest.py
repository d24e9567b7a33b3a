from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from snnquant.scenes import Scene


@pytest.fixture(scope="session")
def scene_of() -> Callable[..., Scene]:
    """Build a scene from raw class numbers [H, W]; its cube is noise with a few bands."""

    def build(raw: np.ndarray, bands: int = 2, seed: int = 0) -> Scene:
        present = [number for number in np.unique(raw) if number]
        labels = np.searchsorted([0, *present], raw).astype(np.int64)
        cube = np.random.default_rng(seed).normal(3, 2, (*raw.shape, bands)).astype(np.float32)
        names = tuple(f"crop {number}" for number in present)
        colours = tuple(f"#{number:02x}8040" for number in present)
        return Scene("field", cube, labels, names, colours, None, "0" * 64)

    return build


@pytest.fixture(scope="session")
def parcels(scene_of) -> Callable[..., Scene]:
    """Build a seeded scene of rectangular parcels, some unlabelled."""

    def build(height: int, width: int, classes: int, seed: int, grid: int = 5) -> Scene:
        numbers = np.random.default_rng(seed).integers(0, classes + 1, (grid, grid))
        numbers[0, 0] = 1
        rows, columns = np.arange(height) * grid // height, np.arange(width) * grid // width
        return scene_of(numbers[rows[:, None], columns])

    return build
