from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spectral.io import envi

from snnquant.errors import InputError
from snnquant.inference import Cube
from snnquant.scenes import load_scene
from snnquant.scenes.nodata import fill_nearest
from snnquant.scenes.pixels import PixelRules

VALUES = np.random.default_rng(0).integers(-500, 9000, (11, 9, 4)).astype(np.int16)


def npy_file(folder, values=VALUES):
    path = folder / "cube.npy"
    np.save(path, values)
    return path


def envi_file(folder, interleave):
    path = folder / "cube.hdr"
    envi.save_image(str(path), VALUES, dtype=np.int16, interleave=interleave, ext=".img")
    return path


@settings(deadline=None)
@given(st.data(), st.integers(0, 4))
def test_a_block_is_what_padding_the_whole_cube_by_reflection_gives(data, margin):
    rows, columns = (
        range(*sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))))
        for n in VALUES.shape[:2]
    )
    cube = Cube("a cube", VALUES.shape, "", lambda: VALUES)
    around = ((margin, margin), (margin, margin), (0, 0))
    whole = np.pad(VALUES, around, mode="reflect")
    expected = whole[rows.start : rows.stop + 2 * margin, columns.start : columns.stop + 2 * margin]
    block, valid = cube.block(rows, columns, margin)
    assert valid.shape == (len(rows), len(columns))
    assert valid.all()
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block, expected)


@settings(deadline=None)
@given(st.integers(0, 999), st.floats(0.05, 0.97), st.integers(0, 3))
def test_windows_of_blocks_are_those_of_the_whole_filled_scene(seed, share, margin):
    """A map in blocks and a map of the loaded scene see the same values beside gaps."""
    random = np.random.default_rng(seed)
    gaps = random.random((14, 12)) < share
    gaps.flat[random.integers(168)] = False
    values = np.arange(168, dtype=np.float32).reshape(14, 12, 1)
    whole = values.copy()
    fill_nearest(whole, ~gaps)
    padded = np.pad(whole, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    values[gaps] = -1
    cube = Cube("a cube", values.shape, "", lambda: values, PixelRules(nodata=-1))
    rows, columns = range(3, 9), range(0, 12)
    block, valid = cube.block(rows, columns, margin)
    np.testing.assert_array_equal(valid, ~gaps[3:9])
    for row, column in np.argwhere(valid):
        at = np.s_[row : row + 2 * margin + 1, column : column + 2 * margin + 1]
        np.testing.assert_array_equal(block[at], padded[3:][at])


@pytest.mark.parametrize("interleave", ["npy", "bsq", "bil", "bip"])
def test_files_are_mapped_not_read(tmp_path, interleave):
    path = npy_file(tmp_path) if interleave == "npy" else envi_file(tmp_path, interleave)
    cube = Cube.of_file(path)
    assert cube.shape == VALUES.shape
    assert isinstance(cube.open(), np.memmap)
    np.testing.assert_array_equal(cube.block(range(2, 5), range(1, 9), 0)[0], VALUES[2:5, 1:9])


def test_the_identity_follows_the_file(tmp_path):
    before = Cube.of_file(npy_file(tmp_path)).identity
    assert Cube.of_file(tmp_path / "cube.npy").identity == before
    after = Cube.of_file(npy_file(tmp_path, VALUES[:-1])).identity
    assert after != before


def test_a_scene_is_a_cube():
    scene = load_scene("synthetic:16x12x8")
    cube = Cube.of_scene(scene)
    assert cube.shape == (16, 12, 8)
    np.testing.assert_array_equal(cube.block(range(16), range(12), 0)[0], scene.cube)


def test_values_that_are_not_finite_are_no_data(tmp_path):
    values = VALUES.astype(np.float64)
    values[6, 2, 1] = np.nan
    values[7, 0, 0] = 1e300  # finite in the file, infinite in float32
    cube = Cube.of_file(npy_file(tmp_path, values))
    block, valid = cube.block(range(4, 8), range(0, 9), 2)
    assert np.argwhere(~valid).tolist() == [[2, 2], [3, 0]]
    assert np.isfinite(block).all()


def test_a_file_without_a_cube_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cube\.npy: found a cube of shape \(11, 9\)"):
        Cube.of_file(npy_file(tmp_path, VALUES[:, :, 0]))
    with pytest.raises(InputError, match=r"none\.npy: cannot be read"):
        Cube.of_file(tmp_path / "none.npy")
