from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.training.metrics import Scores, confusion

COHEN = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
"""The worked example of Cohen (1960), table 1, as counts of 200: p_o = 0.70, p_e = 0.41."""

matrices = st.integers(1, 6).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 50), min_size=k, max_size=k), min_size=k, max_size=k)
)


def spelled_out(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, predictions = np.indices(matrix.shape)
    counts = matrix.ravel()
    return np.repeat(labels.ravel(), counts), np.repeat(predictions.ravel(), counts)


def test_scores_of_cohens_worked_example():
    scores = Scores.from_confusion(COHEN)
    assert scores.oa == pytest.approx(0.70)
    assert scores.kappa == pytest.approx((0.70 - 0.41) / (1 - 0.41))
    assert scores.class_accuracy == pytest.approx([88 / 120, 40 / 60, 12 / 20])
    assert scores.aa == pytest.approx((88 / 120 + 40 / 60 + 12 / 20) / 3)


@settings(deadline=None)
@given(matrices)
def test_confusion_counts_every_pair(rows):
    matrix = np.array(rows)
    labels, predictions = spelled_out(matrix)
    order = np.random.default_rng(0).permutation(len(labels))
    counted = confusion(labels[order], predictions[order], len(matrix))
    assert counted.dtype == np.int64
    np.testing.assert_array_equal(counted, matrix)


@settings(deadline=None)
@given(matrices.filter(lambda rows: any(any(row) for row in rows)))
def test_scores_are_bounded_and_follow_the_definitions(rows):
    matrix = np.array(rows)
    labels, predictions = spelled_out(matrix)
    scores = Scores.from_confusion(matrix)
    assert scores.oa == pytest.approx((labels == predictions).mean())
    for number, accuracy in enumerate(scores.class_accuracy):
        own = labels == number
        if own.any():
            assert accuracy == pytest.approx((predictions[own] == number).mean())
        else:
            assert accuracy is None
    assert scores.aa == pytest.approx(np.mean([a for a in scores.class_accuracy if a is not None]))
    assert -1 <= scores.kappa <= scores.oa <= 1


@settings(deadline=None)
@given(matrices.filter(lambda rows: any(any(row) for row in rows)), st.randoms())
def test_renumbering_the_classes_only_permutes_class_accuracy(rows, random):
    matrix = np.array(rows)
    order = list(range(len(matrix)))
    random.shuffle(order)
    before = Scores.from_confusion(matrix)
    after = Scores.from_confusion(matrix[np.ix_(order, order)])
    assert (after.oa, after.kappa) == (before.oa, before.kappa)
    assert after.aa == pytest.approx(before.aa)
    assert after.class_accuracy == [before.class_accuracy[number] for number in order]


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_a_perfect_classification_scores_one(counts):
    scores = Scores.from_confusion(np.diag(counts))
    assert (scores.oa, scores.aa, scores.kappa) == (1, 1, 1)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=6),
    st.lists(st.integers(1, 20), min_size=2, max_size=6),
)
def test_predictions_independent_of_the_labels_have_kappa_zero(first, second):
    size = min(len(first), len(second))
    assert Scores.from_confusion(np.outer(first[:size], second[:size])).kappa == 0


@pytest.mark.parametrize(
    ("labels", "predictions"), [([0, 1], [0]), ([0, 2], [0, 1]), ([0, 1], [-1, 1])]
)
def test_confusion_refuses_what_it_cannot_count(labels, predictions):
    with pytest.raises(ValueError, match=r"predictions|outside"):
        confusion(np.array(labels), np.array(predictions), 2)


def test_no_pixels_have_no_scores():
    with pytest.raises(ValueError, match="without pixels"):
        Scores.from_confusion(np.zeros((3, 3), np.int64))
