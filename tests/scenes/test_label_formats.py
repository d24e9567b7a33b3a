"""Labels as polygons, regions of interest and pictures."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.crs import CRS
from rasterio.warp import transform

from snnquant.cli import main
from snnquant.errors import InputError
from snnquant.scenes import load_scene
from snnquant.scenes.readers import content_files, read_array

spec = importlib.util.spec_from_file_location(
    "polygon_files", Path(__file__).with_name("polygon_files.py")
)
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)

LEFT, TOP = 500000, 5300000
CARD = """
[cube]
file = "cube.tif"
[labels]
file = "{labels}"
{keys}
[[classes]]
name = "Maize"
label = 3
[[classes]]
name = "Barley"
label = 7
"""
# Pixels are 10 m wide: a square of 6 with a hole of 3, and a whole one of 6 beside it.
SHAPES = [
    ([files.moved(files.SQUARE, LEFT, TOP), files.moved(files.HOLE, LEFT, TOP)], "maize"),
    ([files.moved(files.SQUARE, LEFT + 60, TOP)], "7"),
]


@pytest.fixture
def expected() -> np.ndarray:
    labels = np.zeros((8, 14), np.int64)
    labels[:6, :6], labels[:6, 6:12] = 1, 2
    return labels


@pytest.fixture
def card(tmp_path):
    """Write a georeferenced cube of 8 x 14 pixels, and a card for the labels given."""

    def make(labels: str, keys: str = "", crs: str | None = "EPSG:32632") -> str:
        size = {"height": 8, "width": 14, "count": 2, "dtype": "float32"}
        place = rasterio.Affine(10, 0, LEFT, 0, -10, TOP)
        with rasterio.open(
            tmp_path / "cube.tif", "w", driver="GTiff", crs=crs, transform=place, **size
        ) as image:
            image.write(np.random.default_rng(0).random((2, 8, 14)).astype(np.float32))
        (tmp_path / "field.toml").write_text(CARD.format(labels=labels, keys=keys))
        return str(tmp_path / "field.toml")

    return make


def in_hole(labels: np.ndarray) -> np.ndarray:
    """Return labels with the pixels whose centres lie in the hole unlabelled."""
    labels = labels.copy()
    labels[:6, :6] = 1
    centres = np.arange(8) * 10 + 5
    inside = (centres > 15) & (centres < 45)
    labels[np.ix_(inside, inside)] = 0
    return labels


@pytest.mark.parametrize("form", ["geojson", "gpkg", "gpkg multi", "shp"])
def test_polygons_are_drawn_on_the_grid_of_the_cube(form, card, expected, tmp_path):
    suffix = form.partition(" ")[0]
    path = tmp_path / f"labels.{suffix}"
    if suffix == "geojson":
        files.geojson(path, SHAPES, "urn:ogc:def:crs:EPSG::32632")
    elif suffix == "shp":
        files.shapefile(path, SHAPES, CRS.from_epsg(32632).to_wkt())
    else:
        encode = files.multi_wkb_z if "multi" in form else files.wkb
        files.geopackage(path, SHAPES, 32632, encode)
    scene = load_scene(card(path.name, 'variable = "class"'))
    # Pixels on the edge of the hole belong to neither for certain.
    sure = np.ones_like(expected, bool)
    sure[1:5, 1:5] = False
    sure[2:4, 2:4] = True
    np.testing.assert_array_equal(scene.labels[sure], in_hole(expected)[sure])
    assert scene.class_names == ("Maize", "Barley")


def test_polygons_in_longitude_and_latitude_are_reprojected(card, expected, tmp_path):
    def turned(ring):
        xs, ys = transform("EPSG:32632", "EPSG:4326", *zip(*ring, strict=True))
        return list(zip(xs, ys, strict=True))

    shapes = [([turned(ring) for ring in rings], value) for rings, value in SHAPES]
    files.geojson(tmp_path / "labels.json", shapes, None)
    labels = load_scene(card("labels.json", 'variable = "class"')).labels
    assert (labels[:6, 6:12] == 2).all()
    assert (labels != expected)[:, 6:].sum() == 0


def test_a_system_that_is_missing_is_that_of_the_cube(card, expected, capsys, tmp_path):
    files.shapefile(tmp_path / "labels.shp", SHAPES, None)
    labels = load_scene(card("labels.shp")).labels
    assert (labels[:, 6:] == expected[:, 6:]).all()
    assert "found no reference system" in capsys.readouterr().err
    assert {p.suffix for p in content_files(tmp_path / "labels.shp")} == {".shp", ".dbf"}


def test_a_layer_is_named_where_there_are_several(card, expected, tmp_path):
    files.geopackage(tmp_path / "labels.gpkg", SHAPES, 32632, layers=("fields", "roads"))
    with pytest.raises(InputError, match=r'found fields, roads, expected variable = "LAYER/'):
        load_scene(card("labels.gpkg", 'variable = "class"'))
    labels = load_scene(card("labels.gpkg", 'variable = "fields/class"')).labels
    assert (labels[:, 6:] == expected[:, 6:]).all()


def test_what_does_not_fit_is_said(card, capsys, tmp_path):
    shapes = [*SHAPES, ([files.moved(files.SQUARE, LEFT, TOP)], "weeds")]
    files.geojson(tmp_path / "labels.geojson", shapes, "EPSG:32632")
    with pytest.raises(InputError, match="found the attributes class, note, expected the card"):
        load_scene(card("labels.geojson"))
    with pytest.raises(InputError, match="attributes class, note"):
        load_scene(card("labels.geojson", 'variable = "crop"'))
    with pytest.raises(InputError, match="found no polygon whose note is a class"):
        load_scene(card("labels.geojson", 'variable = "note"'))
    capsys.readouterr()
    load_scene(card("labels.geojson", 'variable = "class"'))
    assert "left out polygons of weeds" in capsys.readouterr().err
    with pytest.raises(InputError, match="polygons are only for labels"):
        read_array(tmp_path / "labels.geojson")


def test_coordinates_out_of_range_are_one_line(card, tmp_path):
    files.geojson(tmp_path / "labels.geojson", SHAPES, None)  # metres, taken for degrees
    with pytest.raises(InputError, match=r"labels\.geojson: found"):
        load_scene(card("labels.geojson", 'variable = "class"'))


def test_names_out_of_a_damaged_file_stay_on_one_line(card, tmp_path):
    files.shapefile(tmp_path / "labels.shp", SHAPES, None)
    table = tmp_path / "labels.dbf"
    table.write_bytes(table.read_bytes().replace(b"class\0", b"cl\nss\0"))
    with pytest.raises(InputError, match=r"found the attributes cl\?ss, expected"):
        load_scene(card("labels.shp", 'variable = "class"'))


def test_a_cube_without_a_place_takes_no_polygons(make_card, card_text, tmp_path):
    files.geojson(tmp_path / "labels.geojson", SHAPES, None)
    with pytest.raises(
        InputError, match=r"labels\.geojson: found polygons for a cube without a pl"
    ):
        load_scene(make_card(card_text.replace("labels.npy", "labels.geojson")))


@pytest.mark.parametrize("name", ["labels.gpkg", "labels.shp", "labels.geojson"])
def test_damaged_polygons_are_one_line(name, card, tmp_path):
    path = tmp_path / name
    files.geopackage(tmp_path / "labels.gpkg", SHAPES, 32632)
    files.shapefile(tmp_path / "labels.shp", SHAPES, None)
    files.geojson(tmp_path / "labels.geojson", SHAPES, "EPSG:32632")
    content, rng = path.read_bytes(), np.random.default_rng(3)
    made, refused = card(name, 'variable = "class"'), 0
    for _ in range(60):
        data = bytearray(content)
        for _ in range(rng.integers(1, 5)):
            data[rng.integers(min(len(data), 400))] = rng.integers(256)
        path.write_bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])
        try:
            load_scene(made)
        except InputError as error:
            refused += "\n" not in str(error)
    assert refused > 30


def test_show_counts_pixels_of_polygons(card, capsys, tmp_path):
    files.geojson(tmp_path / "labels.geojson", SHAPES, "EPSG:32632")
    made = card("labels.geojson", 'variable = "class"')
    main(["scenes", "show", made])
    assert "36" in capsys.readouterr().out


ROI = """; ENVI Output of ROIs (5.3) [Mon Nov 30 10:00:00 2015]
; Number of ROIs: 2
; File Dimension: 5 x 6
;
; ROI name: {first}
; ROI rgb value: {{255, 0, 0}}
; ROI npts: 3
; ROI name: {second}
; ROI rgb value: {{0, 255, 0}}
; ROI npts: 2
;   ID    X    Y
     1    1    1
     2    5    1
     3    5    6

     1    2    3
     2    2    4
