"""Synthetic scenes are a function of their name, and sound at any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.scenes import load_scene, synthetic

NAMES = st.builds(
    "synthetic:{}x{}x{}:{}".format,
    st.integers(8, 70),
    st.integers(8, 70),
    st.integers(4, 30),
    st.integers(0, 2**40),
)


@settings(deadline=None, max_examples=30)
@given(name=NAMES)
def test_the_same_name_gives_the_same_scene(name):
    one, two = load_scene(name), load_scene(name)
    np.testing.assert_array_equal(one.cube, two.cube)
    np.testing.assert_array_equal(one.labels, two.labels)
    assert one.digest == two.digest
    assert one.name == name


@settings(deadline=None, max_examples=30)
@given(name=NAMES)
def test_the_rows_processed_at_a_time_change_nothing(name):
    whole = load_scene(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "_CHUNK_VALUES", 1)
        by_row = load_scene(name)
    np.testing.assert_array_equal(whole.cube, by_row.cube)
    np.testing.assert_array_equal(whole.labels, by_row.labels)


@settings(deadline=None, max_examples=20)
@given(height=st.integers(8, 12), width=st.integers(8, 400), seed=st.integers(0, 99))
def test_any_size_has_its_classes_and_unlabelled_pixels(height, width, seed):
    # Scene itself refuses a class without a pixel.
    scene = load_scene(f"synthetic:{height}x{width}x4:{seed}")
    assert scene.classes == min(8, height * width // 32)
    assert (scene.labels == 0).any()


def test_seeds_and_sizes_make_other_scenes():
    one, two = load_scene("synthetic:32x32x9:0"), load_scene("synthetic:32x32x9:1")
    assert one.digest != two.digest
    assert not np.array_equal(one.cube, two.cube)
    assert load_scene("synthetic:32x32x9").digest == one.digest


def test_a_large_scene_looks_like_one():
    scene = load_scene("synthetic:200x150x60:3")
    assert scene.classes == 8
    np.testing.assert_allclose(scene.wavelengths_nm[[0, -1]], [400, 2500])
    counts = np.bincount(scene.labels.ravel())
    assert 0.2 < counts[0] / scene.labels.size < 0.6
    assert counts[1:].max() > 3 * counts[1:].min()
    # Parcels: a neighbour has the same label far more often than a pixel drawn at random.
    assert (scene.labels[:, 1:] == scene.labels[:, :-1]).mean() > 0.85
    assert 0.1 < scene.cube.mean() < 0.6


def test_spectra_tell_the_classes_apart_but_not_perfectly():
    scene = load_scene("synthetic:120x120x60:1")
    pixels, labels = scene.cube[scene.labels > 0], scene.labels[scene.labels > 0]
    shape = pixels / pixels.mean(axis=1, keepdims=True)  # takes the illumination out
    means = np.stack([shape[labels == k].mean(axis=0) for k in range(1, scene.classes + 1)])
    nearest = ((shape[:, None] - means) ** 2).sum(axis=2).argmin(axis=1) + 1
    assert 0.8 < (nearest == labels).mean() < 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("synthetic:64x64", "synthetic:HxWxB or"),
        ("synthetic:64x64x8:x", "synthetic:HxWxB or"),
        ("synthetic:64x64x-8", "synthetic:HxWxB or"),
        ("synthetic:7x64x8", "at least 8x8x4"),
        ("synthetic:64x64x0", "at least 8x8x4"),
        ("synthetic:9999999x9999999x9999", "one that fits into memory"),
    ],
)
def test_names_of_another_form(name, expected):
    with pytest.raises(InputError, match=f"found {name}, expected {expected}"):
        load_scene(name)


def test_another_light_changes_the_pixels_and_not_the_ground():
    own, one, two = (load_scene(f"synthetic:48x40x30:3{end}") for end in ("", ":1", ":2"))
    assert load_scene("synthetic:48x40x30:3:0").digest == own.digest
    assert len({scene.digest for scene in (own, one, two)}) == 3
    for scene in (one, two):
        np.testing.assert_array_equal(scene.labels, own.labels)
        again = load_scene(scene.name)
        np.testing.assert_array_equal(again.cube, scene.cube)
        assert again.digest == scene.digest
        ratio = np.median(scene.cube / own.cube, axis=(0, 1))
        position = np.linspace(-1, 1, 30)
        tilt, gain = np.polyfit(position, ratio, 1)
        np.testing.assert_allclose(gain + tilt * position, ratio, atol=0.05)
        assert 0.65 < gain < 1.35
        assert abs(tilt) < 0.25
        assert not np.allclose(ratio, 1, atol=0.02)
