from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.inference import Cube, classify_scene, tiles
from snnquant.sampling import Normalisation, Patches

CLASSES = 7


def cube_of(values: np.ndarray) -> Cube:
    return Cube("a cube", values.shape, "", lambda: values)


def unchanged(bands: int) -> Normalisation:
    return Normalisation(np.zeros(bands, np.float32), np.ones(bands, np.float32))


def hash_of_windows(windows: torch.Tensor) -> torch.Tensor:
    """Return a class that depends on every value of a window [..., B, side, side], exactly."""
    weights = torch.arange(1, windows[0, 0].numel() + 1).view(windows.shape[2:]) % 13
    return (windows * weights).flatten(2).sum(2).long() % CLASSES


def hash_of_tile(window: int):
    def classify(tile: torch.Tensor) -> torch.Tensor:
        windows = tile[0, 0].unfold(1, window, 1).unfold(2, window, 1)
        return hash_of_windows(windows.permute(1, 2, 0, 3, 4))

    return classify


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.integers(5, 40),
    st.integers(5, 40),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 20),
    st.integers(0, 99),
)
def test_every_pixel_gets_the_class_of_its_own_reflected_window(height, width, window, tile, seed):
    values = np.random.default_rng(seed).integers(0, 9, (height, width, 3)).astype(np.float32)
    class_map = np.zeros((height, width), np.uint8)
    told: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tiles, "TILE", tile)
        classify_scene(
            hash_of_tile(window),
            cube_of(values),
            unchanged(3),
            window,
            class_map,
            lambda *now: told.append(now),
        )
    patches = Patches(values, window, unchanged(3)).gather(torch.arange(height * width))
    expected = hash_of_windows(patches.transpose(0, 1)).view(height, width).numpy() + 1
    np.testing.assert_array_equal(class_map, expected)
    assert told[0] == (0, height * width)
    assert told[-1] == (height * width, height * width)
    assert told == sorted(told)


def test_an_interrupted_map_resumes_where_it_stopped(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 8)
    values = np.random.default_rng(0).integers(0, 9, (32, 24, 2)).astype(np.float32)
    whole = np.zeros((32, 24), np.uint8)
    classify_scene(hash_of_tile(3), cube_of(values), unchanged(2), 3, whole)

    class_map = np.zeros((32, 24), np.uint8)
    calls: list[int] = []

    def until(limit: int):
        def classify(tile: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            if len(calls) > limit:
                raise KeyboardInterrupt
            return hash_of_tile(3)(tile)

        return classify

    with pytest.raises(KeyboardInterrupt):
        classify_scene(until(5), cube_of(values), unchanged(2), 3, class_map)
    assert 0 < np.count_nonzero(class_map) < class_map.size
    calls.clear()
    classify_scene(until(99), cube_of(values), unchanged(2), 3, class_map)
    assert len(calls) == 12 - 5
    np.testing.assert_array_equal(class_map, whole)


def test_normalisation_and_threads_are_as_they_were():
    values = np.full((5, 5, 1), 30, np.float32)
    normalisation = Normalisation(np.full(1, 10, np.float32), np.full(1, 4, np.float32))
    class_map = np.zeros((5, 5), np.uint8)
    threads = torch.get_num_threads()
    seen: list[tuple[int, float]] = []

    def classify(tile: torch.Tensor) -> torch.Tensor:
        seen.append((torch.get_num_threads(), tile.unique().item()))
        return torch.zeros(5, 5, dtype=torch.long)

    classify_scene(classify, cube_of(values), normalisation, 3, class_map)
    assert seen == [(1, 5.0)]
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("highest", "dtype"), [(254, np.uint8), (299, np.uint16)])
def test_class_numbers_fill_the_map_s_own_type(highest, dtype):
    class_map = np.zeros((3, 3), dtype)

    def classify(tile: torch.Tensor) -> torch.Tensor:
        return torch.full((3, 3), highest)

    classify_scene(classify, cube_of(np.zeros((3, 3, 1), np.float32)), unchanged(1), 1, class_map)
    assert (class_map == highest + 1).all()


def test_a_window_larger_than_the_cube_is_refused():
    with pytest.raises(InputError, match="--window: found 5, expected at most 4"):
        classify_scene(
            hash_of_tile(5),
            cube_of(np.zeros((4, 9, 1), np.float32)),
            unchanged(1),
            5,
            np.zeros((4, 9), np.uint8),
        )
