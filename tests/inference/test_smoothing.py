"""Smoothing: what it keeps, what it leaves out, and the strength that validation chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from snnquant.inference import Judged, Readout, Strength, choose_smoothing, smooth
from snnquant.inference.smoothing import SIGMAS


@pytest.fixture
def probabilities() -> np.ndarray:
    draw = np.random.default_rng(0)
    return softmax(draw.normal(size=(20, 30, 4)), axis=2).astype(np.float32)


@pytest.fixture
def valid() -> np.ndarray:
    mask = np.random.default_rng(1).random((20, 30)) < 0.8
    mask[:5, :5] = False
    return mask


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_constant_map_stays_and_sums_stay_1(sigma, probabilities, valid) -> None:
    constant = np.broadcast_to(np.array([0.7, 0.2, 0.1], np.float32), (20, 30, 3))
    np.testing.assert_allclose(smooth(constant, valid, sigma)[valid], constant[valid], rtol=1e-5)
    np.testing.assert_allclose(smooth(probabilities, valid, sigma).sum(2), valid, atol=1e-5)


def test_sigma_0_is_the_identity(probabilities) -> None:
    everywhere = np.ones((20, 30), bool)
    np.testing.assert_array_equal(smooth(probabilities, everywhere, 0), probabilities)


def test_pixels_without_data_have_no_part(probabilities, valid) -> None:
    noise = np.where(valid[..., None], probabilities, np.float32(99))
    smoothed = smooth(probabilities, valid, 2)
    np.testing.assert_array_equal(smooth(noise, valid, 2), smoothed)
    assert (smoothed[~valid] == 0).all()


def test_it_is_the_normalised_sum_of_neighbours_as_far_as_it_reaches(probabilities, valid) -> None:
    sigma, row, column = 1.0, 2, 17
    valid[row, column] = True
    rows, columns = np.ogrid[:20, :30]
    away = (rows - row) ** 2 + (columns - column) ** 2
    near = np.maximum(abs(rows - row), abs(columns - column)) <= Strength(sigma).reach
    weights = np.exp(-away / (2 * sigma**2)) * near * valid
    expected = (weights[..., None] * probabilities).sum((0, 1)) / weights.sum()
    found = smooth(probabilities, valid, sigma)[row, column]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def chosen(probabilities, pixels, classes, guide=None) -> Strength:
    everywhere = np.ones(probabilities.shape[:2], bool)
    return choose_smoothing([Judged(probabilities, pixels, classes)], everywhere, guide)


def noisy_halves() -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of two halves, wrong in a tenth of the pixels, and the truth."""
    truth = np.repeat([0, 1], 20)[None] * np.ones((40, 1), int)
    flipped = np.random.default_rng(0).random(truth.shape) < 0.1
    first = np.where(truth ^ flipped, 0.2, 0.8)
    return np.stack([first, 1 - first], axis=2).astype(np.float32), truth


def test_validation_smooths_noise_and_keeps_fields_of_one_pixel() -> None:
    pixels = np.arange(0, 1600, 7)
    probabilities, truth = noisy_halves()
    assert chosen(probabilities, pixels, truth.ravel()[pixels]).sigma >= 1
    checks = np.indices((40, 40)).sum(0) % 2
    sharp = np.stack([1 - checks, checks], axis=2).astype(np.float32)
    assert chosen(sharp, pixels, checks.ravel()[pixels]) == Strength()


def test_one_pixel_more_is_chance_and_many_are_not() -> None:
    truth = np.zeros(1600, int)
    for count in (1, 8):
        # Single pixels that only smoothing gets right, far apart in a field of one class.
        flat = np.broadcast_to(np.array([0.9, 0.1], np.float32), (40, 40, 2)).copy()
        for number in range(count):
            flat[5 + 9 * (number // 4), 5 + 9 * (number % 4)] = [0.3, 0.7]
        assert (chosen(flat, np.arange(1600), truth).sigma > 0) == (count > 1)


def test_equals_no_pixel_and_no_map_choose_the_weakest() -> None:
    flat = np.full((9, 9, 2), 0.5, np.float32)
    flat[..., 1] = 0.4
    pixels = np.arange(81)
    assert chosen(flat, pixels, np.zeros(81, int)) == Strength()
    assert chosen(flat, pixels[:0], np.zeros(0, int)) == Strength()
    assert choose_smoothing([], np.ones((9, 9), bool)) == Strength()


def test_of_several_maps_each_counts_as_one_observation() -> None:
    probabilities, truth = noisy_halves()
    everywhere, every = np.ones((40, 40), bool), np.arange(1600)
    checks = np.indices((40, 40)).sum(0) % 2
    sharp = np.stack([1 - checks, checks], axis=2).astype(np.float32)
    noisy = Judged(probabilities, every, truth.ravel())
    fine = Judged(sharp, every[:50], checks.ravel()[:50])
    assert choose_smoothing([noisy] * 3, everywhere).sigma >= 1
    # As many maps lose all as others win a tenth, however many pixels these have.
    assert choose_smoothing([noisy, fine], everywhere) == Strength()
    # A gain in one of many maps is chance.
    flat = Judged(np.eye(2, dtype=np.float32)[truth], every, truth.ravel())
    assert choose_smoothing([noisy, *[flat] * 5], everywhere) == Strength()


def test_confidence_is_the_softmax_at_the_temperatures(valid) -> None:
    logits = np.random.default_rng(2).normal(scale=5, size=(20, 30, 4)).astype(np.float32)
    readout = Readout(temperature=2.0)
    smoothed = readout.smoothed(logits, valid, np.zeros((20, 30, 3), np.float32))
    expected = softmax(logits / 2, axis=2).max(2) * valid
    np.testing.assert_allclose(readout.confidence(smoothed), expected, rtol=1e-5)
    # Temperatures multiply where nothing is smoothed.
    hotter = replace(readout, temperature_smoothed=3.0)
    expected = softmax(logits / 6, axis=2).max(2) * valid
    np.testing.assert_allclose(hotter.confidence(smoothed), expected, rtol=1e-4)
    colder = replace(readout, temperature_smoothed=0.05)
    assert (colder.confidence(smoothed)[valid] > 0).all()
