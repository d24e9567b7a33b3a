"""Pixels without data: masked by whatever the source says, filled with the nearest pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.scenes import Scene, load_scene
from snnquant.scenes.nodata import fill_nearest
from snnquant.scenes.pixels import PixelRules, read_pixels


def edged(value: float, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a cube whose first two rows have no data, and where one band of a pixel has none."""
    cube = np.random.default_rng(0).integers(1, 9000, (6, 5, 4)).astype(dtype)
    cube[:2] = value
    cube[4, 3, 1] = value
    valid = np.ones((6, 5), bool)
    valid[:2] = valid[4, 3] = False
    return cube, valid


def write(write_envi, folder: Path, form: str, cube: np.ndarray, nodata: float | None) -> str:
    """Write a cube that declares its no-data value; return keys of the card's [cube]."""
    if form == "envi":
        lines = [] if nodata is None else [f"data ignore value = {nodata}"]
        write_envi(folder / "a.hdr", cube, lines=lines)
        return 'file = "a.hdr"'
    if form == "geotiff":
        profile = {"driver": "GTiff", "height": 6, "width": 5, "count": 4, "dtype": cube.dtype}
        place = rasterio.Affine(2, 0, 0, 0, -2, 0)
        with rasterio.open(folder / "a.tif", "w", nodata=nodata, transform=place, **profile) as f:
            f.write(np.moveaxis(cube, -1, 0))
        return 'file = "a.tif"'
    np.save(folder / "a.npy", cube)
    return 'file = "a.npy"' if nodata is None else f'file = "a.npy"\nnodata = {nodata}'


@pytest.mark.parametrize("form", ["envi", "geotiff", "card"])
@pytest.mark.parametrize(
    ("value", "declared", "dtype"),
    [
        (-9999, -9999, "int16"),
        (-9999, -9999, "float32"),
        (65535, 65535, "uint16"),
        (np.nan, None, "float32"),
        (np.inf, None, "float64"),
        (-3.4028234663852886e38, -3.40282e38, "float32"),
        (-1.7976931348623157e308, -1.7976931348623157e308, "float64"),
    ],
)
def test_what_a_source_declares_is_masked(
    form, value, declared, dtype, make_card, card_text, write_envi, tmp_path, capsys
):
    cube, valid = edged(value, dtype)
    keys = write(write_envi, tmp_path, form, cube, declared)
    labels = np.full((6, 5), 3)
    labels[5] = 7
    path = make_card(card_text.replace('file = "cube.npy"', keys), labels=labels)
    scene = load_scene(path)
    np.testing.assert_array_equal(scene.valid, valid)
    np.testing.assert_array_equal(scene.cube[valid], cube[valid].astype(np.float32))
    assert np.isfinite(scene.cube).all()
    assert not scene.labels[~valid].any()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "11 of 30 pixels have no data" in said
    assert "11 of them labelled" in said


@pytest.mark.parametrize("value", [-9999, -32768])
def test_a_usual_value_that_nothing_declares_is_said(value, make_card, card_text, cube, capsys):
    cube = cube.astype(np.int16)
    cube[3] = value
    scene = load_scene(make_card(card_text, cube=cube))
    assert scene.valid.all()
    said = capsys.readouterr().err
    assert f"cube.npy: found values of {value} that nothing declares as no data" in said
    assert said.count("\n") == 1


def test_zero_as_no_data_must_fill_all_bands(tmp_path):
    cube = np.ones((3, 3, 2), np.uint8)
    cube[0, 0] = 0
    cube[1, 1, 0] = 0
    found = read_pixels(cube, PixelRules(nodata=0), "a")
    assert np.argwhere(~found.valid).tolist() == [[0, 0]]


def test_a_band_without_any_value_is_left_out(make_card, card_text, cube, capsys):
    cube = cube.astype(np.float32)
    cube[:, :, 2] = np.nan
    waves = "[wavelengths]\nsource = 'x'\nvalues_nm = [1, 2, 3, 4]\n"
    scene = load_scene(make_card(waves + card_text, cube=cube))
    assert scene.cube.shape == (6, 5, 3)
    assert scene.valid.all()
    assert scene.wavelengths_nm.tolist() == [1, 2, 4]
    assert scene.kept_bands.tolist() == [True, True, False, True]
    assert "left out the bands 3: no pixel has a value" in capsys.readouterr().err


def test_a_value_that_the_type_cannot_hold_is_none_of_its_pixels(cube):
    for nodata in (-9999.0, 0.5, 1e9, np.nan, np.inf):
        assert read_pixels(cube, PixelRules(nodata=nodata), "a").valid.all()


@settings(deadline=None)
@given(st.integers(0, 999), st.floats(0.05, 0.95))
def test_gaps_get_the_values_of_a_nearest_pixel(seed, share):
    random = np.random.default_rng(seed)
    valid = random.random((7, 6)) > share
    valid.flat[random.integers(42)] = True
    values = np.arange(42, dtype=np.float32).reshape(7, 6, 1)
    filled = values.copy()
    fill_nearest(filled, valid)
    np.testing.assert_array_equal(filled[valid], values[valid])
    own = np.argwhere(valid)
    for row, column in np.argwhere(~valid):
        source = np.array(divmod(int(filled[row, column, 0]), 6))
        nearest = ((own - [row, column]) ** 2).sum(axis=1).min()
        assert ((source - [row, column]) ** 2).sum() == nearest


def test_arrays_take_no_data_too(capsys, tmp_path):
    cube = np.arange(24.0).reshape(3, 4, 2)
    cube[0, 0, 1] = -9999
    cube[1, 1, 0] = np.nan
    labels = np.ones((3, 4), int)
    labels[2] = 5
    scene = Scene.from_arrays(cube, labels, nodata=-9999)
    assert np.argwhere(~scene.valid).tolist() == [[0, 0], [1, 1]]
    assert scene.labels[0, 0] == scene.labels[1, 1] == 0
    assert "2 of 12 pixels have no data" in capsys.readouterr().err
    scene.save(tmp_path / "scene.npz")
    again = Scene.load(tmp_path / "scene.npz")
    np.testing.assert_array_equal(again.valid, scene.valid)
    assert (again.nodata, again.digest) == (-9999, scene.digest)
    assert Scene.from_arrays(scene.cube, scene.labels).digest != scene.digest


def test_a_scene_without_gaps_is_the_one_of_before(tmp_path, capsys):
    """The digest is that of a version without masks: its checkpoints still fit."""
    scene = Scene.from_arrays(np.arange(24.0).reshape(3, 4, 2), np.arange(12).reshape(3, 4) % 3)
    assert scene.digest.startswith("b6a50c00028a98d0")
    assert scene.valid.all()
    scene.save(tmp_path / "scene.npz")
    assert "valid" not in np.load(tmp_path / "scene.npz").files
    assert capsys.readouterr().err == ""


def test_a_label_without_data_is_no_scene():
    with pytest.raises(InputError, match="labels: found 1 pixels without data, expected 0"):
        Scene(
            "tiny",
            np.zeros((1, 2, 1), np.float32),
            np.ones((1, 2), np.int64),
            ("a",),
            ("#000000",),
            None,
            "0",
            valid=np.array([[True, False]]),
        )
