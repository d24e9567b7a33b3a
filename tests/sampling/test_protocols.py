from __future__ import annotations

import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat

from snnquant.config import SplitConfig
from snnquant.errors import InputError
from snnquant.sampling import Split, coordinates_only_accuracy, make_split
from snnquant.scenes import FixedMask, Scene, load_scene

fractions = st.floats(0.02, 0.98)
MASK = SplitConfig(protocol="mask", validation="pixels")
windows = st.sampled_from([1, 3, 5])


def counts(scene: Scene, pixels: np.ndarray) -> list[int]:
    found = np.bincount(scene.labels.ravel()[pixels], minlength=scene.classes + 1)
    assert found[0] == 0, "an unlabelled pixel was chosen"
    return found[1:].tolist()


def same(one: Split, other: Split) -> bool:
    sets = zip((one.train, one.val, one.test), (other.train, other.val, other.test), strict=True)
    return all(np.array_equal(a, b) for a, b in sets)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(3, 60), min_size=1, max_size=5), fractions, fractions, st.integers(0, 9)
)
def test_random_takes_the_same_shares_of_every_class(scene_of, sizes, train, held_out, seed):
    labels = np.repeat(np.arange(len(sizes) + 1), [9, *sizes])
    scene = scene_of(np.random.default_rng(seed).permutation(labels)[:, None])
    config = SplitConfig(train_fraction=train, validation_fraction=held_out)
    split = make_split(scene, config, 1, seed)
    parts = (split.train, split.val, split.test)
    for size, *got in zip(sizes, *(counts(scene, part) for part in parts), strict=True):
        assert sum(got) == size
        assert min(got) >= 1
        drawn = got[0] + got[1]
        assert abs(drawn - train * size) <= 0.5 or drawn == 2 or got[2] == 1
        assert abs(got[1] - held_out * drawn) <= 0.5 or got[1] == 1 or got[0] == 1


@pytest.mark.parametrize("protocol", ["random", "blocks", "mask"])
def test_the_seed_decides_the_split(parcels, protocol):
    scene = parcels(40, 40, 3, seed=1)
    train = np.where(np.arange(40)[:, None] < 20, scene.labels, 0)
    config, mask = SplitConfig(protocol=protocol, block_size=4), FixedMask(train, None)
    first = make_split(scene, config, 3, 5, mask)
    assert (first.protocol, first.seed) == (protocol, 5)
    assert same(first, make_split(scene, config, 3, 5, mask))
    assert not same(first, make_split(scene, config, 3, 6, mask))


@settings(deadline=None, max_examples=60)
@given(windows, st.integers(4, 9), fractions, st.integers(0, 1000))
def test_blocks_keep_training_a_window_away_from_test(parcels, window, size, fraction, seed):
    scene = parcels(28, 33, 3, seed)
    config = SplitConfig(
        protocol="blocks", block_size=size, train_fraction=fraction, validation="pixels"
    )
    split = make_split(scene, config, window, seed)
    assert split.leakage(window, scene.width) == 0
    learnt = np.stack(np.divmod(np.concatenate([split.train, split.val]), scene.width), axis=1)
    tested = np.stack(np.divmod(split.test, scene.width), axis=1)
    distance = np.abs(learnt[:, None] - tested).max(axis=2)
    assert distance.min() >= window
    trained = np.array(counts(scene, split.train))
    assert all(trained[np.array(counts(scene, split.test)) > 0] > 0)


def two_sided(scene: Scene, learn: np.ndarray, test: np.ndarray) -> int:
    return int(np.sum((np.array(counts(scene, learn)) > 0) & (np.array(counts(scene, test)) > 0)))


