"""Guard bands apart from the window, a number of training pixels, and validation on blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from snnquant.config import SplitConfig
from snnquant.errors import InputError
from snnquant.sampling import Split, make_split
from snnquant.sampling.validation_blocks import hold_out_squares
from snnquant.scenes import FixedMask, Scene

BLOCKS = SplitConfig(validation="blocks", block_size=6, train_fraction=0.5)


def distance(one: np.ndarray, other: np.ndarray, width: int) -> int:
    """Return the smallest Chebyshev distance between two sets of flat indices, by a plain rule."""
    here, there = (np.stack(np.divmod(pixels, width), axis=1) for pixels in (one, other))
    return int(np.abs(here[:, None] - there).max(axis=2).min())


def counts(scene: Scene, pixels: np.ndarray) -> np.ndarray:
    return np.bincount(scene.labels.ravel()[pixels], minlength=scene.classes + 1)[1:]


def split_by(scene: Scene, config: SplitConfig, seed: int, window: int = 3) -> Split:
    train = np.where(np.arange(scene.height)[:, None] < 20, scene.labels, 0)
    return make_split(scene, config, window, seed, FixedMask(train, None))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["random", "blocks", "mask"]), st.none() | st.integers(0, 6), st.integers(0, 99)
)
def test_validation_blocks_lie_behind_the_guard_band(parcels, protocol, guard, seed):
    scene = parcels(36, 36, 3, seed)
    config = replace(BLOCKS, protocol=protocol, guard=guard)
    pixels = replace(config, validation="pixels")
    try:
        split = split_by(scene, config, seed)
        whole = split_by(scene, pixels, seed)
    except InputError:
        reject()
    assert distance(split.train, split.val, 36) >= (3 if guard is None else guard)
    side = np.union1d(whole.train, whole.val)
    assert np.isin(np.concatenate([split.train, split.val]), side).all()
    if protocol != "random":
        assert np.array_equal(split.test, whole.test), "validation decides nothing about testing"
    assert (2 * counts(scene, split.train) >= counts(scene, side)).all()


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["random", "blocks", "mask"]), st.integers(0, 5), st.integers(0, 99))
def test_a_guard_keeps_both_sides_apart_at_any_window(parcels, protocol, guard, seed):
    scene = parcels(36, 36, 3, seed)
    config = SplitConfig(protocol=protocol, guard=guard, block_size=9, validation="pixels")
    config = replace(config, train_pixels=3 if protocol == "random" else 0)
    split = split_by(scene, config, seed)
    learn = np.union1d(split.train, split.val)
    assert distance(learn, split.test, 36) >= guard
    wider = split_by(scene, config, seed, window=7)
    assert split.digest == wider.digest
    used = len(learn) + len(split.test)
    lost = sum(int(n.split()[2]) for n in split.notes if n.startswith("guard band: "))
    left_out = sum(int(n.split()[-3]) for n in split.notes if "is left out: no training" in n)
    assert used + left_out + lost == np.count_nonzero(scene.labels)


@pytest.mark.parametrize("protocol", ["random", "blocks", "mask"])
def test_the_guard_of_before_is_the_default(parcels, protocol):
    scene = parcels(36, 36, 3, 1)
    config = SplitConfig(protocol=protocol, block_size=9)
    own = split_by(scene, config, 4)
    explicit = split_by(scene, replace(config, guard=3 if protocol == "blocks" else 0), 4)
    assert np.array_equal(own.test, explicit.test)
    pixels = replace(config, validation="pixels")
    if protocol == "random":
        assert own.digest == split_by(scene, pixels, 4).digest
    else:
        blocks = replace(config, validation="blocks")
        assert own.digest == split_by(scene, blocks, 4).digest
        assert own.digest != split_by(scene, pixels, 4).digest


@settings(deadline=None)
@given(st.lists(st.integers(3, 60), min_size=1, max_size=5), st.integers(2, 40))
def test_a_number_of_pixels_trains_each_class_at_most_half_of_it(scene_of, sizes, wanted):
    scene = scene_of(np.repeat(np.arange(len(sizes) + 1), [9, *sizes])[:, None])
    split = make_split(scene, SplitConfig(train_pixels=wanted), 1, 0)
    got = counts(scene, np.union1d(split.train, split.val))
    assert got.tolist() == [max(min(wanted, size // 2), 2) for size in sizes]
    assert counts(scene, split.test).tolist() == [
        size - drawn for size, drawn in zip(sizes, got, strict=True)
    ]


@pytest.fixture
def fields(scene_of) -> Scene:
    """Class 1 has fields of 20, 20, 20 and 140 pixels, far apart; class 2 has one of two blocks."""
    raw = np.zeros((60, 40), int)
    raw[0:5, 0:4] = raw[0:5, 15:19] = raw[0:5, 30:34] = 1
    raw[18:32, 0:10] = 1
    raw[48:60, 0:24] = 2
    raw[58:60, 38:40] = 3
    return scene_of(raw)


def learnt(scene: Scene, **options: object) -> Split:
    """Split with every pixel of the rows above 59 on the training side."""
    train = np.where(np.arange(60)[:, None] < 59, scene.labels, 0)
    config = SplitConfig(protocol="mask", block_size=6, **options)  # type: ignore[arg-type]
    return make_split(scene, config, 3, 0, FixedMask(train, None))


def test_whole_fields_validate_where_a_class_has_two(fields):
    split = learnt(fields)
    labels = fields.labels.ravel()
    held = split.val[labels[split.val] == 1]
    assert len(held) == 20
    assert len({(pixel // 40 // 18, pixel % 40 // 15) for pixel in held.tolist()}) == 1
    assert counts(fields, split.train)[0] == 180


def test_a_class_of_one_field_validates_on_blocks_and_one_of_one_block_not(fields):
    split = learnt(fields)
    labels = fields.labels.ravel()
    held = split.val[labels[split.val] == 2]
    blocks = {(pixel // 40 // 6, pixel % 40 // 6) for pixel in held.tolist()}
    learn = np.union1d(split.train, split.val)
    for row, column in blocks:
        inside = (learn // 40 // 6 == row) & (learn % 40 // 6 == column)
        assert np.isin(learn[inside], split.val).all()
    assert counts(fields, split.val)[2] == 0
    assert any("keep half of its pixels" in note and "'crop 3'" in note for note in split.notes)
    assert any(note.startswith("validation: ") and "3 pixels" in note for note in split.notes)


def test_wider_gaps_than_a_block_part_fields(scene_of):
    raw = np.zeros((12, 40), int)
    raw[0:12, 0:6], raw[0:12, 12:18], raw[0:12, 25:31] = 1, 1, 1  # gaps of 6 and of 7 pixels
    raw[0, 39] = raw[11, 39] = 2
    train = np.where(np.arange(40) < 39, raw, 0)
    train[0, 39] = 2
    config = SplitConfig(protocol="mask", block_size=6, validation_fraction=0.3)
    found = set()
    for seed in range(8):
        split = make_split(scene_of(raw), config, 3, seed, FixedMask(train, None))
        found.add(tuple(np.unique(split.val % 40 // 6)))
    assert found == {(4, 5)}, "the field of half the others' size validates, always whole"


def test_a_band_that_would_rob_a_class_is_kept_off_it(scene_of):
    raw = np.zeros((30, 40), int)
    raw[0:10, 0:10] = raw[0:10, 30:40] = raw[20:30, 0:10] = raw[20:30, 30:40] = 1
    for row in (0, 20):
        for column in (10, 29):
            raw[row : row + 2, column] = 2  # beside each field of class 1
    train = raw.copy()
    train[9] = 0
    config = SplitConfig(protocol="mask", block_size=5, validation_fraction=0.25)
    split = make_split(scene_of(raw), config, 5, 0, FixedMask(train, None))
    labels = raw.ravel()
    assert (labels[split.val] == 1).any()
    assert (labels[split.train] == 2).sum() >= 4
    assert distance(split.train, split.val, 40) >= 5


def test_without_a_block_to_spare_the_option_is_named(scene_of):
    raw = np.zeros((20, 20), int)
    raw[0:4, 0:4], raw[0:4, 5:9] = 1, 2
    raw[15:17, 15:17], raw[15:17, 18:20] = 1, 2
    train = np.where(np.arange(20)[:, None] < 10, raw, 0)
    scene, mask = scene_of(raw), FixedMask(train, None)
    config = SplitConfig(protocol="mask", block_size=10, validation="blocks")
    with pytest.raises(InputError, match=r"^--validation: found blocks, .* expected pixels") as got:
        make_split(scene, config, 5, 0, mask)
    assert "\n" not in str(got.value)
    auto = make_split(scene, replace(config, validation="auto"), 5, 0, mask)
    assert counts(scene, auto.val).tolist() == [2, 2]
    assert any(note.startswith("validation: pixels drawn by class") for note in auto.notes)


def test_a_guard_that_leaves_no_test_pixel_is_named(parcels):
    with pytest.raises(InputError, match=r"found 0 test and .* or a --guard below 9"):
        make_split(parcels(30, 30, 3, 0), SplitConfig(guard=9), 3, 0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.integers(0, 5))
def test_squares_hold_whole_blocks_behind_the_band_and_only_classes_that_train(
    parcels, seed, guard
) -> None:
    scene = parcels(36, 36, 3, seed)
    labels, draw = scene.labels.ravel(), np.random.default_rng(seed)
    learn = np.flatnonzero((labels > 0) & (draw.random(labels.size) < 0.7))
    config = replace(BLOCKS, validation_fraction=0.3)
    train, held = hold_out_squares(learn, labels[learn], config, guard, draw, (36, 36))
    assert {*train, *held} <= {*learn}
    assert {*labels[held]} <= {*labels[train]}
    block = lambda pixels: {*(pixels // 36 // 6 * 6 + pixels % 36 // 6)}  # noqa: E731
    assert not block(train) & block(held)
    if len(train) and len(held):
        assert distance(train, held, 36) >= max(guard, 1)
    of_held = [pixel for pixel in learn if pixel // 36 // 6 * 6 + pixel % 36 // 6 in block(held)]
    assert {*of_held} - {*held} <= {*learn[~np.isin(labels[learn], labels[train])]}
