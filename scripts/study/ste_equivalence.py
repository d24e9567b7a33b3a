"""Study: an estimator of rounding against the plain straight-through one, as a theorem predicts.

    python scripts/study/ste_equivalence.py [--estimator cosine] [--seeds 0 1 2] [--quick]

Schoenbauer et al. (arXiv 2405.05171): on a fixed uniform grid with step D, training by SGD with an
estimator e from w0 is training with the straight-through estimator, the learning rate times alpha,
from M(w0):

    alpha = D / integral over a cell of ds / e(s)
    M(w) = b + alpha * integral from b to w of ds / e(s)      b: a boundary of w's cell

M keeps boundaries, so that codes change at the same steps. With Adam nothing is to be changed, if
its second moment forgets faster than a weight crosses a cell: D / eta well above 1 / (1 - beta2).

Networks 64-64-64-10 learn scikit-learn's digits, all 1,200 training images per step. Every row and
seed is kept in docs/results/methods/ste_equivalence.jsonl and not computed again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from snnquant.quantization.estimators import ESTIMATORS, Cells, Estimator, fake_quantize, ste
from snnquant.quantization.grids import Grid

sys.path.insert(0, str(Path(__file__).parent))
from digits import digits, mlp
from records import Records

FILE = Path("docs/results/methods/ste_equivalence.jsonl")
STEP = 0.1
"""Step of the grid, D."""
SAMPLES = 4001
"""Points of a cell at which an estimator is integrated."""


@dataclass(frozen=True)
class Row:
    """Pair of trainings that the theorem compares."""

    name: str
    rate: float
    steps: int
    adjusted: bool = False
    """The straight-through training has the rate times alpha and starts from M(w0)."""
    beta2: float | None = None
    """Adam's decay of the second moment; None for SGD."""


ROWS = (
    Row("SGD, alpha and M", 0.1, 300, adjusted=True),
    Row("SGD, unadjusted", 0.1, 300),
    Row("SGD, alpha and M, slow", 0.01, 3000, adjusted=True),
    Row("Adam, beta2 0.9", 1e-4, 2000, beta2=0.9),
    Row("Adam, beta2 0.999", 1e-4, 2000, beta2=0.999),
)


class Equivalence:
    """Rate and start of the straight-through training that an estimator is equivalent to.

    >>> from snnquant.quantization.estimators import ESTIMATORS
    >>> round(Equivalence(ESTIMATORS.get("cosine")).alpha, 4)  # sqrt(1 - 0.8^2)
    0.6
    """

    def __init__(self, estimator: Estimator) -> None:
        position = torch.linspace(-0.5, 0.5, SAMPLES, dtype=torch.float64)
        inside = torch.ones_like(position, dtype=torch.bool)
        factor = estimator(Cells(position, position, inside, 0), torch.ones_like(position))
        if not (factor > 0).all():
            raise SystemExit("--estimator: found one that reaches 0, expected it above 0")
        inverse = 1 / factor
        steps = (inverse[1:] + inverse[:-1]) / 2 / (SAMPLES - 1)
        travelled = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])
        self.alpha = 1 / travelled[-1].item()
        self._position, self._moved = position.numpy(), (self.alpha * travelled - 0.5).numpy()

    def moved(self, weight: Tensor) -> Tensor:
        """Return M of a weight, same shape and dtype."""
        steps = weight.double() / STEP
        level = steps.round()
        inner = np.interp((steps - level).numpy(), self._position, self._moved)
        return ((level + torch.from_numpy(inner)) * STEP).to(weight.dtype)


