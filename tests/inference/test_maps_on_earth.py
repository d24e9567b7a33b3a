"""Maps at their place on Earth: GeoTIFF, ENVI header and scale bar."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image
from rasterio.crs import CRS

from snnquant.report import write_map
from snnquant.scenes import Scene
from snnquant.scenes.georeference import Georeference

PLACE = Georeference("EPSG:32632", (30.0, 0.0, 500000.0, 0.0, -30.0, 5300000.0))


@pytest.fixture
def scene() -> Scene:
    labels = (np.arange(12 * 9).reshape(12, 9) % 3).astype(np.int64)
    cube = np.zeros((12, 9, 1), np.float32)
    made = Scene("field", cube, labels, ("corn, till", "pré"), ("#ffb000", "#0b5c2a"), None, "0")
    return replace(made, geo=PLACE)


def class_map(scene: Scene) -> np.ndarray:
    return scene.labels.astype(np.uint8)


def test_the_geotiff_lies_where_the_scene_does(scene, tmp_path):
    drawn = class_map(scene)
    files = write_map(tmp_path / "map", drawn, scene, beside_truth=False, geo=PLACE)
    assert {"map.tif", "map.tif.aux.xml"} <= {file.name for file in files}
    with rasterio.open(tmp_path / "map.tif") as image:
        assert image.crs == CRS.from_epsg(32632)
        assert image.bounds == (500000, 5300000 - 12 * 30, 500000 + 9 * 30, 5300000)
        assert image.nodata == 0
        np.testing.assert_array_equal(image.read(1), drawn)
        colours = image.colormap(1)
        assert [colours[k] for k in (1, 2)] == [(255, 176, 0, 255), (11, 92, 42, 255)]
        assert image.tags(1)["class_2"] == "pré"
    companion = (tmp_path / "map.tif.aux.xml").read_text(encoding="utf-8")
    assert "<Category>unlabelled</Category><Category>corn, till</Category>" in companion


def test_gdal_reads_the_class_names(scene, tmp_path):
    write_map(tmp_path / "map", class_map(scene), scene, beside_truth=False, geo=PLACE)
    # A virtual copy shows what GDAL itself knows of the band.
    with rasterio.open(tmp_path / "map.tif") as image:
        rasterio.shutil.copy(image, tmp_path / "copy.vrt", driver="VRT")
    assert "<Category>pré</Category>" in (tmp_path / "copy.vrt").read_text(encoding="utf-8")


def test_the_envi_header_states_the_place(scene, tmp_path):
    write_map(tmp_path / "map", class_map(scene), scene, beside_truth=False, geo=PLACE)
    with rasterio.open(tmp_path / "map.img") as image:
        assert image.crs == CRS.from_epsg(32632)
        assert image.transform[:6] == PLACE.transform


def test_without_rasterio_envi_keeps_its_map_info(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    info = "UTM, 1, 1, 500000, 5300000, 30, 30, 32, North, WGS-84, units=Meters, mine=7"
    place = Georeference.from_envi(info, None)
    files = write_map(tmp_path / "map", class_map(scene), scene, beside_truth=False, geo=place)
    assert "map.tif" not in {file.name for file in files}
    assert "mine=7" in (tmp_path / "map.hdr").read_text()


def test_a_map_in_sensor_geometry_is_drawn_on_its_grid(scene, tmp_path):
    lookup = np.full((3, 4, 2), -1, np.int32)
    lookup[1, 2] = [5, 5]
    place = replace(PLACE, lookup=lookup)
    write_map(tmp_path / "map", np.full((12, 9), 2, np.uint8), scene, beside_truth=False, geo=place)
    with rasterio.open(tmp_path / "map.tif") as image:
        assert np.argwhere(image.read(1) == 2).tolist() == [[1, 2]]
    assert np.load(tmp_path / "map.npy").shape == (12, 9)
    assert "map info" not in (tmp_path / "map.hdr").read_text()


def test_more_than_255_classes_keep_their_colours(tmp_path):
    labels = np.arange(1, 401).reshape(20, 20) % 301
    colours = tuple(f"#{k % 256:02x}{k // 256:02x}7f" for k in range(300))
    names = tuple(f"class {k}" for k in range(300))
    cube = np.zeros((20, 20, 1), np.float32)
    scene = Scene("field", cube, labels.astype(np.int64), names, colours, None, "0")
    write_map(tmp_path / "map", labels.astype(np.uint16), scene, beside_truth=False, geo=PLACE)
    with rasterio.open(tmp_path / "map.tif") as image:
        assert image.read(1).max() == 300
        assert image.colormap(1)[300] == (43, 1, 127, 255)


@pytest.mark.parametrize(("metres", "length"), [(30.0, 100.0), (3.7, 10.0), (2000.0, 5000.0)])
def test_a_scale_bar_has_a_round_length(scene, metres, length, tmp_path):
    a, b, c, d, e, f = PLACE.transform
    place = replace(PLACE, transform=(a * metres / 30, b, c, d, e * metres / 30, f))
    for name, geo in (("bar", place), ("none", None)):
        write_map(tmp_path / name, class_map(scene), scene, beside_truth=True, geo=geo)
    bar, none = (
        np.asarray(Image.open(tmp_path / f"{name}_and_truth.png")) for name in ("bar", "none")
    )
    assert bar.shape[0] == none.shape[0] + 22
    # 12 rows are enlarged to 360 dots, below which the bar is drawn.
    row = np.all(bar[22 + 360 + 8 + 8] == (0x20, 0x20, 0x20), axis=-1)
    start = int(row.argmax())
    drawn = int((~row[start:]).argmax())
    assert drawn == pytest.approx(length / (metres / 30), abs=3)
