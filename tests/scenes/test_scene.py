"""A scene cannot be built from fields that do not fit together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.scenes import Scene


def build(**changes) -> Scene:
    fields = {
        "name": "tiny",
        "cube": np.zeros((4, 3, 2), np.float32),
        "labels": np.arange(12).reshape(4, 3) % 3,
        "class_names": ("a", "b"),
        "colours": ("#000000", "#ffFFff"),
        "wavelengths_nm": np.array([400.0, 500.0]),
        "digest": "0" * 64,
    }
    return Scene(**(fields | changes))


def test_sizes_come_from_the_cube():
    scene = build()
    assert (scene.height, scene.width, scene.bands, scene.classes) == (4, 3, 2, 2)
    assert build(wavelengths_nm=None).wavelengths_nm is None


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("cube", np.zeros((4, 3), np.float32), r"shape \(4, 3\)"),
        ("cube", np.zeros((4, 3, 0), np.float32), "at least one pixel and band"),
        ("cube", np.zeros((4, 3, 2)), "float64"),
        ("labels", np.ones((3, 4), np.int64), r"shape \(3, 4\).*\(4, 3\)"),
        ("labels", np.ones((4, 3), np.int32), "int32"),
        ("labels", np.arange(12).reshape(4, 3) % 3 - 1, "found -1"),
        ("labels", np.arange(12).reshape(4, 3) % 4, "found 3, expected at most 2"),
        ("labels", np.ones((4, 3), np.int64), "no pixel of b"),
        ("class_names", (), "none"),
        ("class_names", ("a", "a"), "different names"),
        ("colours", ("#000000",), "found 1, expected 2"),
        ("colours", ("#000000", "red"), "found red"),
        ("wavelengths_nm", np.array([400.0]), r"shape \(1,\)"),
        ("wavelengths_nm", np.array([400.0, np.nan]), "nanometres"),
        ("wavelengths_nm", np.array([400.0, -1.0]), "nanometres"),
    ],
)
def test_a_field_that_does_not_fit_is_named(field, value, found):
    with pytest.raises(InputError, match=f"scene tiny: {field}: .*{found}") as caught:
        build(**{field: value})
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=50)
@given(
    rows=st.integers(1, 150),
    places=st.sets(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3), min_size=1, max_size=9),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_pixels_that_are_not_finite_are_counted_and_the_first_is_named(rows, places, value):
    shape = (rows, 3, 4)
    cube = np.ones(shape, np.float32)
    bad = sorted({tuple(int(p * n) for p, n in zip(place, shape, strict=True)) for place in places})
    for place in bad:
        cube[place] = value
    first = "row {}, column {}, band {},".format(*bad[0])
    with pytest.raises(InputError, match=f"found {len(bad)} NaN or infinite .* {first}"):
        build(
            cube=cube,
            labels=np.ones((rows, 3), np.int64),
            class_names=("a",),
            colours=("#000000",),
            wavelengths_nm=None,
        )
