"""Scenes from cards: real ones, own ones in any format, and faulty ones."""

import hashlib
import os

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.scenes import load_mask, load_scene

needs_data = pytest.mark.skipif(
    not os.environ.get("SNNQUANT_DATA"), reason="SNNQUANT_DATA is not set"
)


def test_indian_pines_is_embedded(monkeypatch):
    monkeypatch.delenv("SNNQUANT_DATA", raising=False)
    scene = load_scene("indian_pines")
    assert scene.cube.shape == (145, 145, 200)
    assert (scene.cube.min(), scene.cube.max()) == (955, 9604)
    counts = np.bincount(scene.labels.ravel())[1:]
    assert counts.sum() == 10249
    assert dict(zip(scene.class_names, counts, strict=True))["Soybean-mintill"] == 2455
    assert load_scene("indian_pines").digest == scene.digest


@needs_data
def test_salinas_a_is_renumbered():
    scene = load_scene("salinas_a")
    assert scene.cube.shape == (83, 86, 204)
    assert np.bincount(scene.labels.ravel())[1:].tolist() == [391, 1343, 616, 1525, 674, 799]


@needs_data
def test_the_pavia_crop_lies_where_its_mask_says():
    scene = load_scene("pavia_university_subset")
    counts = np.bincount(scene.labels.ravel())[1:].tolist()
    assert counts == [86, 461, 52, 311, 342, 1234, 249, 193]
    test = load_mask("pavia_university_subset").test
    raw = np.array([0, 1, 2, 4, 5, 6, 7, 8, 9])[scene.labels]
    np.testing.assert_array_equal(raw[test > 0], test[test > 0])


@needs_data
def test_masks_cover_their_scene():
    mask = load_mask("indian_pines")
    assert mask.train.shape == (145, 145)
    assert np.count_nonzero(mask.train) == 5689
    assert mask.test is None
    mask = load_mask("pavia_university")
    assert mask.test is not None
    assert mask.train.shape == mask.test.shape == (610, 340)


def test_an_own_scene(make_card, cube, labels):
    scene = load_scene(make_card())
    np.testing.assert_array_equal(scene.cube, cube)
    np.testing.assert_array_equal(np.array([0, 3, 7])[scene.labels], labels)
    assert scene.name == "field"
    assert scene.class_names == ("maize", "barley")
    assert scene.wavelengths_nm is None


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    numbers=st.lists(st.integers(1, 200), min_size=1, max_size=5, unique=True),
    seed=st.integers(0, 99),
)
def test_any_class_numbers_become_1_to_k(make_card, card_text, numbers, seed):
    raw = np.random.default_rng(seed).choice([0, *numbers], (6, 5)).astype(np.uint8)
    raw.flat[: len(numbers)] = numbers
    classes = "".join(f'[[classes]]\nlabel = {n}\nname = "c{n}"\n' for n in numbers)
    text = card_text[: card_text.index("[[classes]]")] + classes
    scene = load_scene(make_card(text, labels=raw))
    np.testing.assert_array_equal(np.array([0, *numbers])[scene.labels], raw)


def test_labels_as_matlab_stores_them(make_card, card_text, tmp_path, cube, labels):
    path = make_card(card_text.replace(".npy", ".mat"))
    scipy.io.savemat(tmp_path / "cube.mat", {"cube": cube})
    scipy.io.savemat(tmp_path / "labels.mat", {"gt": labels.astype(float)})
    np.testing.assert_array_equal(np.array([0, 3, 7])[load_scene(path).labels], labels)


def test_the_digest_follows_only_data_and_classes(make_card, card_text, cube):
    digest = load_scene(make_card()).digest
    assert load_scene(make_card(card_text.replace("#00ff00", "#ff0000"))).digest == digest
    assert load_scene(make_card("title = 'x'\n" + card_text)).digest == digest
    assert load_scene(make_card(card_text.replace("maize", "corn"))).digest != digest
    assert load_scene(make_card(cube=cube + 1)).digest != digest


