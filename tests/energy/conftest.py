from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from snnquant.sampling import Normalisation, Patches

torch.set_num_threads(1)  # small tensors: a second thread costs more than it brings


@pytest.fixture(scope="session")
def patches_of() -> Callable[..., Patches]:
    """Patches of a cube [H, W, B] as it is, by default of noise with a third of its values 0."""

    def build(bands: int, window: int, seed: int = 0, cube: np.ndarray | None = None) -> Patches:
        if cube is None:
            random = np.random.default_rng(seed)
            cube = random.normal(0, 1, (8, 8, bands)).astype(np.float32)
            cube[random.random(cube.shape) < 1 / 3] = 0
        plain = Normalisation(np.zeros(bands, np.float32), np.ones(bands, np.float32))
        return Patches(cube, window, plain)

    return build
