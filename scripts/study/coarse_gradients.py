"""Study: gradients through a step, of the straight-through estimators' expectation.

    python scripts/study/coarse_gradients.py [--samples 1000000] [--seeds 0 1 2 3 4]

The model of Yin et al. (arXiv 1903.05662): y = v' s(Z w) with s(x) = 1 for x > 0, else 0, Z of m
rows of Gaussian entries, loss 1/2 (y - y*)^2. Its expectation and gradients have closed forms, and
so have the expectations of the gradients that estimators of s' give; all are compared with Monte
Carlo. Then two-layer networks of quantized ReLUs learn classes in independent subspaces, which
Long et al. (arXiv 2011.11256) prove to reach perfect classification.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from snnquant.quantization.estimators import ESTIMATORS, Cells, estimate

BATCH = 100_000
ESTIMATES = ("relu", "log", "clipped_relu", "identity")


@dataclass(frozen=True)
class Model:
    """Weights v, v* [m] and w, w* [n] of the model and of its teacher.

    >>> model = Model(*(torch.tensor([1.0, 0.5]).double() for _ in range(4)))
    >>> round(model.loss().item(), 9)  # the teacher itself
    0.0
    """

    v: Tensor
    v_true: Tensor
    w: Tensor
    w_true: Tensor

    @property
    def angle(self) -> Tensor:
        """Angle between w and w*."""
        return (unit(self.w) @ unit(self.w_true)).clamp(-1, 1).arccos()

    def _kernels(self) -> tuple[Tensor, Tensor]:
        one = torch.eye(len(self.v), dtype=self.v.dtype)
        return one + 1, (1 - 2 * self.angle / math.pi) * one + 1

    def loss(self) -> Tensor:
        """Return the expected loss."""
        j, k = self._kernels()
        v, true = self.v, self.v_true
        return (v @ j @ v - 2 * v @ k @ true + true @ j @ true) / 8

    def grad_v(self) -> Tensor:
        """Return the loss's gradient by v."""
        j, k = self._kernels()
        return (j @ self.v - k @ self.v_true) / 4

    def grad_w(self) -> Tensor:
        """Return the loss's gradient by w, which no sample has: the step's derivative is 0."""
        across = self.w_true - (self.w_true @ unit(self.w)) * unit(self.w)
        return -(self.v @ self.v_true) / (2 * math.pi * self.w.norm()) * unit(across)

    def coarse_relu(self) -> Tensor:
        """Return the expected gradient by w that the ReLU's derivative in place of s' gives."""
        v, true = self.v, self.v_true
        h = v @ v + v.sum() ** 2 - v.sum() * true.sum() + v @ true
        # cos(angle / 2) times the unit vector between w and w*, also for opposite ones.
        between = (unit(self.w) + unit(self.w_true)) / 2
        return (h / 2 * unit(self.w) - v @ true * between) / math.sqrt(2 * math.pi)

    def coarse_identity(self) -> Tensor:
        """Return the expected gradient by w that the derivative 1 gives."""
        v, true = self.v, self.v_true
        return (v @ v * unit(self.w) - v @ true * unit(self.w_true)) / math.sqrt(2 * math.pi)

    def correlation(self) -> Tensor:
        """Return the product of `coarse_relu` and `grad_w`, which is never negative."""
        product = self.angle.sin() * (self.v @ self.v_true) ** 2
        return product / (2 * math.sqrt(2 * math.pi) ** 3 * self.w.norm())

    def sampled(self, samples: int, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Return Monte Carlo means, and their standard errors, by name.

        Names are loss, grad_v and those of estimators: coarse gradients by w.
        """
        generator = torch.Generator().manual_seed(seed)
        sums: dict[str, tuple[Tensor, Tensor]] = {}
        for size in batches(samples):
            z = torch.randn(size, len(self.v), len(self.w), generator=generator, dtype=self.v.dtype)
            for name, values in self._of_samples(z).items():
                first, second = sums.get(name, (torch.zeros(()), torch.zeros(())))
                sums[name] = (first + values.sum(0), second + values.square().sum(0))
        means = {name: first / samples for name, (first, _) in sums.items()}
        return {
            name: (means[name], ((second / samples - means[name] ** 2) / samples).sqrt())
            for name, (_, second) in sums.items()
        }

    def _of_samples(self, z: Tensor) -> dict[str, Tensor]:
        """Return loss, gradient by v and coarse gradients by w of each sample [N, m, n]."""
        current = z @ self.w
        fired = (current > 0).to(z.dtype)
        gap = fired @ self.v - (z @ self.w_true > 0).to(z.dtype) @ self.v_true
        found = {"loss": gap[:, None] ** 2 / 2, "grad_v": gap[:, None] * fired}
        for name in ESTIMATES:
            slope = ESTIMATORS.get(name)(step_cells(current), torch.ones_like(current))
            found[name] = torch.einsum("nm,nmk->nk", gap[:, None] * self.v * slope, z)
        return found


def step_cells(value: Tensor) -> Cells:
    """Return the cells of the step with levels 0 and 1, which ends its range at 1."""
    return Cells(value, (value > 0).to(value.dtype) - 0.5, (value > 0) & (value <= 1), 1)


def batches(samples: int) -> Iterator[int]:
    """Yield sizes of at most `BATCH` that add up to `samples`."""
    for start in range(0, samples, BATCH):
        yield min(BATCH, samples - start)


def unit(vector: Tensor) -> Tensor:
    """Return a vector of length 1 in the same direction."""
    return vector / vector.norm()


def random_model(seed: int, m: int = 4, n: int = 6) -> Model:
    """Return a model and teacher of Gaussian weights, v of m and w of n entries, float64."""
    generator = torch.Generator().manual_seed(seed)
    return Model(*(torch.randn(k, generator=generator, dtype=torch.float64) for k in (m, m, n, n)))


def closed_forms(model: Model, samples: int, seed: int) -> dict[str, tuple[float, float]]:
    """Compare Monte Carlo with each closed form.

    Returns:
        By name, the relative deviation and the largest one of an entry in standard errors.
    """
    found = model.sampled(samples, seed)
    forms = {
        "loss": model.loss(),
        "grad_v": model.grad_v(),
        "relu": model.coarse_relu(),
        "identity": model.coarse_identity(),
    }
    gaps = {name: found[name][0] - form for name, form in forms.items()}
    return {
        name: ((gap.norm() / forms[name].norm()).item(), (gap / found[name][1]).abs().max().item())
        for name, gap in gaps.items()
    }


def correlations(draws: int, samples: int = BATCH) -> dict[str, float]:
    """Return the share of random models at which a coarse gradient correlates positively.

    `relu` and `identity` are exact; others are Monte Carlo means.
    """
    positive = dict.fromkeys(ESTIMATES, 0)
    for seed in range(draws):
        model = random_model(seed)
        truth = model.grad_w()
        found = {name: mean for name, (mean, _) in model.sampled(samples, seed).items()}
        found |= {"relu": model.coarse_relu(), "identity": model.coarse_identity()}
        for name in ESTIMATES:
            positive[name] += int((found[name] @ truth).item() > 0)
    return {name: count / draws for name, count in positive.items()}


def at_the_minima(model: Model) -> dict[str, tuple[float, float]]:
    """Return the lengths of the coarse gradients at the minimum and at the spurious one.

    There w points along w* and against it; v is the best one each time.
    """
    one = torch.eye(len(model.v), dtype=model.v.dtype)
    v = torch.linalg.solve(one + 1, (torch.ones_like(one) - one) @ model.v_true)
    places = (
        Model(model.v_true, model.v_true, model.w_true, model.w_true),
        Model(v, model.v_true, -model.w_true, model.w_true),
    )
    return {
        "relu": (places[0].coarse_relu().norm().item(), places[1].coarse_relu().norm().item()),
        "identity": (
            places[0].coarse_identity().norm().item(),
            places[1].coarse_identity().norm().item(),
        ),
    }


@dataclass(frozen=True)
class Subspaces:
    """Points of classes in independent random subspaces, and the network that learns them.

    The hidden layer's weights learn; the second layer is fixed and adds each class's own neurons.
    """

    classes: int = 5
    dimension: int = 3
    neurons: int = 8
    """Hidden neurons per class."""
    bits: int = 4
    """Bits of the quantized ReLU, levels 0 to 2^bits - 1."""

    @property
    def inputs(self) -> int:
        """Dimension of the points: twice that of all subspaces."""
        return 2 * self.classes * self.dimension

    def points(self, count: int, seed: int, draw: int) -> tuple[Tensor, Tensor]:
        """Return points [N, n], 1 to 2 long, and classes [N]; `seed` sets the subspaces."""
        size = self.classes * self.dimension, self.inputs
        basis = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        generator = torch.Generator().manual_seed(1000 + draw)
        classes = torch.randint(self.classes, (count,), generator=generator)
        inner = torch.randn(count, self.dimension, generator=generator)
        spread = torch.zeros(count, self.classes, self.dimension)
        spread[torch.arange(count), classes] = inner
        points = spread.flatten(1) @ basis
        length = 1 + torch.rand(count, 1, generator=generator)
        return length * points / points.norm(dim=1, keepdim=True), classes

    def logits(self, weight: Tensor, points: Tensor, name: str) -> Tensor:
        """Return the logits [N, classes] with an estimator's gradient."""
        current, high = points @ weight.T, 2**self.bits - 1
        with torch.no_grad():
            level = current.round()
            inside = (level >= 0) & (level <= high)
            cells = Cells(current, current - level, inside, high)
        active = estimate(current, level.clamp(0, high), cells, ESTIMATORS.get(name))
        return active.view(-1, self.classes, self.neurons).sum(2)

    def train(
        self, name: str, seed: int, steps: int, rate: float = 0.3
    ) -> tuple[float, float, int]:
        """Train by gradient descent; return the shares right, old and new points, and the steps.

        The loss is the multi-class hinge; training ends where it is 0 on all points.
        """
        points, classes = self.points(1000, seed, 0)
        generator = torch.Generator().manual_seed(seed)
        size = self.classes * self.neurons, self.inputs
        weight = torch.randn(size, generator=generator).requires_grad_()
        step, own = 0, torch.nn.functional.one_hot(classes, self.classes).bool()
        while step < steps:
            step += 1
            logits = self.logits(weight, points, name)
            others = logits.masked_fill(own, -torch.inf).amax(1)
            loss = (1 - logits[own] + others).clamp(min=0).mean()
            if loss.item() == 0:
                break
            (gradient,) = torch.autograd.grad(loss, weight)
            with torch.no_grad():
                weight -= rate * gradient
        shares = [
            (self.logits(weight, x, name).argmax(1) == truth).double().mean().item()
            for x, truth in ((points, classes), self.points(2000, seed, 1))
        ]
        return shares[0], shares[1], step


def rows(title: str, headings: list[str], cells: list[list[str]]) -> str:
    """Return a table in Markdown under its title."""
    lines = [f"## {title}", "", f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in cells), ""])


