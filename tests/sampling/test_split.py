from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.errors import InputError
from snnquant.sampling import Split, coordinates_only_accuracy

HEIGHT, WIDTH = 7, 6


@st.composite
def splits(draw):
    """Draw a split of a 7 x 6 scene with at least one training and one test pixel."""
    sides = draw(st.lists(st.sampled_from("-abc"), min_size=42, max_size=42))
    first, second = draw(st.lists(st.integers(0, 41), min_size=2, max_size=2, unique=True))
    sides[first], sides[second] = "a", "c"
    train, val, test = (np.flatnonzero(np.array(sides) == side) for side in "abc")
    return Split(train, val, test, draw(st.sampled_from(["random", "mask"])), draw(st.integers(0)))


def arrays(split: Split) -> list[list[int]]:
    return [split.train.tolist(), split.val.tolist(), split.test.tolist()]


@settings(deadline=None)
@given(splits(), st.sampled_from([1, 3, 5, 7]))
def test_leakage_equals_a_plain_loop(split, window):
    seen = {divmod(int(pixel), WIDTH) for pixel in np.concatenate([split.train, split.val])}
    half, leaking = window // 2, 0
    for row, column in (divmod(int(pixel), WIDTH) for pixel in split.test):
        leaking += any(
            (row + down, column + right) in seen
            for down in range(-half, half + 1)
            for right in range(-half, half + 1)
        )
    assert split.leakage(window, WIDTH) == pytest.approx(leaking / len(split.test))


def nearest_label_share(split: Split, labels: np.ndarray) -> float:
    width, hits = labels.shape[1], 0
    for row, column in (divmod(int(pixel), width) for pixel in split.test):
        squares = (split.train // width - row) ** 2 + (split.train % width - column) ** 2
        # Indices rise by row, then by column: the first minimum is the tie rule.
        hits += labels.ravel()[split.train[squares.argmin()]] == labels[row, column]
    return hits / len(split.test)


@settings(deadline=None)
@given(splits(), st.integers(0, 2**32))
def test_coordinates_only_accuracy_equals_a_plain_loop(split, seed):
    labels = np.random.default_rng(seed).integers(1, 4, (HEIGHT, WIDTH))
    expected = nearest_label_share(split, labels)
    assert coordinates_only_accuracy(split, labels) == pytest.approx(expected)


def test_ties_among_nearest_pixels_go_to_the_smaller_row_then_column():
    labels = np.random.default_rng(0).integers(1, 9, (40, 40))
    pixels = np.arange(1600)
    board = (pixels // 40 + pixels % 40) % 2 == 0  # every test pixel has four equal neighbours
    split = Split(pixels[board], pixels[:0], pixels[~board], "random", 0)
    expected = nearest_label_share(split, labels)
    assert coordinates_only_accuracy(split, labels) == pytest.approx(expected)


@settings(deadline=None)
@given(splits(), st.lists(st.text("abc é'", max_size=5), max_size=3))
def test_a_saved_split_comes_back_the_same(split, notes):
    split = dataclasses.replace(split, notes=tuple(notes))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.npz"
        split.save(path)
        again = Split.load(path)
        assert [file.name for file in Path(folder).iterdir()] == ["split.npz"]
    assert arrays(again) == arrays(split)
    assert (again.protocol, again.seed, again.notes) == (split.protocol, split.seed, split.notes)
    assert again.digest == split.digest


def example(**changes) -> Split:
    fields = {"train": [0, 1], "val": [2], "test": [5, 9]} | changes
    sets = [np.array(fields[name], np.int64) for name in ("train", "val", "test")]
    return Split(*sets, fields.get("protocol", "random"), fields.get("seed", 3))


def test_the_digest_is_the_same_everywhere_and_sees_every_field():
    assert example().digest == ("a6ca8aa4a8d5a28c789df7dffa65e5a451baa8304645f271e37653c4a598249a")
    others = [
        example(train=[0, 3]),
        example(train=[0], val=[1, 2]),
        example(val=[3]),
        example(test=[5, 8]),
        example(protocol="mask"),
        example(seed=4),
    ]
    assert len({split.digest for split in [example(), *others]}) == 7


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"train": []}, "split train: found no pixel"),
        ({"test": []}, "split test: found no pixel"),
        ({"val": [1]}, "1 pixels in more than one set"),
        ({"test": [9, 5]}, "split test: .* rising"),
        ({"train": [-1, 0]}, "split train: .* from 0 up"),
        ({"train": [[0, 1]]}, "split train: found 2 dimensions"),
    ],
)
def test_unsound_sets_are_refused(sets, message):
    with pytest.raises(InputError, match=message):
        example(**sets)


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "another array", "no test", "pickle"])
def test_a_file_without_a_split_is_named_in_one_line(tmp_path, damage):
    path = tmp_path / "split.npz"
    example().save(path)
    if damage == "missing":
        path.unlink()
    elif damage == "text":
        path.write_text("train = 1")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "another array":
        with path.open("wb") as file:
            np.save(file, np.arange(3))
    elif damage == "no test":
        np.savez(path, train=np.arange(3))
    else:
        np.savez(path, **dict.fromkeys(["train", "val", "test"], np.array([{}], dtype=object)))
    with pytest.raises(InputError, match=r"split\.npz: ") as error:
        Split.load(path)
    assert "\n" not in str(error.value)


def test_a_split_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    (tmp_path / "split.npz").mkdir()
    with pytest.raises(InputError, match=r"split\.npz: cannot be written"):
        example().save(tmp_path / "split.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["split.npz"]
