"""Figures of the page against other libraries and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from snnquant.report.class_table import class_rows


def test_figures_by_class_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(1)
    truth = draw.integers(0, 5, 400)
    found = np.where(draw.random(400) < 0.6, truth, draw.integers(0, 5, 400))
    table = sklearn_metrics.confusion_matrix(truth, found)
    rows = class_rows(table, list("abcde"))
    users, producers, f1, support = sklearn_metrics.precision_recall_fscore_support(truth, found)
    assert [row.producers for row in rows] == pytest.approx(producers)
    assert [row.users for row in rows] == pytest.approx(users)
    assert [row.f1 for row in rows] == pytest.approx(f1)
    assert [row.support for row in rows] == support.tolist()
    shared = sklearn_metrics.jaccard_score(truth, found, average=None)
    assert [row.iou for row in rows] == pytest.approx(shared)


def test_a_class_without_pixels_has_no_share_and_one_without_errors_no_confusion() -> None:
    empty, right = class_rows(np.array([[0, 0], [0, 3]]), ["a", "b"])
    assert (empty.producers, empty.users, empty.f1, empty.iou) == (None, None, None, None)
    assert (right.producers, right.confused, right.confused_share) == (1, "", None)


def test_a_pixel_is_decided_from_the_step_on_which_its_class_stays(views) -> None:
    first, second, last = ([1, 1, 2, 2], [1, 2, 1, 2], [1, 1, 1, 1])
    shape = views.scene.labels.shape
    maps = [np.resize(np.array(classes), shape) for classes in (first, second, last)]
    maps[2][0, 0] = 0  # without data
    steps = replace(views, by_step=tuple(maps)).steps
    assert steps is not None
    assert steps.ravel()[:8].tolist() == [0, 3, 2, 3, 1, 3, 2, 3]


def test_reliability_counts_every_test_pixel_and_perfect_maps_lie_above(views) -> None:
    bins = views.reliability()
    assert sum(number for _, _, number in bins) == len(views.split.test)
    assert all(0 <= accuracy <= 1 for _, accuracy, _ in bins)
    perfect = replace(views, smoothed=views.scene.labels).reliability()
    assert {accuracy for _, accuracy, _ in perfect} == {1.0}