def main() -> None:
    """Print the four tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000, help="of Monte Carlo")
    parser.add_argument("--draws", type=int, default=50, help="random models for the signs")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=2000, help="of gradient descent")
    options = parser.parse_args()
    deviations = [closed_forms(random_model(seed), options.samples, seed) for seed in options.seeds]
    cells = [
        [name, *(f"{max(found[name][i] for found in deviations):.{4 - 3 * i}f}" for i in (0, 1))]
        for name in deviations[0]
    ]
    headings = ["form", "largest relative deviation", "in standard errors"]
    print(rows("Closed forms", headings, cells), flush=True)
    shares = correlations(options.draws)
    lengths = at_the_minima(random_model(0))
    print(
        rows(
            "Signs",
            ["estimator", "models with a positive correlation, %"],
            [[name, f"{100 * share:.0f}"] for name, share in shares.items()],
        )
    )
    print(
        rows(
            "Minima",
            ["estimator", "length at the minimum", "at the spurious one"],
            [[name, *(f"{x:.4f}" for x in pair)] for name, pair in lengths.items()],
        )
    )
    learnt = []
    for name in ESTIMATES:
        found = [Subspaces().train(name, seed, options.steps) for seed in options.seeds]
        means = [f"{100 * statistics.fmean(run[i] for run in found):.2f}" for i in (0, 1)]
        learnt.append([name, *means, f"{max(run[2] for run in found)}"])
    headings = ["estimator", "points right, %", "new points right, %", "steps at most"]
    print(rows("Subspaces", headings, learnt))


if __name__ == "__main__":
    main()
