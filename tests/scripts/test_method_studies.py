"""Tests of the studies of estimators, coarse gradients and weight quantizers."""

from __future__ import annotations

import copy
import math
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from snnquant.quantization import quantize
from snnquant.quantization.estimators import ESTIMATORS, ste
from snnquant.quantization.methods.bcgd import BCGD

STUDIES = Path(__file__).parents[2] / "scripts" / "study"


def study(name: str) -> ModuleType:
    """Import a study as a module."""
    if name not in sys.modules:
        sys.path.insert(0, str(STUDIES))
        spec = spec_from_file_location(name, STUDIES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="module")
def equivalence() -> ModuleType:
    return study("ste_equivalence")


@pytest.fixture(scope="module")
def coarse() -> ModuleType:
    return study("coarse_gradients")


COSINE = ESTIMATORS.get("cosine")
WEIGHTS = torch.linspace(-0.493, 0.491, 197, dtype=torch.float64)


def test_the_cosines_alpha_and_move_have_closed_forms(equivalence: ModuleType) -> None:
    """The integral of ds / (1 + a cos(2 pi s)) is an arc tangent."""
    theory = equivalence.Equivalence(COSINE)
    assert theory.alpha == pytest.approx(math.sqrt(1 - 0.8**2), abs=1e-6)
    steps = WEIGHTS / equivalence.STEP
    inner = torch.atan(math.sqrt(0.2 / 1.8) * torch.tan(math.pi * (steps - steps.round())))
    expected = (steps.round() + inner / math.pi) * equivalence.STEP
    torch.testing.assert_close(theory.moved(WEIGHTS), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["ste", "cosine", "tanh", "ewgs"])
def test_the_move_keeps_boundaries_and_codes(equivalence: ModuleType, name: str) -> None:
    theory, step = equivalence.Equivalence(ESTIMATORS.get(name)), equivalence.STEP
    moved = theory.moved(WEIGHTS)
    assert torch.equal((moved / step).round(), (WEIGHTS / step).round())
    assert (moved.diff() > 0).all()
    for side in (-1e-9, 1e-9):
        boundary = torch.tensor([2.5, -0.5], dtype=torch.float64) * step + side
        torch.testing.assert_close(theory.moved(boundary), boundary, rtol=0, atol=1e-7)


def test_the_moves_slope_is_alpha_over_the_estimator(equivalence: ModuleType) -> None:
    """A step of w is then alpha times that of M(w), to first order: the theorem's heart."""
    theory, h = equivalence.Equivalence(COSINE), 1e-4
    slope = (theory.moved(WEIGHTS + h) - theory.moved(WEIGHTS - h)) / (2 * h)
    steps = WEIGHTS / equivalence.STEP
    factor = 1 + 0.8 * torch.cos(2 * math.pi * steps)
    away = ((steps - steps.round()).abs() - 0.5).abs() > 0.05  # the slope turns at a boundary
    torch.testing.assert_close(slope[away], (theory.alpha / factor)[away], rtol=1e-3, atol=0)


def test_the_plain_estimator_is_its_own_equivalent(equivalence: ModuleType) -> None:
    theory = equivalence.Equivalence(ste)
    assert theory.alpha == pytest.approx(1)
    torch.testing.assert_close(theory.moved(WEIGHTS), WEIGHTS)


def test_an_estimator_that_reaches_zero_is_refused(equivalence: ModuleType) -> None:
    with pytest.raises(SystemExit, match="found one that reaches 0"):
        equivalence.Equivalence(ESTIMATORS.get("polynomial"))


def test_alpha_and_move_make_two_trainings_one(equivalence: ModuleType) -> None:
    rows = [equivalence.Row("", 0.1, 60, adjusted=adjusted) for adjusted in (True, False)]
    with_theory, without = (equivalence.compare(row, 0, COSINE) for row in rows)
    assert with_theory["misalignment"] < without["misalignment"] / 20
    assert with_theory["equal_codes"] > 0.993
    assert with_theory["loss_gap"] < 0.02 < without["loss_gap"]


