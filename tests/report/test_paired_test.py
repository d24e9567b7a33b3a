"""McNemar's test and Holm's correction, against a case by hand, SciPy and statsmodels."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests

from snnquant.report.paired_test import FEW, holm, mcnemar

COUNTS = st.integers(0, 60)


def right(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = (both, first, second, neither)
    pairs = np.repeat([[True, True], [True, False], [False, True], [False, False]], counts, axis=0)
    return pairs[:, 0], pairs[:, 1]


def test_few_pixels_by_hand() -> None:
    found = mcnemar(*right(30, 9, 2, 4))
    assert (found.both_right, found.first_only, found.second_only, found.both_wrong) == (
        30,
        9,
        2,
        4,
    )
    assert (found.pixels, found.exact) == (45, True)
    # Two tails of 11 tosses of a coin with at most 2 heads.
    assert found.p == pytest.approx(2 * sum(comb(11, k) for k in range(3)) / 2**11)


def test_many_pixels_by_hand() -> None:
    found = mcnemar(*right(100, 40, 20, 3))
    assert not found.exact
    assert found.p == pytest.approx(chi2.sf(19**2 / 60, 1))


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_p_value_is_that_of_statsmodels(both: int, first: int, second: int, none: int) -> None:
    assume(first != second)  # there its correction turns no difference into one
    exact = first + second < FEW
    table = [[both, first], [second, none]]
    wanted = mcnemar_of_statsmodels(table, exact=exact, correction=True).pvalue
    assert mcnemar(*right(both, first, second, none)).p == pytest.approx(wanted, rel=1e-9)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_order_of_two_classifiers_does_not_matter(
    both: int, first: int, second: int, none: int
) -> None:
    pair = right(both, first, second, none)
    found, turned = mcnemar(*pair), mcnemar(*pair[::-1])
    assert (found.p, found.first_only) == (turned.p, turned.second_only)
    assert 0 < found.p <= 1
    assert found.pixels == both + first + second + none


@pytest.mark.parametrize("discordant", [0, 4, 40])
def test_as_many_right_is_no_difference(discordant: int) -> None:
    assert mcnemar(*right(5, discordant, discordant, 1)).p == 1


def test_pixels_must_be_the_same() -> None:
    with pytest.raises(ValueError, match=r"\(3,\) and \(4,\)"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_the_correction_is_that_of_statsmodels(values: list[float]) -> None:
    wanted = multipletests(values, method="holm")[1]
    assert holm(values) == pytest.approx(list(wanted), abs=1e-12)