class OnGrid(nn.Module):
    """Weight on multiples of `STEP`, far from any clipping."""

    def __init__(self, estimator: Estimator) -> None:
        super().__init__()
        self.estimator = estimator
        self.grid = Grid(torch.full((1, 1), STEP), torch.zeros(1, 1), -1000, 1000)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight [K, C] on the grid."""
        return fake_quantize(weight, self.grid, self.estimator)


def network(seed: int, estimator: Estimator) -> nn.Sequential:
    """Return a quantized network 64-64-64-10 with ReLU."""
    layers = mlp(seed)
    for layer in layers:
        if isinstance(layer, nn.Linear):
            parametrize.register_parametrization(layer, "weight", OnGrid(estimator))
    return layers


def latent(layers: nn.Sequential) -> list[Tensor]:
    """Return the weights under the quantizers."""
    return [p for name, p in layers.named_parameters() if name.endswith("original")]


def optimizer(layers: nn.Sequential, row: Row, rate: float) -> torch.optim.Optimizer:
    """Return the optimizer of a training; only weights have the rate, biases stay at the row's."""
    weights = latent(layers)
    others = [p for name, p in layers.named_parameters() if not name.endswith("original")]
    groups = [{"params": weights, "lr": rate}, {"params": others, "lr": row.rate}]
    if row.beta2 is None:
        return torch.optim.SGD(groups)
    return torch.optim.Adam(groups, betas=(0.9, row.beta2))


def compare(row: Row, seed: int, estimator: Estimator) -> dict[str, float]:
    """Train both networks side by side and return how far they end apart.

    Returns:
        misalignment: mean |M(w) - w'| / D over weights (without M where the row is unadjusted);
        equal_codes: share; loss_gap: mean |loss - loss'| over the steps.
    """
    theory, (images, classes) = Equivalence(estimator), digits()[0]
    move: Callable[[Tensor], Tensor] = theory.moved if row.adjusted else Tensor.clone
    pair = network(seed, estimator), network(seed, ste)
    with torch.no_grad():
        for mine, plain in zip(latent(pair[0]), latent(pair[1]), strict=True):
            plain.copy_(move(mine))
    rates = row.rate, row.rate * (theory.alpha if row.adjusted else 1)
    optimizers = [optimizer(*each) for each in zip(pair, (row, row), rates, strict=True)]
    gaps = []
    for _ in range(row.steps):
        losses = []
        for layers, step in zip(pair, optimizers, strict=True):
            loss = functional.cross_entropy(layers(images), classes)
            step.zero_grad()
            loss.backward()
            step.step()
            losses.append(loss.item())
        gaps.append(abs(losses[0] - losses[1]))
    weights = [torch.cat([w.detach().flatten() for w in latent(layers)]) for layers in pair]
    codes = [(w / STEP).round() for w in weights]
    return {
        "misalignment": ((move(weights[0]) - weights[1]).abs().mean() / STEP).item(),
        "equal_codes": (codes[0] == codes[1]).double().mean().item(),
        "loss_gap": statistics.fmean(gaps),
    }


def condition(row: Row) -> str:
    """Return D / eta against 1 / (1 - beta2), which it has to exceed by far under Adam."""
    if row.beta2 is None:
        return "-"
    return f"{STEP / row.rate:.0f} : {1 / (1 - row.beta2):.0f}"


def table(found: dict[str, list[dict[str, Any]]], rows: Sequence[Row]) -> str:
    """Return the table in Markdown, mean ± standard deviation over seeds."""

    def cell(runs: list[dict[str, Any]], key: str, factor: float, places: int) -> str:
        values = [factor * run[key] for run in runs]
        spread = f" ± {statistics.stdev(values):.{places}f}" if len(values) > 1 else ""
        return f"{statistics.fmean(values):.{places}f}{spread}"

    lines = [
        "| training | rate, steps | D / eta : 1 / (1 - beta2) | misalignment / D | codes equal, % "
        "| loss gap |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        runs = found[row.name]
        cells = [row.name, f"{row.rate:g}, {row.steps}", condition(row)]
        cells += [cell(runs, "misalignment", 1, 4), cell(runs, "equal_codes", 100, 1)]
        lines.append("| " + " | ".join([*cells, cell(runs, "loss_gap", 1, 4)]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Compute the pairs that are missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--estimator", default="cosine", help="name of an estimator above 0")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="SGD at rate 0.1 only, seconds")
    options = parser.parse_args()
    estimator, records = ESTIMATORS.get(options.estimator), Records(FILE)
    rows = ROWS[:2] if options.quick else ROWS
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for seed in options.seeds:
            name = f"{options.estimator}, {row.name}, seed {seed}"
            if name not in records:
                records.add(name, compare(row, seed, estimator))
            found.setdefault(row.name, []).append(records.get(name) or {})
    print(table(found, rows))


if __name__ == "__main__":
    main()