"""


@pytest.mark.parametrize(
    ("first", "second", "numbers"),
    [("barley", "Maize ", (2, 1)), ("A", "B", None), ("maize", "road", None)],
)
def test_regions_of_interest(first, second, numbers, make_card, card_text, tmp_path):
    (tmp_path / "roi.txt").write_text(ROI.format(first=first, second=second))
    raw = read_array(tmp_path / "roi.txt")
    assert raw.shape == (6, 5)
    assert np.argwhere(raw == 1).tolist() == [[0, 0], [0, 4], [5, 4]]
    assert np.argwhere(raw == 2).tolist() == [[2, 1], [3, 1]]
    card = make_card(card_text.replace("labels.npy", "roi.txt"))
    if numbers is None:  # neither the numbers 1 and 2 nor all names are the card's
        with pytest.raises(InputError, match="found no pixel of"):
            load_scene(card)
    else:
        labels = load_scene(card).labels
        assert (labels[0, 0], labels[2, 1]) == numbers


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("5    6\n", "6    6\n"), "found a pixel at 6, 6, expected it in 5 x 6"),
        (("     2    2    4\n", ""), "found fewer pixels of B, expected 2"),
        (("; File Dimension: 5 x 6\n", ""), "found no file dimension"),
        ((";   ID    X    Y", ";   Addr"), "found no columns X and Y"),
    ],
)
def test_damaged_regions_are_one_line(change, found, tmp_path):
    (tmp_path / "roi.txt").write_text(ROI.format(first="A", second="B").replace(*change))
    with pytest.raises(InputError, match=found):
        read_array(tmp_path / "roi.txt")


@pytest.mark.parametrize("mode", ["P", "L", "I;16", "1"])
def test_a_png_gives_the_numbers_of_its_palette(mode, tmp_path):
    numbers = np.random.default_rng(5).integers(0, 2 if mode == "1" else 9, (6, 5))
    if mode == "1":
        picture = Image.fromarray(numbers.astype(bool))
    else:
        picture = Image.fromarray(numbers.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        picture.putpalette(np.random.default_rng(6).integers(0, 256, 768, np.uint8).tobytes())
    picture.save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_array(tmp_path / "labels.png"), numbers)


def test_a_png_of_colours_is_refused(tmp_path):
    Image.new("RGB", (5, 6)).save(tmp_path / "labels.png")
    with pytest.raises(InputError, match="found colours \\(RGB\\), expected a palette or grey"):
        read_array(tmp_path / "labels.png")


def test_png_labels_in_a_card(make_card, card_text, labels, tmp_path):
    Image.fromarray(labels).save(tmp_path / "labels.png")
    scene = load_scene(make_card(card_text.replace("labels.npy", "labels.png")))
    np.testing.assert_array_equal(scene.labels, np.searchsorted([0, 3, 7], labels))
