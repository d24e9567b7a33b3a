"""The place on Earth: read from headers, kept by scenes, stated for ENVI."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from spectral.io import envi

from snnquant.scenes import Scene, load_scene
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.readers import read_header

UTM = (30.0, 0.0, 500000.0, 0.0, -30.0, 5300000.0)
CUBE = np.zeros((4, 5, 3), np.float32)


def write_envi(path: Path, **fields: object) -> None:
    envi.save_image(
        str(path), CUBE, force=True, metadata={k.replace("_", " "): v for k, v in fields.items()}
    )


@pytest.mark.parametrize(
    "map_info",
    [
        "UTM, 1, 1, 500000, 5300000, 30, 30, 32, North, WGS-84, units=Meters",
        "UTM, 1.5, 2.5, 500015, 5299955, 30, 30, 32, South, WGS-84, units=Meters",
        "UTM, 1, 1, 500000, 5300000, 2.5, 2.5, 11, North, WGS-84, units=Meters, rotation=-31.5",
        "UTM, 1, 1, 500000, 5300000, 20, 20, 17, North, North America 1983, units=Meters",
        "Geographic Lat/Lon, 1, 1, 10.25, 48.5, 0.0005, 0.0005, WGS-84, units=Degrees",
    ],
)
def test_envi_lies_where_gdal_puts_it(map_info, tmp_path):
    write_envi(tmp_path / "a.hdr", map_info=map_info.split(", "))
    place = read_header(tmp_path / "a.hdr").geo
    with rasterio.open(tmp_path / "a.img") as image:
        assert place.transform == pytest.approx(image.transform[:6])
        assert CRS.from_user_input(place.crs) == image.crs
    # The text itself is handed on.
    assert [part.strip() for part in place.map_info.split(",")] == map_info.split(", ")


def test_a_coordinate_system_string_goes_before_the_map_info(tmp_path):
    wkt = CRS.from_epsg(3035).to_wkt()
    info = ["ETRS89 / LAEA Europe", "1", "1", "4e6", "3e6", "10", "10", "units=Meters"]
    write_envi(tmp_path / "a.hdr", map_info=info, coordinate_system_string=f"{{{wkt}}}")
    place = read_header(tmp_path / "a.hdr").geo
    assert CRS.from_user_input(place.crs) == CRS.from_epsg(3035)
    assert place.metres_per_pixel() == 10


@pytest.mark.parametrize("info", ["Arbitrary, a, b", "UTM, 1, 1, 2"])
def test_a_map_info_without_numbers_has_no_transform(info, tmp_path):
    write_envi(tmp_path / "a.hdr", map_info=info.split(", "))
    assert read_header(tmp_path / "a.hdr").geo.transform is None


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326", "EPSG:3035", None])
def test_geotiff_gives_system_and_transform(crs, tmp_path):
    size = {"height": 4, "width": 5, "count": 1, "dtype": "uint8"}
    transform = rasterio.Affine(*UTM)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", crs=crs, transform=transform, **size
    ) as image:
        image.write(np.ones((1, 4, 5), np.uint8))
    place = read_header(tmp_path / "a.tif").geo
    assert place.transform == UTM
    assert (place.crs is None) == (crs is None)
    assert crs is None or CRS.from_user_input(place.crs) == CRS.from_user_input(crs)


def test_a_geotiff_without_a_place_has_none(tmp_path):
    size = {"height": 4, "width": 5, "count": 1, "dtype": "uint8"}
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **size).close()
    assert read_header(tmp_path / "a.tif").geo is None


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        ("EPSG:32733", UTM, 30),
        (CRS.from_epsg(32632).to_wkt(), UTM, 30),
        (CRS.from_epsg(2263).to_wkt(), UTM, 30 * 0.3048006),  # feet
        ("EPSG:4326", (0.001, 0.0, 9.0, 0.0, -0.001, 60.0), 55.66),
        (CRS.from_epsg(4326).to_wkt(), (0.001, 0.0, 9.0, 0.0, -0.001, 0.0), 111.32),
        ("EPSG:2263", UTM, None),  # its unit takes a data base
        (None, UTM, None),
        ("EPSG:32733", None, None),
    ],
)
def test_the_size_of_a_pixel_in_metres(crs, transform, metres):
    found = Georeference(crs, transform).metres_per_pixel()
    assert found == (None if metres is None else pytest.approx(metres, rel=1e-4))


@pytest.mark.parametrize(
    "crs", ["EPSG:32632", "EPSG:32719", CRS.from_epsg(32719).to_wkt(), "EPSG:4326"]
)
@pytest.mark.parametrize("angle", [0, 20])
def test_envi_gets_a_map_info_of_its_own(crs, angle, tmp_path):
    turned = rasterio.Affine(*UTM) @ rasterio.Affine.rotation(angle)
    place = Georeference(crs, tuple(turned)[:6])
    envi.save_image(str(tmp_path / "a.hdr"), CUBE, metadata=place.envi_fields())
    with rasterio.open(tmp_path / "a.img") as image:
        assert image.transform[:6] == pytest.approx(place.transform)
        assert image.crs == CRS.from_user_input(crs)


def test_a_scene_keeps_its_place_in_a_card_and_a_file(make_card, cube, card_text, tmp_path):
    card = make_card(card_text.replace("cube.npy", "cube.hdr"))
    info = "UTM, 1, 1, 500000, 5300000, 30, 30, 32, North, WGS-84, units=Meters"
    envi.save_image(str(tmp_path / "cube.hdr"), cube, metadata={"map info": info.split(", ")})
    scene = load_scene(card)
    assert (scene.geo.crs, scene.geo.transform) == ("EPSG:32632", UTM)
    scene.save(tmp_path / "saved.npz")
    saved = Scene.load(tmp_path / "saved.npz").geo
    assert (saved.crs, saved.transform, saved.lookup) == (scene.geo.crs, UTM, None)
    assert saved.map_info == scene.geo.map_info


def test_a_lookup_table_draws_on_the_grid():
    lookup = np.array([[[-1, -1], [0, 1]], [[1, 0], [0, 0]]], np.int32)
    place = Georeference("EPSG:4326", UTM, lookup=lookup)
    drawn = place.on_grid(np.array([[1, 2], [3, 4]], np.uint8))
    assert drawn.tolist() == [[0, 2], [3, 1]]
    assert drawn.dtype == np.uint8
    assert place.envi_fields() == {}
    assert place.metres_per_pixel() is None
