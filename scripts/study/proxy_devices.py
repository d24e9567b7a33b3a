"""Study of proxy devices: whether the best network for one device is that for another.

    python scripts/study/proxy_devices.py [--designs 200] [--samples 15 50] [--seed 0]

Lu et al. (arXiv 2111.01203): two devices whose costs of sampled designs rank alike (Spearman's
correlation near 1) have the same best designs; where they are not, a linear predictor of the costs
on one, the proxy, is adapted to the other from a few samples.

Designs are SNNs of the shape of cnn1x1h for Indian Pines: 2 to 8 bits per layer, three widths each,
1 to 8 time steps; spikes at the rate of `RATE`, an assumption that no training stands behind.
Devices are the cost tables of this package and the chips of pim_sim, memory included, with all
layers on multipliers and with all after the first in memory. Nothing is trained: in the Pareto sets
a random increasing function of bits, widths and steps stands in for accuracy.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from pim_sim import load_chip, price_network
from snnquant.config import ModelConfig, QuantizationConfig
from snnquant.energy import LayerActivity, Operation, Width, load_costs, to_workload
from snnquant.energy.elementwise import Elementwise
from snnquant.models import build_model
from snnquant.nn import LayerInfo, layer_table

Array: TypeAlias = NDArray[np.float64]
BANDS, CLASSES, WINDOW = 200, 16, 5
RATE = 0.15
"""Spikes per neuron per step, of every layer."""
BITS = (2, 3, 4, 6, 8)
WIDTHS = ((8, 16, 32), (32, 64, 96), (64, 128, 192))
STEPS = (1, 2, 4, 8)
POTENTIAL_BITS = 16
CHIPS = ("edge_22nm", "edge_65nm")
ALIKE = 0.9
"""Correlation above which devices are taken for alike."""
PENALTIES = (0.0, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class Design:
    """Choices of a network, each the index of a value."""

    bits: tuple[int, ...]
    widths: tuple[int, ...]
    steps: int

    def features(self) -> Array:
        """Return the choices, one-hot."""
        sizes = [len(BITS)] * len(self.bits) + [len(row) for row in WIDTHS] + [len(STEPS)]
        chosen = (*self.bits, *self.widths, self.steps)
        return np.concatenate([np.eye(n)[i] for n, i in zip(sizes, chosen, strict=True)])

    def quality(self, weights: Array) -> float:
        """Return the stand-in for accuracy: a weighted sum of the logarithms of all choices."""
        values = [BITS[i] for i in self.bits] + [STEPS[self.steps]]
        values += [row[i] for row, i in zip(WIDTHS, self.widths, strict=True)]
        return float(weights @ np.log(values))


def random_designs(number: int, seed: int) -> list[Design]:
    """Return different designs."""
    draw, found = np.random.default_rng(seed), dict[Design, None]()
    while len(found) < number:
        bits = tuple(int(i) for i in draw.integers(len(BITS), size=len(WIDTHS) + 1))
        widths = tuple(int(draw.integers(len(row))) for row in WIDTHS)
        found[Design(bits, widths, int(draw.integers(len(STEPS))))] = None
    return list(found)


def activity(design: Design, infos: Sequence[LayerInfo]) -> list[LayerActivity]:
    """Return the operations of a design whose layers are `infos`."""
    steps, rows = STEPS[design.steps], []
    for number, (info, chosen) in enumerate(zip(infos, design.bits, strict=True)):
        spiking = number > 0
        spikes = RATE * info.mac * steps if spiking else 0.0
        updates = math.prod(info.output_shape) * steps if number < len(infos) - 1 else 0
        potential = Width(POTENTIAL_BITS).bits
        neuron = {
            Operation(kind, potential, potential): float(times * updates)  # type: ignore[arg-type]
            for kind, times in (("add", 2), ("compare", 1))
        }
        rows.append(
            LayerActivity(
                info,
                spiking,
                RATE if spiking else 1.0,
                0.0 if spiking else float(info.mac),
                spikes,
                spikes,
                bits=BITS[chosen],
                input=Width(1) if spiking else Width(8),
                elementwise=(Elementwise(f"lif{number}", neuron),),
            )
        )
    return rows


def costs_by_device(designs: Sequence[Design]) -> dict[str, Array]:
    """Return the cost [N] of designs on every device, in its own unit."""
    tables, chips = load_costs(), [load_chip(name) for name in CHIPS]
    found: dict[str, list[float]] = {}
    shapes: dict[tuple[int, ...], list[LayerInfo]] = {}
    for design in designs:
        widths = tuple(row[i] for row, i in zip(WIDTHS, design.widths, strict=True))
        if widths not in shapes:
            with torch.device("meta"):
                config = ModelConfig(name="cnn1x1h", window=WINDOW, widths=widths)
                patch = torch.empty(1, 1, BANDS, WINDOW, WINDOW)
                shapes[widths] = layer_table(build_model(config, BANDS, CLASSES), patch)
        rows = activity(design, shapes[widths])
        for table in tables:
            found.setdefault(table.name, []).append(table.of(rows))
        steps = STEPS[design.steps]
        workload = to_workload("design", rows, QuantizationConfig(), steps, pixel_bits=8)
        for chip in chips:
            price = price_network(workload, chip).total.energy_pj
            found.setdefault(chip.name, []).append(price)
            if chip.macro is not None:
                held = [layer.name for layer in workload.layers[1:]]
                price = price_network(workload, chip, held).total.energy_pj
                found.setdefault(f"{chip.name}, in memory", []).append(price)
    return {name: np.array(values) for name, values in found.items()}


def spearman(first: Array, second: Array) -> float:
    """Return Spearman's rank correlation of two costs [N].

    >>> spearman(np.array([1.0, 2.0, 5.0]), np.array([3.0, 4.0, 9.0]))
    1.0
    """
    return round(float(np.corrcoef(rankdata(first), rankdata(second))[0, 1]), 12)


def fitted(features: Array, values: Array) -> Array:
    """Return the weights [P + 1] of a linear predictor, the last its constant, least squares."""
    ones = np.ones((len(features), 1))
    weights: Array = np.linalg.lstsq(np.hstack([features, ones]), values, rcond=None)[0]
    return weights


def adapted(
    weights: Array, features: Array, values: Array, penalty: float, rounds: int = 100
) -> Array:
    """Adapt a predictor x'w + constant to another device: x'(w (a + b)) + c, with few b not 0.

    Minimises the mean squared error plus `penalty` |b|_1 by coordinates; a and c are free.

    Args:
        weights: Predictor [P + 1] of the proxy.
        features: Samples [m, P] of designs.
        values: Costs [m] on the other device.
        penalty: Weight of |b|_1.
        rounds: Passes over all coordinates, at most.

    Returns:
        The predictor [P + 1] of the other device.
    """
    own = features * weights[:-1]
    columns = np.hstack([own.sum(1, keepdims=True), np.ones((len(own), 1)), own])
    squares, m = (columns**2).sum(0), len(own)
    found = np.zeros(columns.shape[1])
    found[:2] = np.linalg.lstsq(columns[:, :2], values, rcond=None)[0]
    rest = values - columns @ found
    for _ in range(rounds):
        before = found.copy()
        for k in np.flatnonzero(squares > 0):
            free = squares[k] * found[k] + columns[:, k] @ rest
            soft = 0.0 if k < 2 else penalty * m / 2
            new = np.sign(free) * max(abs(free) - soft, 0) / squares[k]
            rest += columns[:, k] * (found[k] - new)
            found[k] = new
        if np.abs(found - before).max() < 1e-7:
            break
    scale, constant, single = found[0], found[1], found[2:]
    return np.append(weights[:-1] * (scale + single), constant)


def adapt(weights: Array, features: Array, values: Array) -> Array:
    """Adapt a predictor with the penalty whose ranks of left-out samples are best, in 5 parts."""
    parts = np.arange(len(values)) % 5

    def score(penalty: float) -> float:
        guessed = np.empty(len(values))
        for part in range(5):
            kept, out = parts != part, parts == part
            own = adapted(weights, features[kept], values[kept], penalty)
            guessed[out] = features[out] @ own[:-1] + own[-1]
        return spearman(guessed, values)

    return adapted(weights, features, values, max(PENALTIES, key=score))


def pareto(quality: Array, cost: Array) -> set[int]:
    """Return the designs that no other one beats in quality and cost."""
    found, best = set(), -math.inf
    for i in np.lexsort((-quality, cost)):
        if quality[i] > best:
            found.add(int(i))
            best = quality[i]
    return found


def shared(designs: Sequence[Design], first: Array, second: Array, draws: int = 20) -> float:
    """Return the mean share of the Pareto set for one cost that is in that for another."""
    random = np.random.default_rng(0)
    shares = []
    for _ in range(draws):
        weights = random.uniform(0, 1, size=len(WIDTHS) * 2 + 2)
        quality = np.array([design.quality(weights) for design in designs])
        sets = pareto(quality, first), pareto(quality, second)
        shares.append(len(sets[0] & sets[1]) / len(sets[0]))
    return statistics.fmean(shares)


def adaptation_rows(
    designs: Sequence[Design], costs: dict[str, Array], proxy: str, samples: int, seed: int
) -> list[list[str]]:
    """Return a row per other device: correlations with its costs, of designs not sampled."""
    features = np.array([design.features() for design in designs])
    logs = {name: np.log(values) for name, values in costs.items()}
    weights = fitted(features, logs[proxy])
    order = np.random.default_rng(seed).permutation(len(designs))
    some, others = order[:samples], order[samples:]
    rows = []
    for name, values in logs.items():
        if name == proxy:
            continue
        own = adapt(weights, features[some], values[some])
        fresh = fitted(features[some], values[some])
        guesses = [features[others] @ w[:-1] for w in (weights, own, fresh)]
        rows.append([name, *(f"{spearman(guess, values[others]):.3f}" for guess in guesses)])
    return rows


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Price the designs on every device and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--designs", type=int, default=200)
    parser.add_argument(
        "--samples", nargs="+", type=int, default=[15, 50], help="designs priced on others"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    designs = random_designs(options.designs, options.seed)
    costs = costs_by_device(designs)
    names = list(costs)
    correlation: Callable[[str, str], float] = lambda a, b: spearman(costs[a], costs[b])  # noqa: E731
    matrix = [[name, *(f"{correlation(name, other):.3f}" for other in names)] for name in names]
    print(markdown(["Spearman's correlation", *names], matrix), "\n")
    sets = [
        (correlation(a, b), 100 * shared(designs, costs[a], costs[b]), f"{a} and {b}")
        for a, b in combinations(names, 2)
    ]
    for words, rows in (
        (f"above {ALIKE}", [row for row in sets if row[0] > ALIKE]),
        (f"up to {ALIKE}", [row for row in sets if row[0] <= ALIKE]),
    ):
        shares = [share for _, share, _ in rows]
        if rows:
            least = min(rows, key=lambda row: row[1])
            mean = f"{len(rows)} pairs, {statistics.fmean(shares):.0f} % of a Pareto set shared"
            print(f"correlation {words}: {mean}, min {least[1]:.0f} ({least[2]})")
    proxy = names[0]
    heads = [f"device ({proxy} is the proxy)", "proxy", "adapted", "only its samples"]
    for samples in options.samples:
        print(f"\n{samples} samples\n")
        print(markdown(heads, adaptation_rows(designs, costs, proxy, samples, options.seed)))


if __name__ == "__main__":
    main()
