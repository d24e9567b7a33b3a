"""All maps of a scene in one pass: tiles change nothing, and an interrupted pass resumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from snnquant.inference import (
    Cube,
    Edges,
    Readout,
    SpectralDistance,
    TileMaps,
    fill_map,
    map_fields,
    scene_logits,
    tiles,
)
from snnquant.sampling import Normalisation

BANDS, CLASSES, WINDOW = 3, 4, 3
READOUT = Readout(temperature=1.5, sigma=2.0, temperature_smoothed=0.5)
NORMALISATION = Normalisation(np.full(BANDS, 0.5, np.float32), np.full(BANDS, 2, np.float32))
WEIGHTS = torch.randn(CLASSES, BANDS, WINDOW, WINDOW, generator=torch.Generator().manual_seed(0))


def logits(tile: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.conv2d(tile[0], WEIGHTS)[0]


@pytest.fixture
def cube() -> Cube:
    values = np.random.default_rng(0).normal(size=(37, 29, BANDS)).astype(np.float32)
    values[3:9, 5:25] = np.nan
    return Cube("a cube", values.shape, "", lambda: values)


@pytest.fixture
def distance(cube: Cube) -> SpectralDistance:
    spectra = NORMALISATION.apply(cube.open())[10:].reshape(-1, BANDS)
    return SpectralDistance.of(spectra, np.arange(len(spectra)) % 2)


@pytest.fixture
def edges(cube: Cube) -> Edges:
    return Edges.of(cube.open()[10:].reshape(-1, BANDS))


def maps_of(
    cube: Cube,
    distance: SpectralDistance,
    edges: Edges,
    by_tile=logits,
    pixels=None,
    readout: Readout = READOUT,
) -> np.ndarray:
    if pixels is None:
        pixels = np.zeros(cube.shape[:2], map_fields(CLASSES))
    method = TileMaps(by_tile, NORMALISATION, WINDOW, readout, edges, distance)
    fill_map(method, cube, pixels)
    return pixels


def same(found: np.ndarray, expected: np.ndarray) -> None:
    for name in ("classes", "smoothed"):
        np.testing.assert_array_equal(found[name], expected[name])
    for name in ("confidence", "distance"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("tile", [5, 16, 64])
@pytest.mark.parametrize("passes", [None, 3])
def test_tiles_give_what_the_whole_scene_gives(
    cube, distance, edges, tile, passes, monkeypatch
) -> None:
    monkeypatch.setattr(tiles, "TILE", tile)
    readout = replace(READOUT, sigma=0.0, edge_passes=passes) if passes else READOUT
    found = maps_of(cube, distance, edges, readout=readout)
    values = scene_logits(logits, cube, NORMALISATION, WINDOW, CLASSES)
    valid = np.isfinite(cube.open()).all(2)
    smoothed = readout.smoothed(values, valid, edges(cube.open()))
    np.testing.assert_array_equal(found["classes"], np.where(valid, values.argmax(2) + 1, 0))
    np.testing.assert_array_equal(found["smoothed"], np.where(valid, smoothed.argmax(2) + 1, 0))
    np.testing.assert_allclose(found["confidence"], readout.confidence(smoothed), rtol=1e-4)
    spectra = NORMALISATION.apply(np.nan_to_num(cube.open()))
    np.testing.assert_allclose(found["distance"][valid], distance(spectra)[valid], rtol=1e-5)
    for name in found.dtype.names:
        assert (found[name][~valid] == 0).all()
    assert (found["classes"] != found["smoothed"]).any()


def test_an_interrupted_pass_resumes(cube, distance, edges, monkeypatch) -> None:
    monkeypatch.setattr(tiles, "TILE", 16)
    whole, calls = maps_of(cube, distance, edges), []
    pixels = np.zeros(cube.shape[:2], map_fields(CLASSES))

    def until(limit: int):
        def by_tile(tile: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            if len(calls) > limit:
                raise KeyboardInterrupt
            return logits(tile)

        return by_tile

    with pytest.raises(KeyboardInterrupt):
        maps_of(cube, distance, edges, until(2), pixels)
    calls.clear()
    same(maps_of(cube, distance, edges, until(99), pixels), whole)
    assert len(calls) == 6 - 2


def test_distance_is_mahalanobis_to_the_nearest_mean() -> None:
    draw = np.random.default_rng(0)
    mixing, means = draw.normal(size=(5, 5)), 9 * draw.normal(size=(3, 5))
    classes = np.arange(3000) % 3
    spectra = (draw.normal(size=(3000, 5)) @ mixing + means[classes]).astype(np.float32)
    found = SpectralDistance.of(spectra, classes + 4)
    own = np.stack([spectra[classes == k].mean(0) for k in range(3)])
    residuals = spectra - own[classes]
    covariance = residuals.T @ residuals / len(spectra)
    covariance += 1e-3 * np.trace(covariance) / 5 * np.eye(5)
    away = spectra[:50, None] - own
    squares = np.einsum("nkb,bc,nkc->nk", away, np.linalg.inv(covariance), away)
    np.testing.assert_allclose(found(spectra[:50]), np.sqrt(squares.min(1) / 5), rtol=1e-3)
    assert found(spectra[None]).shape == (1, 3000)


def test_more_bands_than_pixels_have_a_distance() -> None:
    spectra = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32)
    distance = SpectralDistance.of(spectra, np.array([0, 0, 0, 1, 1, 1]))
    assert np.isfinite(distance(spectra)).all()
    assert distance(spectra + 5).min() > distance(spectra).max()
    alike = SpectralDistance.of(np.ones((3, 4), np.float32), np.zeros(3, int))
    assert np.isfinite(alike(np.ones((1, 4), np.float32))).all()