def test_wavelengths_by_rule_and_by_list(make_card, card_text):
    table = "[wavelengths]\nsource = 'x'\n"
    by_rule = load_scene(make_card(table + "start_nm = 400\nstop_nm = 700\n" + card_text))
    np.testing.assert_allclose(by_rule.wavelengths_nm, [400, 500, 600, 700])
    by_list = load_scene(make_card(table + "values_nm = [1, 2, 3, 4.5]\n" + card_text))
    np.testing.assert_allclose(by_list.wavelengths_nm, [1, 2, 3, 4.5])
    with pytest.raises(InputError, match=r"values_nm: found 2 values, expected .* 4 bands"):
        load_scene(make_card(table + "values_nm = [1, 2]\n" + card_text))


def spoilt(array, place, value, dtype=None):
    array = array.astype(dtype or array.dtype)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c, g: {"labels": g[:5]}, r"labels\.npy: found 5 x 5 labels, expected 6 x 5"),
        (lambda c, g: {"cube": c[0]}, r"cube\.npy: found a cube of shape \(5, 4\)"),
        (lambda c, g: {"cube": c[:0]}, r"cube\.npy: found a cube of shape \(0, 5, 4\)"),
        (lambda c, g: {"labels": np.stack([g, g], -1)}, r"labels\.npy: .*shape \(6, 5, 2\)"),
        (lambda c, g: {"cube": c.astype(complex)}, r"cube\.npy: found complex128 values"),
        (lambda c, g: {"cube": c * np.nan}, r"cube\.npy: found no pixel with data"),
        (lambda c, g: {"labels": g / 2}, r"labels\.npy: found labels that are not whole"),
        (
            lambda c, g: {"labels": np.minimum(g, 3)},
            r"labels\.npy: found no pixel of barley \(the file has 0, 3\), expected one of",
        ),
    ],
)
def test_spoilt_data_is_named_in_one_line(make_card, cube, labels, spoil, message):
    path = make_card(**spoil(cube, labels))
    with pytest.raises(InputError, match=message) as caught:
        load_scene(path)
    assert "\n" not in str(caught.value)


def test_the_cards_shape_is_checked(make_card, card_text):
    with pytest.raises(
        InputError, match=r"cube\.npy: found shape \(6, 5, 4\), expected \(6, 5, 3\)"
    ):
        load_scene(make_card("shape = [6, 5, 3]\n" + card_text))


def test_the_cards_digest_is_checked(make_card, card_text, tmp_path):
    make_card()
    right = hashlib.sha256((tmp_path / "cube.npy").read_bytes()).hexdigest()
    wrong = "0" * 64
    assert load_scene(make_card(card_text.replace("[labels]", f'sha256 = "{right}"\n[labels]')))
    message = rf"cube\.npy: found sha256 {right[:12]}, expected 000000000000"
    with pytest.raises(InputError, match=message):
        load_scene(make_card(card_text.replace("[labels]", f'sha256 = "{wrong}"\n[labels]')))


def test_a_missing_file_of_an_own_card(make_card, tmp_path):
    path = make_card()
    (tmp_path / "labels.npy").unlink()
    with pytest.raises(InputError, match=r"labels\.npy: not found, expected beside the card"):
        load_scene(path)


@pytest.mark.parametrize(
    ("mask", "offset", "message"),
    [
        (np.zeros((9, 9), np.uint8), "", "found 9 x 9 pixels, expected them to hold the scene"),
        (np.zeros((9, 9), np.uint8), "[4, 0]", "6 x 5 from row 4, column 0"),
        (np.full((6, 5), -2), "", "found -2, expected class numbers of 0 or more"),
    ],
)
def test_a_mask_that_does_not_fit(make_card, card_text, tmp_path, mask, offset, message):
    np.save(tmp_path / "mask.npy", mask)
    table = "[mask]\ntrain.file = 'mask.npy'\n" + (offset and f"offset = {offset}\n")
    with pytest.raises(InputError, match=message):
        load_mask(make_card(table + card_text))


def test_a_mask_is_cut_to_the_crop(make_card, card_text, tmp_path):
    whole = np.arange(90).reshape(9, 10)
    np.save(tmp_path / "mask.npy", whole)
    table = "[mask]\ntrain.file = 'mask.npy'\noffset = [2, 4]\n"
    mask = load_mask(make_card(table + card_text))
    np.testing.assert_array_equal(mask.train, whole[2:8, 4:9])


def test_no_mask(make_card):
    with pytest.raises(InputError, match=r"field\.toml: found no fixed mask"):
        load_mask(make_card())
