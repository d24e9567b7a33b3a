from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.sampling import Normalisation, Patches

shapes = st.tuples(st.integers(5, 9), st.integers(5, 9), st.integers(1, 4))


def mirrored(position: int, length: int) -> int:
    """Reflect about the first and last pixel: -1 is 1, length is length - 2."""
    return length - 1 - abs(length - 1 - abs(position))


@settings(deadline=None)
@given(shapes, st.sampled_from([1, 3, 5]), st.integers(0, 99), st.data())
def test_patches_equal_a_plain_loop(shape, window, seed, data):
    height, width, bands = shape
    random = np.random.default_rng(seed)
    cube = random.normal(size=shape).astype(np.float32)
    normalisation = Normalisation(
        random.normal(size=bands).astype(np.float32),
        random.uniform(0.5, 2, bands).astype(np.float32),
    )
    pixels = data.draw(st.lists(st.integers(0, height * width - 1), max_size=12))
    patches = Patches(cube, window, normalisation).gather(np.array(pixels, np.int64))
    assert patches.shape == (len(pixels), 1, bands, window, window)
    assert patches.dtype == torch.float32
    scores = normalisation.apply(cube)
    for patch, pixel in zip(patches, pixels, strict=True):
        for down, right in np.ndindex(window, window):
            row = mirrored(pixel // width + down - window // 2, height)
            column = mirrored(pixel % width + right - window // 2, width)
            np.testing.assert_array_equal(patch[0, :, down, right].numpy(), scores[row, column])


def test_patches_are_copies_and_take_tensors():
    cube = np.arange(50, dtype=np.float32).reshape(5, 5, 2)
    patches = Patches(cube, 3, Normalisation(np.zeros(2, np.float32), np.ones(2, np.float32)))
    first = patches.gather(torch.tensor([12, 12]))
    first.zero_()
    assert patches.gather(torch.tensor([12]))[0, 0, :, 1, 1].tolist() == [24, 25]
    assert cube[2, 2].tolist() == [24, 25]


@pytest.mark.parametrize("pixel", [-1, 25])
def test_a_pixel_outside_the_scene_is_refused(pixel):
    normalisation = Normalisation(np.zeros(1, np.float32), np.ones(1, np.float32))
    patches = Patches(np.zeros((5, 5, 1), np.float32), 3, normalisation)
    with pytest.raises(IndexError, match=r"outside 0\.\.24"):
        patches.gather(np.array([3, pixel]))


@pytest.mark.parametrize(("window", "message"), [(2, "odd"), (0, "odd"), (7, "at most 5")])
def test_a_window_that_does_not_fit_is_refused(window, message):
    normalisation = Normalisation(np.zeros(1, np.float32), np.ones(1, np.float32))
    with pytest.raises(InputError, match=f"--window: found {window}, expected .*{message}"):
        Patches(np.zeros((5, 6, 1), np.float32), window, normalisation)


@settings(deadline=None)
@given(st.integers(0, 99), st.sets(st.integers(0, 29), min_size=2))
def test_normalisation_sees_only_training_pixels(scene_of, seed, chosen):
    scene = scene_of(np.ones((6, 5), int), bands=3, seed=seed)
    train = np.array(sorted(chosen))
    normalisation = Normalisation.fit(scene, train)
    scores = normalisation.apply(scene.cube).reshape(-1, 3)[train]
    # Values that hardly differ keep float32's rounding, which their small std then enlarges.
    rounding = 1e-6 * (1 + np.abs(normalisation.mean) / normalisation.std)
    assert (np.abs(scores.mean(axis=0)) <= rounding).all()
    assert (np.abs(scores.std(axis=0) - 1) <= rounding).all()
    changed = scene.cube.copy()
    changed.reshape(-1, 3)[np.setdiff1d(np.arange(30), train)] = 1e6
    object.__setattr__(scene, "cube", changed)
    again = Normalisation.fit(scene, train)
    np.testing.assert_array_equal(again.mean, normalisation.mean)
    np.testing.assert_array_equal(again.std, normalisation.std)


@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 30))
def test_a_constant_band_is_not_divided_by_nothing(scene_of, value, count):
    scene = scene_of(np.ones((6, 5), int))
    scene.cube[..., 0] = value
    normalisation = Normalisation.fit(scene, np.arange(count))
    assert normalisation.std[0] == 1
    assert np.abs(normalisation.apply(scene.cube)[..., 0]).max() <= abs(value) * 1e-6
