from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.inference import classify_scene
from snnquant.sampling import Normalisation, Patches


def patches_of(cube: np.ndarray, window: int = 3) -> Patches:
    bands = cube.shape[2]
    same = Normalisation(np.zeros(bands, np.float32), np.ones(bands, np.float32))
    return Patches(cube.astype(np.float32), window, same)


@settings(deadline=None)
@given(st.integers(3, 9), st.integers(3, 9), st.integers(1, 100), st.integers(0, 99))
def test_every_pixel_gets_the_class_of_its_own_patch(height, width, batch_size, seed):
    spectra = np.random.default_rng(seed).integers(0, 5, (height, width, 2))
    seen, told = [], []

    def sum_at_centre(patches: torch.Tensor) -> torch.Tensor:
        seen.append(len(patches))
        return patches[:, 0, :, 1, 1].sum(dim=1).long()

    classes = classify_scene(
        sum_at_centre, patches_of(spectra), height, width, batch_size, lambda *now: told.append(now)
    )
    np.testing.assert_array_equal(classes, spectra.sum(axis=2) + 1)
    assert classes.dtype == np.uint8
    assert max(seen) <= batch_size
    assert sum(seen) == height * width
    assert told[0] == (0, height * width)
    assert told[-1] == (height * width, height * width)
    assert told == sorted(told)


@pytest.mark.parametrize(("highest", "dtype"), [(254, np.uint8), (255, np.uint16)])
def test_the_map_is_as_narrow_as_its_classes_allow(highest, dtype):
    cube = np.zeros((3, 3, 1))
    cube[2, 2] = highest
    classes = classify_scene(lambda batch: batch[:, 0, 0, 1, 1], patches_of(cube), 3, 3)
    assert classes.dtype == dtype
    assert classes[2, 2] == highest + 1