@pytest.mark.parametrize("seed", range(25))
def test_blocks_reach_as_many_classes_as_the_best_of_all_draws(parcels, seed):
    size, window = 4, 3
    scene = parcels(12, 8, 4, seed)
    rows, columns = np.indices(scene.labels.shape)
    block = (rows // size) * 2 + columns // size
    best = 0
    for sides in product([False, True], repeat=6):
        tests = np.array(sides)[block]
        near = np.zeros_like(tests)
        for row, column in np.argwhere(tests & (scene.labels > 0)):
            # A test block keeps training away from its unlabelled pixels too.
            top, left = row // size * size, column // size * size
            near[
                max(top - window + 1, 0) : top + size + window - 1,
                max(left - window + 1, 0) : left + size + window - 1,
            ] = True
        labelled = scene.labels > 0
        learn, test = np.flatnonzero(labelled & ~near), np.flatnonzero(labelled & tests)
        best = max(best, two_sided(scene, learn, test))
    config = SplitConfig(protocol="blocks", block_size=size, validation="pixels")
    if best == 0:
        with pytest.raises(InputError, match="--block-size: found 4 on a scene of 12x8"):
            make_split(scene, config, window, seed)
    else:
        split = make_split(scene, config, window, seed)
        learn = np.concatenate([split.train, split.val])
        assert two_sided(scene, learn, split.test) == best


def test_blocks_name_the_classes_on_one_side_and_do_not_test_the_untrained(scene_of):
    raw = np.tile(np.repeat([[1, 2]], 6, axis=1), (48, 2))
    raw[20:23, 0:3] = 7  # one class inside a single block
    scene = scene_of(raw)
    config = SplitConfig(protocol="blocks", block_size=8, validation="pixels")
    split = make_split(scene, config, 3, 0)
    band, one_sided = split.notes
    used = len(split.train) + len(split.val) + len(split.test)
    lost = np.count_nonzero(scene.labels) - used - 9  # class 7 is neither tested nor in the band
    assert band.startswith(f"guard band: {lost} training pixels nearer than 3 pixels")
    assert "'crop 7'" in one_sided
    learnt = set(scene.labels.ravel()[np.concatenate([split.train, split.val])])
    assert set(scene.labels.ravel()[split.test]) <= learnt


def test_block_training_share_is_near_the_one_asked_for(parcels):
    scene = parcels(120, 120, 6, seed=3, grid=12)
    for fraction in (0.2, 0.4, 0.6):
        config = SplitConfig(protocol="blocks", block_size=12, train_fraction=fraction)
        split = make_split(scene, config, 5, 0)
        learnt = len(split.train) + len(split.val)
        assert learnt / (learnt + len(split.test)) == pytest.approx(fraction, abs=0.05)


def test_a_masks_numbers_are_matched_by_majority_and_the_rest_is_dropped(scene_of):
    raw = np.repeat([[1, 1, 4, 4, 9, 9, 0, 0]], 8, axis=0)
    scene = scene_of(raw)
    train = np.zeros_like(raw)
    train[:5, :2], train[:5, 2:4] = 30, 10  # other numbers than the scene's
    train[5, 2], train[5, 6] = 30, 10  # one pixel of another class, one without a label
    split = make_split(scene, MASK, 3, 0, FixedMask(train, None))
    learnt = np.concatenate([split.train, split.val])
    assert counts(scene, learnt) == [10, 10, 0]
    assert counts(scene, split.val) == [1, 1, 0]
    assert counts(scene, split.test) == [6, 5, 0], "dropped pixels are not tested, nor class 9"
    assert "left out 1 pixels of another class and 1 unlabelled" in split.notes[0]
    assert "'crop 9' is left out" in split.notes[1]

    test = np.zeros_like(raw)
    test[6:, :2] = 2
    split = make_split(scene, MASK, 3, 0, FixedMask(train, test))
    assert counts(scene, split.test) == [4, 0, 0]
    assert any("'crop 4' is trained but not scored" in note for note in split.notes)


def test_a_mask_pixel_on_both_sides_trains_only(scene_of):
    raw = np.repeat([[1, 1, 2, 2]], 6, axis=0)
    train = np.where(np.arange(6)[:, None] < 4, raw, 0)
    split = make_split(scene_of(raw), MASK, 1, 0, FixedMask(train, raw))
    assert split.test.tolist() == list(range(16, 24))


@pytest.mark.parametrize(
    ("protocol", "window", "mask", "message"),
    [
        ("random", 4, None, "--window: found 4, expected an odd number"),
        ("random", 9, None, r"--window: found 9, expected at most 8 \(the scene is 8x8\)"),
        ("random", 3, None, "field: class 'crop 2' has 2 pixels, expected at least 3"),
        ("blocks", 3, None, r"--block-size: found 16 on a scene of 8x8 \(field\), expected"),
        ("mask", 3, None, "--split: found mask, but scene field has no fixed mask"),
        ("mask", 3, np.ones((8, 7)), r"field: training mask: found shape \(8, 7\), expected"),
        ("mask", 3, np.zeros((8, 8)), "training mask: 0 pixels agree"),
        ("mask", 3, "binary", "training mask: 32 pixels agree with the scene's labels, 32 do not"),
        ("mask", 3, "everything", "--split: found 0 test and 6 validation pixels by mask"),
    ],
)
def test_a_split_that_cannot_be_made_is_one_line(scene_of, protocol, window, mask, message):
    raw = np.repeat([[1, 1, 1, 1, 5, 5, 5, 5]], 8, axis=0)
    if protocol == "random":
        raw[0, :2] = 2
    if isinstance(mask, str):
        mask = np.ones_like(raw) if mask == "binary" else raw
    fixed = None if mask is None else FixedMask(mask.astype(np.int64), None)
    with pytest.raises(InputError, match=message) as error:
        make_split(
            scene_of(raw), SplitConfig(protocol=protocol, validation="pixels"), window, 0, fixed
        )
    assert "\n" not in str(error.value)


def test_indian_pines_random_splits_measure_position():
    scene = load_scene("indian_pines")
    split = make_split(scene, SplitConfig(train_fraction=0.1), 5, 0)
    assert coordinates_only_accuracy(split, scene.labels) == pytest.approx(0.973, abs=0.005)
    assert 0.84 <= split.leakage(5, scene.width) <= 0.90
    split = make_split(scene, SplitConfig(protocol="blocks", validation="pixels"), 5, 0)
    assert split.leakage(5, scene.width) == 0
    assert coordinates_only_accuracy(split, scene.labels) < 0.75
    assert split.notes[0].startswith("guard band: 1946 training pixels")
    assert [note for note in split.notes[1:] if "Grass-pasture-mowed" not in note] == []


@pytest.mark.skipif("SNNQUANT_DATA" not in os.environ, reason="needs the files of SNNQUANT_DATA")
def test_the_published_indian_pines_mask_matches_all_but_ten_pixels():
    scene = load_scene("indian_pines")
    file = Path(os.environ["SNNQUANT_DATA"]) / "indian_pines_disjoint.mat"
    raw = loadmat(file)["indianpines_disjoint_dset"].astype(np.int64)
    split = make_split(scene, MASK, 5, 0, FixedMask(raw, None))
    learnt = len(split.train) + len(split.val)
    assert learnt == 5689 - 10 - 151
    assert len(split.test) == 10249 - learnt - 10
    assert "10 pixels of another class and 151 unlabelled" in split.notes[0]
