from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.sampling import Normalisation, Patches

BANDS = 6


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, BANDS - 1), st.sets(st.integers(0, 89), min_size=30))
def test_components_are_uncorrelated_on_the_training_pixels(scene_of, seed, count, chosen):
    scene = scene_of(np.ones((9, 10), int), bands=BANDS, seed=seed)
    scene.cube[..., 1] += 3 * scene.cube[..., 0]  # bands that say the same
    train = np.array(sorted(chosen))
    values = Normalisation.fit(scene, train, count).apply(scene.cube).reshape(-1, count)[train]
    covariance = values.T @ values / len(values)
    np.testing.assert_allclose(covariance, np.eye(count), atol=1e-3)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-4)


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, BANDS - 1))
def test_components_keep_the_most_variance(scene_of, seed, count):
    # No orthonormal axes can keep more than the largest eigenvalues: here the singular values.
    scene = scene_of(np.ones((9, 10), int), bands=BANDS, seed=seed)
    normalisation = Normalisation.fit(scene, np.arange(90), count)
    scores = ((scene.cube - normalisation.mean) / normalisation.std).reshape(-1, BANDS)
    kept = 1 / np.linalg.norm(normalisation.components, axis=0) ** 2
    largest = np.linalg.svd(scores, compute_uv=False)[:count] ** 2 / 90
    np.testing.assert_allclose(kept, largest, rtol=1e-3)


@pytest.mark.parametrize("count", [0, BANDS, BANDS + 1])
def test_no_fewer_components_than_bands_leave_the_bands(scene_of, count):
    scene = scene_of(np.ones((5, 5), int), bands=BANDS)
    normalisation = Normalisation.fit(scene, np.arange(25), count)
    assert normalisation.components is None
    assert Patches(scene.cube, 3, normalisation).bands == BANDS


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_fewer_pixels_than_components_stay_finite(scene_of, pixels):
    scene = scene_of(np.ones((5, 5), int), bands=BANDS)
    values = Normalisation.fit(scene, np.arange(pixels), 5).apply(scene.cube)
    assert np.isfinite(values).all()


def test_patches_hold_the_components(scene_of):
    scene = scene_of(np.ones((5, 6), int), bands=BANDS)
    normalisation = Normalisation.fit(scene, np.arange(20), 2)
    patches = Patches(scene.cube, 3, normalisation)
    assert patches.bands == 2
    middle = patches.gather(np.array([8]))[0, 0, :, 1, 1].numpy()
    np.testing.assert_array_equal(middle, normalisation.apply(scene.cube)[1, 2])
