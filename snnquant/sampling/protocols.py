"""The three protocols for dividing a scene's labelled pixels."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from snnquant.config import SplitConfig
from snnquant.errors import InputError
from snnquant.sampling.blocks import draw_test_blocks
from snnquant.sampling.patches import check_window
from snnquant.sampling.split import Split
from snnquant.sampling.validation_blocks import hold_out_blocks, near
from snnquant.scenes import FixedMask, Scene

Pixels: TypeAlias = NDArray[np.int64]


def make_split(
    scene: Scene, config: SplitConfig, window: int, seed: int, mask: FixedMask | None = None
) -> Split:
    """Divide the labelled pixels of a scene; equal arguments give equal splits.

    random: the share `train_fraction` of every class, or `train_pixels` of each and at most half,
    is drawn; the rest tests, except what lies nearer than `guard` to a drawn pixel.
    blocks: whole blocks test; training pixels nearer than `guard` to a test block are dropped.
    mask: training pixels as in the published mask, except those nearer than `guard` to a test
    pixel; test pixels as in its second part or, without one, all other labelled pixels. The mask's
    class numbers are matched to the scene's by majority vote.

    Distances are Chebyshev's, in pixels. `guard` is the window under blocks, so that no training
    patch overlaps a test patch, and 0 otherwise, unless the configuration sets it.

    About `validation_fraction` of the training side validates. pixels: drawn from every class, at
    least one of each that has two. blocks: a class validates on whole fields of half to twice its
    share if it has two fields (its connected training pixels, gaps of up to `block_size` bridged),
    else on its pixels in whole blocks or, where it can spare none, in blocks of half the side;
    training pixels nearer than `guard`, by default the window, are dropped. Every class keeps at
    least half of its training pixels: one that cannot spare any of these is not validated, and the
    notes name it. auto: blocks under blocks and mask, unless no class can spare one, else pixels.

    A class without training pixels is not tested, one without test pixels is trained; the split's
    notes name both, and count the dropped pixels.

    Args:
        scene: The scene.
        config: Protocol, shares and block size.
        window: Side of the patches in pixels, odd and no larger than the scene.
        seed: Seed of all draws.
        mask: The published split, needed by the protocol "mask" only; see `load_mask`.

    Returns:
        The split, its pixels as flat indices.

    Raises:
        InputError: The window does not fit, a class (random) or the scene (blocks) is too small,
            no class can spare validation blocks, or the mask is missing or of another scene.

    >>> from snnquant.scenes import load_scene
    >>> scene = load_scene("synthetic:32x32x8")
    >>> split = make_split(scene, SplitConfig(protocol="blocks", block_size=8), window=5, seed=0)
    >>> split.leakage(window=5, width=scene.width)
    0.0
    """
    check_window(window, scene.height, scene.width)
    draw = np.random.default_rng(seed)
    guard = config.guard or 0
    notes: list[str] = []
    if config.protocol == "random":
        learn, test = _draw_by_class(scene, config, draw)
    elif config.protocol == "blocks":
        guard = window if config.guard is None else guard
        learn, test = draw_test_blocks(scene, config, guard, draw)
        lost = int(np.count_nonzero(scene.labels)) - len(learn) - len(test)
        notes = _dropped(lost, "training", guard, "test block")
    else:
        learn, test, notes = _from_mask(scene, mask)
        clear = learn[~near(test, guard, scene.labels.shape)[learn]]
        notes += _dropped(len(learn) - len(clear), "training", guard, "test pixel")
        learn = clear
    test, one_sided = _testable(scene, learn, test)
    train, val, more = _validation(scene, learn, config, window, draw)
    if config.protocol == "random":
        clear = test[~near(np.concatenate([train, val]), guard, scene.labels.shape)[test]]
        notes += _dropped(len(test) - len(clear), "test", guard, "training or validation pixel")
        test, one_sided = _testable(scene, learn, clear)
    if not len(val) or not len(test):
        found = f"{len(test)} test and {len(val)} validation pixels by {config.protocol}"
        expected = "expected a class with two training pixels and a test pixel"
        if guard:
            expected += f", or a --guard below {guard}"
        raise InputError(f"--split: found {found} in {scene.name}, {expected}")
    return Split(train, val, test, config.protocol, seed, (*notes, *more, *one_sided))


def _validation(
    scene: Scene, learn: Pixels, config: SplitConfig, window: int, draw: np.random.Generator
) -> tuple[Pixels, Pixels, list[str]]:
    """Divide the training side into training and validation; return both, and notes."""
    notes: list[str] = []
    if config.validates_on_blocks:
        guard = window if config.guard is None else config.guard
        train, val, notes = hold_out_blocks(scene, learn, config, guard, draw)
        if len(val):
            return train, val, notes
        found = f"no class of {scene.name} can spare a field or a block for it"
        if config.validation == "blocks":
            expected = "expected pixels or auto, or a smaller --guard"
            raise InputError(f"--validation: found blocks, but {found}, {expected}")
        notes = [f"validation: pixels drawn by class, {found}"]
    return *_hold_out(scene.labels.ravel(), learn, config.validation_fraction, draw), notes


def _dropped(pixels: int, side: str, guard: int, other: str) -> list[str]:
    """Return the note that counts the pixels of a guard band, none for an empty one."""
    count = (
        f"guard band: {pixels} {side} pixels nearer than {guard} pixels to a {other} are dropped"
    )
    return [count] if pixels else []


def split_without_test(scene: Scene, validation_fraction: float, seed: int) -> Split:
    """Divide all labelled pixels of a scene into training and validation, class by class.

    Args:
        scene: The scene; a class with a single pixel is trained and not validated.
        validation_fraction: Share of every class that validates, between 0 and 1.
        seed: Seed of the draw.

    Raises:
        InputError: For a scene without a class of two pixels.

    Example:
        >>> from snnquant.scenes import load_scene
        >>> split = split_without_test(load_scene("synthetic:16x16x20"), 0.1, seed=0)
        >>> len(split.test)
        0
    """
    labels = scene.labels.ravel()
    draw = np.random.default_rng(seed)
    train, val = _hold_out(labels, np.flatnonzero(labels), validation_fraction, draw)
    if not len(val):
        raise InputError(f"{scene.name}: found no class of 2 pixels, expected one to validate with")
    return Split(train, val, val[:0], "all", seed)


def _rounded(share: float, count: int) -> int:
    return int(share * count + 0.5)


def _draw_by_class(
    scene: Scene, config: SplitConfig, draw: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Give a share or a number of every class to training and validation, the rest to test."""
    labels = scene.labels.ravel()
    learn: list[Pixels] = []
    for number, name in enumerate(scene.class_names, start=1):
        pixels = np.flatnonzero(labels == number)
        if len(pixels) < 3:
            needed = "expected at least 3 (1 each for training, validation and test)"
            raise InputError(f"{scene.name}: class '{name}' has {len(pixels)} pixels, {needed}")
        wanted = min(config.train_pixels, len(pixels) // 2)
        if not config.train_pixels:
            wanted = _rounded(config.train_fraction, len(pixels))
        count = min(max(wanted, 2), len(pixels) - 1)
        learn.append(draw.permutation(pixels)[:count])
    drawn = np.sort(np.concatenate(learn))
    return drawn, np.setdiff1d(np.flatnonzero(labels), drawn)


def _hold_out(
    labels: NDArray[np.integer], learn: Pixels, fraction: float, draw: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Take validation out of `learn` class by class; a class with a single pixel keeps it."""
    held = [learn[:0]]
    for number in np.unique(labels[learn]):
        pixels = learn[labels[learn] == number]
        count = min(max(_rounded(fraction, len(pixels)), 1), len(pixels) - 1)
        held.append(draw.permutation(pixels)[:count])
    val = np.sort(np.concatenate(held))
    return np.setdiff1d(learn, val), val


def _testable(scene: Scene, learn: Pixels, test: Pixels) -> tuple[Pixels, list[str]]:
    """Drop the test pixels of classes without training pixels; note every one-sided class."""
    labels = scene.labels.ravel()
    learnt = np.bincount(labels[learn], minlength=scene.classes + 1)
    tested = np.bincount(labels[test], minlength=scene.classes + 1)
    notes = []
    for number, name in enumerate(scene.class_names, start=1):
        if not learnt[number]:
            found = f"no training pixel, {tested[number]} test pixels"
            notes.append(f"class '{name}' is left out: {found}")
        elif not tested[number]:
            notes.append(f"class '{name}' is trained but not scored: no test pixel")
    return test[learnt[labels[test]] > 0], notes


def _from_mask(scene: Scene, mask: FixedMask | None) -> tuple[Pixels, Pixels, list[str]]:
    if mask is None:
        raise InputError(f"--split: found mask, but scene {scene.name} has no fixed mask")
    learn, notes = _agreeing(scene, mask.train, "training")
    if mask.test is None:
        return learn, np.flatnonzero((scene.labels > 0) & (mask.train == 0)), notes
    test, more_notes = _agreeing(scene, mask.test, "test")
    return learn, np.setdiff1d(test, learn), notes + more_notes


def _agreeing(scene: Scene, raw: NDArray[np.integer], side: str) -> tuple[Pixels, list[str]]:
    """Return the pixels of a raw mask whose class, by majority vote, is the scene's; a note."""
    if raw.shape != scene.labels.shape:
        found = f"found shape {raw.shape}, expected {scene.labels.shape}"
        raise InputError(f"{scene.name}: {side} mask: {found}")
    marked = np.flatnonzero(raw)
    labels, numbers = scene.labels.ravel()[marked], raw.ravel()[marked]
    agrees = np.zeros(len(marked), bool)
    for number in np.unique(numbers[labels > 0]):
        votes = np.bincount(labels[(numbers == number) & (labels > 0)])
        agrees |= (numbers == number) & (labels == votes.argmax())
    other, unlabelled = int((~agrees & (labels > 0)).sum()), int((labels == 0).sum())
    # A mask of another scene, or one that marks pixels without naming classes, must not pass.
    if agrees.sum() <= other:
        found = f"{agrees.sum()} pixels agree with the scene's labels, {other} do not"
        raise InputError(f"{scene.name}: {side} mask: {found}, expected more than half to agree")
    if not other + unlabelled:
        return marked[agrees], []
    dropped = f"{other} pixels of another class and {unlabelled} unlabelled ones"
    return marked[agrees], [f"{side} mask: left out {dropped} (by the scene's labels)"]
