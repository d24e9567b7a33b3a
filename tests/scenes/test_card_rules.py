"""Keys of a card that override files: layouts, bands, labels left out or merged."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import scipy.io

from snnquant.errors import InputError
from snnquant.scenes import load_mask, load_scene

CARD = """
shape = [6, 5, 4]
[cube]
file = "cube.npy"
layout = "{layout}"
{order}
[labels]
file = "labels.npy"
[[classes]]
label = 3
name = "maize"
[[classes]]
label = 7
name = "barley"
"""


@pytest.mark.parametrize("order", ["rows", "columns"])
@pytest.mark.parametrize("layout", ["bands pixels", "pixels bands"])
def test_files_of_unmixing(layout, order, make_card, cube, labels):
    """Both files have one axis of pixels, in the order that the card says."""
    along = "C" if order == "rows" else "F"
    pixels = np.stack([band.ravel(along) for band in np.moveaxis(cube, -1, 0)])
    array = pixels if layout == "bands pixels" else pixels.T
    text = CARD.format(layout=layout, order=f'order = "{order}"')
    scene = load_scene(make_card(text, cube=array, labels=labels.ravel(along)[None]))
    np.testing.assert_array_equal(scene.cube, cube)
    np.testing.assert_array_equal(np.array([0, 3, 7])[scene.labels], labels)


@pytest.mark.parametrize("layout", ["bands rows columns", "columns, rows, bands"])
def test_axes_in_any_order(layout, make_card, cube):
    axes = layout.replace(",", "").split()
    array = cube.transpose([("rows", "columns", "bands").index(axis) for axis in axes])
    scene = load_scene(make_card(CARD.format(layout=layout, order=""), cube=array))
    np.testing.assert_array_equal(scene.cube, cube)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('layout = "bands pixels"\norder = "C"', "cube.order: found 'C', expected \"rows\""),
        (
            'layout = "bands pixels"',
            r"cube\.order: found nothing, expected \"rows\" \(row by row\)",
        ),
        ('layout = "bands"', "cube.layout: found 'bands', expected"),
        ('layout = "bands bands pixels"', "cube.layout: found"),
        ("scale = 0", "cube.scale: found 0"),
        ('nodata = "none"', "cube.nodata: found 'none', expected a number"),
        ("bands = []", "cube.bands: found an empty list"),
        ("bands = [0]", "bands: found 0, expected 1 to 4"),
        ('bands = ["2-9"]', "bands: found 5, expected 1 to 4"),
        ("bands = {exclude = ['1-4']}", "bands: found none kept"),
        ("bands = 3", "cube.bands: found 3, expected a list"),
        ("bands = [1.5]", "cube.bands: found 1.5, expected a list"),
        ("colour = 3", "cube.colour: found an unknown key"),
    ],
)
def test_a_wrong_key_is_named(keys, message, make_card, card_text):
    text = card_text.replace('file = "cube.npy"', f'file = "cube.npy"\n{keys}')
    with pytest.raises(InputError, match=message) as caught:
        load_scene(make_card("shape = [6, 5, 4]\n" + text))
    assert "\n" not in str(caught.value)


def test_keys_may_stand_at_the_top(make_card, card_text, cube):
    scene = load_scene(make_card("scale = 10\nignore_labels = [7]\n" + card_text))
    np.testing.assert_allclose(scene.cube, cube / 10, rtol=1e-6)
    assert scene.class_names == ("maize",)
    text = card_text.replace('file = "cube.npy"', 'file = "cube.npy"\nscale = 2')
    with pytest.raises(InputError, match=r"cube\.scale: found it at the card's top, too"):
        load_scene(make_card("scale = 10\n" + text))


def test_labels_that_the_card_does_not_name_are_left_out(make_card, card_text, labels, capsys):
    labels[0, :3] = (4, 4, 9)
    scene = load_scene(make_card(labels=labels))
    np.testing.assert_array_equal(
        np.array([0, 3, 7])[scene.labels], np.where(np.isin(labels, [4, 9]), 0, labels)
    )
    said = capsys.readouterr().err
    assert "left out the labels 4 (2 pixels), 9 (1 pixels)" in said
    load_scene(make_card("ignore_labels = [4, 9]\n" + card_text, labels=labels))
    assert capsys.readouterr().err == ""


def test_classes_may_be_ignored_and_merged(make_card, card_text, labels):
    labels[0, :3] = 4
    text = card_text + '[[classes]]\nlabel = 4\nname = "oats"\n'
    ignored = load_scene(make_card("ignore_labels = [3]\n" + text, labels=labels))
    assert ignored.class_names == ("barley", "oats")
    np.testing.assert_array_equal(ignored.labels == 1, labels == 7)
    merged = load_scene(make_card("merge = [[3, 4]]\n" + text, labels=labels))
    assert merged.class_names == ("maize", "barley")
    np.testing.assert_array_equal(merged.labels == 1, np.isin(labels, [3, 4]))
    assert (
        len({ignored.digest, merged.digest, load_scene(make_card(text, labels=labels)).digest}) == 3
    )
    with pytest.raises(InputError, match=r"merge: found .* expected every class number once"):
        load_scene(make_card("merge = [[3, 4], [7, 4]]\n" + text, labels=labels))
    with pytest.raises(InputError, match="classes: found all ignored or merged"):
        load_scene(make_card("ignore_labels = [3, 7]\n" + card_text))


@pytest.mark.parametrize(
    ("nodata", "dtype"), [(255, "uint8"), (-1, "int16"), (-9999, "float32"), (np.nan, "float64")]
)
@pytest.mark.parametrize("declared", ["file", "card"])
def test_labels_have_no_data_values_too(
    nodata, dtype, declared, make_card, card_text, labels, tmp_path, capsys
):
    raw = np.where(labels == 0, nodata, labels.astype(float)).astype(dtype)
    profile = {"driver": "GTiff", "height": 6, "width": 5, "count": 1, "dtype": dtype}
    in_file = nodata if declared == "file" else None
    place = rasterio.Affine(2, 0, 0, 0, -2, 0)
    with rasterio.open(tmp_path / "l.tif", "w", nodata=in_file, transform=place, **profile) as file:
        file.write(raw, 1)
    key = "" if declared == "file" or np.isnan(nodata) else f"nodata = {nodata}"
    text = card_text.replace('file = "labels.npy"', f'file = "l.tif"\n{key}')
    found = load_scene(make_card(text)).labels
    np.testing.assert_array_equal(np.array([0, 3, 7])[found], labels)
    assert capsys.readouterr().err == ""


def test_class_0_needs_another_number_for_unlabelled_pixels(make_card, card_text, labels):
    raw = np.select([labels == 3, labels == 7], [0, 1], 255).astype(np.uint8)
    text = card_text.replace("label = 3", "label = 0").replace("label = 7", "label = 1")
    with pytest.raises(InputError, match="label: found 0, expected 1 or more"):
        load_scene(make_card(text, labels=raw))
    text = text.replace('file = "labels.npy"', 'file = "labels.npy"\nnodata = 255')
    np.testing.assert_array_equal(
        np.array([0, 3, 7])[load_scene(make_card(text, labels=raw)).labels], labels
    )


def test_a_mask_may_have_no_data(make_card, card_text, tmp_path):
    mask = np.full((6, 5), np.nan)
    mask[0, :2] = 3
    np.save(tmp_path / "mask.npy", mask)
    found = load_mask(make_card("[mask]\ntrain.file = 'mask.npy'\n" + card_text)).train
    assert np.argwhere(found).tolist() == [[0, 0], [0, 1]]


def test_a_file_saved_again_is_known_by_its_values(make_card, card_text, cube, tmp_path, capsys):
    from snnquant.scenes.locate import content_digest, file_digest

    make_card()
    file, values = (
        of(tmp_path / "cube.npy") for of in (file_digest, lambda p: content_digest(p, None))
    )
    marks = f'file = "cube.mat"\nsha256 = "{file}"\ncontent = "{values}"'
    path = make_card(card_text.replace('file = "cube.npy"', marks))
    scipy.io.savemat(tmp_path / "cube.mat", {"any": cube.astype(float)}, do_compression=True)
    scene = load_scene(path)
    np.testing.assert_array_equal(scene.cube, cube)
    assert "cube.mat: saved again, with the values that the card field" in capsys.readouterr().err
    cube[0, 0, 0] += 1
    scipy.io.savemat(tmp_path / "cube.mat", {"any": cube})
    with pytest.raises(InputError, match=r"cube\.mat: found sha256 .* copy of the card without"):
        load_scene(path)