def test_adams_condition_is_printed(equivalence: ModuleType) -> None:
    rows = {row.name: row for row in equivalence.ROWS}
    assert equivalence.condition(rows["Adam, beta2 0.999"]) == "1000 : 1000"
    assert equivalence.condition(rows["Adam, beta2 0.9"]) == "1000 : 10"
    assert equivalence.condition(rows["SGD, unadjusted"]) == "-"


def test_the_closed_gradients_are_differences_of_the_loss(coarse: ModuleType) -> None:
    model = coarse.random_model(1)
    for name, gradient in (("v", model.grad_v()), ("w", model.grad_w())):
        start, found = getattr(model, name), []
        for unit in torch.eye(len(start), dtype=torch.float64):
            ends = [
                coarse.Model(**{**vars(model), name: start + h * unit}).loss().item()
                for h in (1e-6, -1e-6)
            ]
            found.append((ends[0] - ends[1]) / 2e-6)
        torch.testing.assert_close(gradient, torch.tensor(found).double(), rtol=1e-6, atol=1e-8)


def test_monte_carlo_agrees_with_the_closed_forms(coarse: ModuleType) -> None:
    deviations = coarse.closed_forms(coarse.random_model(2), samples=200_000, seed=0)
    assert deviations.keys() == {"loss", "grad_v", "relu", "identity"}
    relative, in_standard_errors = zip(*deviations.values(), strict=True)
    assert max(relative) < 0.03, deviations
    assert max(in_standard_errors) < 4, deviations


def test_the_relu_correlates_with_the_true_gradient(coarse: ModuleType) -> None:
    for seed in range(200):
        model = coarse.random_model(seed, m=3 + seed % 4, n=2 + seed % 7)
        product = model.coarse_relu() @ model.grad_w()
        torch.testing.assert_close(product, model.correlation(), rtol=1e-8, atol=1e-12)
        assert product > 0


def test_only_the_identity_leaves_a_spurious_minimum(coarse: ModuleType) -> None:
    for seed in range(10):
        lengths = coarse.at_the_minima(coarse.random_model(seed))
        assert max(lengths["relu"]) < 1e-12
        assert lengths["identity"][0] < 1e-12 < 1e-6 < lengths["identity"][1]


@pytest.mark.parametrize("name", ["relu", "log", "clipped_relu"])
def test_independent_subspaces_are_classified_perfectly(coarse: ModuleType, name: str) -> None:
    task = coarse.Subspaces(classes=3, dimension=2, neurons=6)
    right, fresh, steps = task.train(name, seed=0, steps=600)
    assert right == 1
    assert fresh > 0.99
    assert steps < 600


def test_the_identity_learns_no_subspaces(coarse: ModuleType) -> None:
    task = coarse.Subspaces(classes=3, dimension=2, neurons=6)
    assert task.train("identity", seed=0, steps=200)[0] < 0.8


@pytest.mark.slow
def test_binary_weights_learn_digits_and_strong_blending_hurts() -> None:
    """As measured over five seeds: the same for small rho, points lost for 0.1."""
    digits = study("digits")
    start = digits.trained(0)
    found: dict[float, float] = {}
    for rho in (0.0, 1e-5, 0.1):
        config = BCGD(blending=rho)
        network = quantize(copy.deepcopy(start), config)
        rules = [make(network) for make in config.plan().rules]
        digits.train(network, 0, epochs=60, rate=0.03, rules=rules)
        found[rho] = digits.accuracy(network)
    assert found[1e-5] == pytest.approx(found[0.0], abs=0.01)
    assert found[1e-5] > 0.955
    assert found[0.1] < found[1e-5] - 0.01


def test_error_table_matches_the_quantizers() -> None:
    methods = study("weight_methods")
    assert methods.relative_error(4, "exact") == pytest.approx(0.040, rel=0.04)
    assert methods.spread([0.5, 0.7]) == "60.0 ± 14.1"
