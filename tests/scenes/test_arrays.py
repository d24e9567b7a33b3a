"""Scenes from arrays, and scenes saved as one file."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.scenes import Scene, load_mask, load_scene

CUBE = np.random.default_rng(0).integers(0, 9000, (4, 3, 5)).astype(np.uint16)
LABELS = np.array([[0, 3, 3], [7, 7, 0], [3, 7, 0], [0, 0, 3]], np.uint8)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", ">i2", "float16", "float32", ">f8"])
def test_any_real_type_becomes_float32(dtype):
    cube = (CUBE % 100).astype(dtype)
    scene = Scene.from_arrays(cube, LABELS)
    assert scene.cube.dtype == np.float32
    np.testing.assert_array_equal(scene.cube, cube.astype(np.float64))


def test_what_is_left_out_has_defaults():
    scene = Scene.from_arrays(CUBE, LABELS)
    assert scene.class_names == ("class 3", "class 7")
    assert scene.colours == ("#1f77b4", "#ff7f0e")
    assert (scene.wavelengths_nm, scene.name) == (None, "arrays")


def test_everything_given_is_kept():
    scene = Scene.from_arrays(
        CUBE.tolist(),
        LABELS.tolist(),
        ["maize", np.str_("barley")],
        wavelengths_nm=range(400, 900, 100),
        name="field",
        colours=["#000000", "#ffffff"],
    )
    assert scene.class_names == ("maize", "barley")
    assert scene.colours == ("#000000", "#ffffff")
    np.testing.assert_array_equal(scene.wavelengths_nm, [400.0, 500, 600, 700, 800])
    assert scene.name == "field"


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 2**40), min_size=1, max_size=6, unique=True),
    st.sampled_from([np.int64, np.uint64, np.float64]),
    st.integers(0, 99),
)
def test_class_numbers_become_1_to_k_in_rising_order(numbers, dtype, seed):
    raw = np.random.default_rng(seed).choice([0, *numbers], (5, 4)).astype(dtype)
    raw.flat[: len(numbers)] = numbers
    scene = Scene.from_arrays(np.ones((5, 4, 2)), raw)
    np.testing.assert_array_equal(np.array([0, *sorted(numbers)])[scene.labels], raw)
    assert scene.class_names == tuple(f"class {number}" for number in sorted(numbers))


def test_more_classes_than_colours_of_the_palette():
    labels = np.arange(30).reshape(6, 5)
    scene = Scene.from_arrays(np.ones((6, 5, 2)), labels)
    assert scene.colours[20] == scene.colours[0]


def test_the_arrays_are_copied():
    cube, labels = CUBE.astype(np.float32), LABELS.astype(np.int64)
    scene = Scene.from_arrays(cube, labels)
    cube[:], labels[:] = 0, 0
    np.testing.assert_array_equal(scene.cube, CUBE)
    assert scene.labels.any()


def replaced(array, place, value):
    array = array.astype(float)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cube": CUBE[0]}, r"cube: found shape \(3, 5\), expected rows x columns x bands"),
        ({"cube": CUBE[:0]}, r"cube: found shape \(0, 3, 5\), expected at least one pixel"),
        ({"cube": CUBE.astype(complex)}, "cube: found complex128 values, expected real numbers"),
        ({"cube": CUBE > 3}, "cube: found bool values"),
        ({"cube": [[1, 2], [3]]}, "cube: found .*expected an array"),
        ({"cube": CUBE * np.nan}, "cube: found no pixel with data"),
        (
            {"cube": np.where(LABELS == 7, np.nan, 1)[..., None]},
            "labels: found no pixel of class 7",
        ),
        ({"labels": LABELS[:3]}, r"labels: found shape \(3, 3\), expected .* \(4, 3\)"),
        ({"labels": LABELS.ravel()}, r"labels: found shape \(12,\), expected rows x columns"),
        ({"labels": LABELS.astype(str)}, "labels: found <U3 values, expected integers"),
        ({"labels": LABELS > 0}, "labels: found bool values, expected integers"),
        ({"labels": replaced(LABELS, (1, 2), 2.5)}, "labels: found 2.5 at row 1, column 2"),
        ({"labels": replaced(LABELS, (3, 0), -1)}, "labels: found -1.0 at row 3, column 0"),
        ({"labels": replaced(LABELS, (3, 0), np.nan)}, "labels: found nan at row 3, column 0"),
        ({"labels": replaced(LABELS, (3, 0), np.inf)}, "labels: found inf at row 3, column 0"),
        ({"labels": LABELS * 0}, "labels: found no labelled pixel"),
        ({"class_names": ["a"]}, r"class_names: found 1 names, expected 2, .* \(3, 7\)"),
        ({"class_names": ["a", "a"]}, "class_names: found .* expected different names"),
        ({"class_names": ["a", ""]}, "class_names: found .* expected texts"),
        ({"class_names": [1, 2]}, "class_names: found .* expected texts"),
        ({"class_names": "ab"}, "class_names: found the text 'ab', expected a list"),
        ({"colours": ["#000000"]}, "colours: found 1, expected 2, one per class"),
        ({"colours": ["#000000", "red"]}, 'colours: found red, expected the form "#rrggbb"'),
        ({"wavelengths_nm": [400, 500]}, r"wavelengths_nm: found shape \(2,\), .* 5 bands"),
        ({"wavelengths_nm": list("abcde")}, "wavelengths_nm: found <U1, expected nanometres"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(arguments, message):
    with pytest.raises(InputError, match=f"scene field: .*{message}") as caught:
        Scene.from_arrays(**({"cube": CUBE, "labels": LABELS, "name": "field"} | arguments))
    assert "\n" not in str(caught.value)


def test_the_digest_follows_pixels_labels_and_class_names():
    digest = Scene.from_arrays(CUBE, LABELS).digest
    assert Scene.from_arrays(CUBE.astype(">f8"), LABELS.astype(float)).digest == digest
    assert Scene.from_arrays(CUBE, LABELS, name="x", wavelengths_nm=range(1, 6)).digest == digest
    others = [
        Scene.from_arrays(CUBE + 1, LABELS),
        Scene.from_arrays(CUBE, LABELS[::-1]),
        Scene.from_arrays(CUBE, LABELS, ["maize", "barley"]),
        Scene.from_arrays(CUBE.reshape(3, 4, 5), LABELS.reshape(3, 4)),
    ]
    assert len({digest, *(scene.digest for scene in others)}) == 5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text("abc é'·", min_size=1, max_size=5), min_size=2, max_size=2, unique=True))
def test_a_saved_scene_comes_back_the_same(names):
    scene = Scene.from_arrays(CUBE, LABELS, names, wavelengths_nm=range(1, 6), name="mein Feld")
    for saved in (scene, dataclasses.replace(scene, wavelengths_nm=None)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "new" / "scene.npz"
            saved.save(path)
            again = Scene.load(path)
            assert [file.name for file in path.parent.iterdir()] == ["scene.npz"]
        for field in dataclasses.fields(Scene):
            np.testing.assert_array_equal(getattr(again, field.name), getattr(saved, field.name))


def test_a_saved_scene_loads_by_its_path(tmp_path):
    scene = Scene.from_arrays(CUBE, LABELS)
    scene.save(tmp_path / "field.npz")
    assert load_scene(str(tmp_path / "field.npz")).digest == scene.digest
    with pytest.raises(InputError, match=r"field\.npz: found a saved scene, expected a scene card"):
        load_mask(str(tmp_path / "field.npz"))


@pytest.mark.parametrize(
    "damage", ["missing", "text", "cut", "array", "no labels", "pickle", "other", "nan"]
)
def test_a_file_that_holds_no_scene_is_named_in_one_line(tmp_path, damage):
    path = tmp_path / "field.npz"
    Scene.from_arrays(CUBE, LABELS).save(path)
    fields = dict(np.load(path))
    if damage == "missing":
        path.unlink()
    elif damage == "text":
        path.write_text("cube = 1")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "array":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    elif damage == "no labels":
        del fields["labels"]
        np.savez(path, **fields)
    elif damage == "pickle":
        np.savez(path, **(fields | {"labels": np.array([{}], dtype=object)}))
    elif damage == "other":
        np.savez(path, **(fields | {"format": np.array("snnquant scene 99")}))
    else:
        np.savez(path, **(fields | {"cube": np.full((4, 3, 5), np.nan, np.float32)}))
    with pytest.raises(InputError, match=r"field\.npz: .*expected") as caught:
        Scene.load(path)
    assert "\n" not in str(caught.value)


def test_a_scene_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "field.npz").mkdir()
    with pytest.raises(InputError, match=r"field\.npz: cannot be written"):
        Scene.from_arrays(CUBE, LABELS).save(tmp_path / "field.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["field.npz"]
