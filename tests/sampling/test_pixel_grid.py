"""Pixels on a grid of whole codes, after any scaling and form of the spectra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.sampling import Normalisation, PixelGrid
from snnquant.scenes import Scene, load_scene

SCENE = load_scene("synthetic:20x20x12")
TRAIN = np.flatnonzero(SCENE.labels)[::3]
SCALINGS = ("standard", "none", "minmax", "divide:3", "whiten", "within-class")
bits = st.integers(2, 14)


def on_grid(scaling: str, bits: int, spectra: str = "raw") -> Normalisation:
    fitted = Normalisation.fit(SCENE, TRAIN, 0, scaling, spectra)
    return fitted.on_grid(SCENE.cube, TRAIN, bits)


@settings(max_examples=60, deadline=None)
@given(bits, st.sampled_from(SCALINGS))
def test_every_value_is_a_whole_code_of_the_bits_times_the_step(bits: int, scaling: str) -> None:
    normalisation = on_grid(scaling, bits)
    grid = normalisation.grid
    assert grid is not None
    values = normalisation.apply(SCENE.cube)
    codes = grid.codes(values)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(codes, np.rint(codes))
    np.testing.assert_array_equal(codes * np.float32(grid.step), values)
    np.testing.assert_array_equal(grid.apply(values), values)
    assert grid.low <= codes.min()
    assert codes.max() <= grid.high
    assert grid.high - grid.low == 2**bits - 1
    plain = replace(normalisation, grid=None).apply(SCENE.cube)
    within = (plain >= grid.low * grid.step) & (plain <= grid.high * grid.step)
    error = np.abs(values - plain)[within]
    assert error.max() <= 0.5 * grid.step + 1e-6 * np.abs(plain).max()
    training = plain.reshape(-1, plain.shape[-1])[TRAIN]
    assert grid.signed == bool(training.min() < 0)


@given(bits, st.integers(0, 999), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_step_has_the_min_squared_error(bits: int, seed: int, signed: bool) -> None:
    """Against a search over steps that knows nothing of the candidates."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(40, 10)).astype(np.float32) ** 3  # long tails
    values = values if signed else np.abs(values)
    grid = PixelGrid.fit(values, bits)

    def error(step: float) -> float:
        codes = np.clip(np.round(values.astype(np.float64) / step), grid.low, grid.high)
        return float(np.square(codes * step - values).sum())

    full = np.abs(values).max() / max(grid.high, 1)
    # Candidates are a hundredth of the range apart, and the error of many levels is uneven in it.
    others = [error(float(full * share)) for share in np.linspace(0.1, 1.2, 45)]
    assert error(grid.step) <= 1.15 * min(others) + 1e-9


def test_only_training_pixels_decide_on_the_grid() -> None:
    cube = SCENE.cube.copy()
    others = np.setdiff1d(np.arange(400), TRAIN)
    cube.reshape(-1, 12)[others] = 1e6
    fitted = Normalisation.fit(SCENE, TRAIN)
    assert fitted.on_grid(cube, TRAIN, 8).grid == fitted.on_grid(SCENE.cube, TRAIN, 8).grid
    clipped = fitted.on_grid(cube, TRAIN, 8)
    assert clipped.grid is not None
    top = clipped.apply(cube).reshape(-1, 12)[others]
    np.testing.assert_allclose(top, clipped.grid.high * clipped.grid.step)


@pytest.mark.parametrize("scaling", ["whiten", "within-class"])
@pytest.mark.parametrize("spectra", ["raw", "raw+snv+log-derivative"])
def test_a_pixel_has_the_same_codes_in_every_tile(scaling: str, spectra: str) -> None:
    if scaling == "whiten" and spectra != "raw":
        return
    positive = Scene.from_arrays(np.abs(SCENE.cube) + 1, SCENE.labels)
    fitted = Normalisation.fit(positive, TRAIN, 0, scaling, spectra)
    normalisation = fitted.on_grid(positive.cube, TRAIN, 12)
    whole = normalisation.apply(positive.cube)
    for rows, columns in ((range(0, 7), range(3, 4)), (range(2, 3), range(0, 20))):
        part = positive.cube[rows.start : rows.stop, columns.start : columns.stop].copy()
        expected = whole[rows.start : rows.stop, columns.start : columns.stop]
        np.testing.assert_array_equal(normalisation.apply(part), expected)


def test_within_class_differences_outlive_eight_bits() -> None:
    """Rounding adds little to the variance within the classes, which whitening makes small."""
    normalisation = on_grid("within-class", 8)
    plain = replace(normalisation, grid=None).apply(SCENE.cube).reshape(-1, 12)[TRAIN]
    rounded = normalisation.apply(SCENE.cube).reshape(-1, 12)[TRAIN]
    labels, residuals = SCENE.labels.ravel()[TRAIN], plain.copy()
    for number in np.unique(labels):
        residuals[labels == number] -= plain[labels == number].mean(axis=0)
    assert residuals.std(axis=0).min() < 0.5 * plain.std(axis=0).min()
    added = np.square(rounded - plain).mean(axis=0)
    assert (added < 0.01 * np.square(residuals).mean(axis=0)).all()


def test_bits_that_it_has_keep_the_grid_and_32_takes_it_off() -> None:
    normalisation = on_grid("standard", 8)
    assert normalisation.on_grid(SCENE.cube[:2], TRAIN[:5], 8) is normalisation
    plain = normalisation.on_grid(SCENE.cube, TRAIN, 32)
    assert (plain.grid, plain.bits, normalisation.bits) == (None, 32, 8)
    fitted = Normalisation.fit(SCENE, TRAIN)
    np.testing.assert_array_equal(plain.apply(SCENE.cube), fitted.apply(SCENE.cube))


def test_values_that_are_all_zero_have_a_grid() -> None:
    grid = PixelGrid.fit(np.zeros((5, 3), np.float32), 8)
    assert grid.apply(np.zeros(3, np.float32)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((1, 0.5, True), "pixel bits: found 1, expected 2 to 14"),
        ((15, 0.5, True), "pixel bits: found 15, expected 2 to 14"),
        ((8.0, 0.5, True), "pixel bits: found 8.0, expected 2 to 14"),
        ((8, 0.0, True), "pixel step: found 0.0, expected a number above 0"),
        ((8, float("nan"), False), "pixel step: found nan, expected a number above 0"),
        ((8, "x", False), "pixel step: found 'x', expected a number above 0"),
    ],
)
def test_a_grid_out_of_range_is_refused_in_a_line(values, line: str) -> None:
    with pytest.raises(InputError) as caught:
        PixelGrid(*values)
    assert str(caught.value) == line
