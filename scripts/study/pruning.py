"""Study: filters and weights that are removed, and bits that follow principal components.

    python scripts/study/pruning.py [--seeds 0 1 2] [--rows sampling layers filters start hybrid]

`sampling` draws input channels of a dense layer 200-64 of Gaussian weights by their sensitivities,
`filters` prunes trained networks 64-64-64-10 on scikit-learn's digits, `layers` and `start` prune
deep networks before training, `hybrid` gives bits to layers of a network of eight. Every row and
seed is kept in docs/results/methods/pruning.jsonl and not computed again.
"""

from __future__ import annotations

import argparse
import copy
import math
import statistics
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from snnquant.quantization import Calibration, Rule, layer_bits, quantize, weight_quantizer
from snnquant.quantization.binary import AllocatedWeight
from snnquant.quantization.bit_allocation import BitAllocation
from snnquant.quantization.channel_sampling import ChannelLaw, channel_sensitivities
from snnquant.quantization.edge_of_chaos import clear, draw_weights, largest, weight_scores
from snnquant.quantization.methods.filter_pruning import FilterPruning
from snnquant.quantization.methods.hybrid_net import HybridNet
from snnquant.quantization.methods.pruning_at_start import PruningAtStart
from snnquant.quantization.pruning_plans import prune_at_start

sys.path.insert(0, str(Path(__file__).parent))
from digits import TRAINING, accuracy, digits, train, trained
from records import Record, Records

FILE = Path("docs/results/methods/pruning.jsonl")
SAMPLES = (50, 100, 200, 400, 800)
CHANNELS, OUTPUTS, SEEN, POINTS = 200, 64, 256, 2000
FAILURE = 0.1
KEEP = 0.1
START_EPOCHS, FILTER_EPOCHS, BINARY_EPOCHS, EPOCHS = 20, 20, 20, 40
FILTER_RATE, FLOAT_RATE, RATE = 0.03, 0.01, 0.003
ACTIVATIONS: dict[str, tuple[type[nn.Module], float]] = {
    "tanh": (nn.Tanh, 1.0),
    "ReLU": (nn.ReLU, 2**0.5),
}
"""Activations of deep networks, with the sigma_w of their edge of chaos."""
Kind = Literal["random", "hybrid", "deterministic"]
Rescale = Literal["none", "variance", "rms"]
RESCALES: dict[str, Rescale] = {"plain": "none", "rescaled": "variance", "rms": "rms"}


def sampled(samples: int, seed: int) -> Record:
    """Draw channels and return the errors of outputs on points that no sensitivity has seen."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(CHANNELS, OUTPUTS, bias=False)
    weight = torch.randn(OUTPUTS, CHANNELS, generator=generator) / CHANNELS**0.5
    layer.weight.data = weight
    x = torch.randn(POINTS, CHANNELS, generator=generator).abs()
    found = channel_sensitivities(layer, x[:SEEN], torch.arange(CHANNELS), CHANNELS)
    law, x = ChannelLaw(found, places=1, kernel=1, failure=FAILURE), x[SEEN:]
    p = law.probabilities
    draws = torch.multinomial(p, samples, replacement=True, generator=generator)
    factors = torch.bincount(draws, minlength=CHANNELS) / (samples * p)
    parts = torch.stack([part_error(x, part.clamp(min=0), factors) for part in (weight, -weight)])
    error = ((x * factors) @ weight.T - x @ weight.T).abs() / (x @ weight.abs().T)
    return {
        "error": error.max().item(),
        "part_error": parts.max().item(),
        "bound": law.error(samples),
        "broken": int((parts > law.error(samples)).sum()),
        "tested": parts.numel(),
        "channels": int((factors > 0).sum()),
    }


def part_error(x: Tensor, part: Tensor, factors: Tensor) -> Tensor:
    """Return the relative error of every output of weights of one sign."""
    whole = x @ part.T
    return ((x * factors) @ part.T - whole).abs() / whole


@cache
def in_float(seed: int) -> nn.Module:
    """Return the network 64-64-64-10 in floating point."""
    return trained(seed)


def without_filters(kind: Kind, keep: float, seed: int) -> Record:
    """Prune the filters of a trained network; return its accuracy at once and after training."""
    network = copy.deepcopy(in_float(seed))
    config = FilterPruning(bits=8, keep=keep, kind=kind, seed=seed)
    quantize(network, config, Calibration(*digits()[0]))
    start = accuracy(network)
    train(network, seed, FILTER_EPOCHS, FILTER_RATE)
    return {
        "float": accuracy(in_float(seed)),
        "at_once": start,
        "trained": accuracy(network),
        "kept": share_left(network),
    }


def share_left(network: nn.Module) -> float:
    """Return the share of weights that are not 0."""
    weights = [layer.weight for layer in network.modules() if isinstance(layer, nn.Linear)]
    return sum(int(weight.count_nonzero()) for weight in weights) / sum(w.numel() for w in weights)


def deep(depth: int, activation: str, width: int = 100) -> nn.Sequential:
    """Return a network of `depth` dense layers, most of them 100 wide."""
    layers: list[nn.Module] = []
    for inputs in (64, *(width for _ in range(depth - 2))):
        layers += [nn.Linear(inputs, width), ACTIVATIONS[activation][0]()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def emptied(sigma_w: float, seed: int) -> Record:
    """Count the layers that lose all weights where a tenth of a tanh network's are kept."""
    network = deep(50, "tanh")
    draw_weights(network, sigma_w, 0.0, seed)
    masks = largest(weight_scores(network, *digits()[0]), KEEP)
    shares = [mask.double().mean().item() for mask in masks.values()]
    return {"empty": shares.count(0), "least": min(shares)}


def from_start(activation: str, form: str, seed: int) -> Record:
    """Prune a network of 20 layers before training; return its accuracy after training."""
    network, (x, y) = deep(20, activation), digits()[0]
    sigma_w = ACTIVATIONS[activation][1]
    draw_weights(network, sigma_w, 0.0, seed)
    if form != "dense":
        config = PruningAtStart(keep=KEEP, sigma_w=sigma_w, rescale=RESCALES[form])
        prune_at_start(network, Calibration(x, y), config)
    masks = {n: m.weight != 0 for n, m in network.named_modules() if isinstance(m, nn.Linear)}
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    order = torch.Generator().manual_seed(seed)
    for _ in range(START_EPOCHS):
        for batch in torch.randperm(TRAINING, generator=order).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
            clear(network, masks)
    return {"oa": accuracy(network), "kept": share_left(network)}


def eight_layers(seed: int) -> nn.Sequential:
    """Return a network of eight dense layers, 32 wide between images and classes."""
    layers: list[nn.Module] = []
    for inputs in (64, *(32 for _ in range(6))):
        layers += [nn.Linear(inputs, 32), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(32, 10))
    draw_weights(network, ACTIVATIONS["ReLU"][1], 0.0, seed)
    return network


@cache
def eight_in_float(seed: int) -> nn.Module:
    """Return the network of eight layers in floating point."""
    network = eight_layers(seed)
    train(network, seed, EPOCHS, FLOAT_RATE)
    return network


class Widening(Rule):
    """Widening of given layers after the epochs at one bit, a control of `BitAllocation`."""

    def __init__(self, network: nn.Module, names: list[str], bits: int) -> None:
        self.network, self.names, self.bits, self.epoch = network, names, bits, 0

    def after_epoch(self, loss: float) -> None:
        """Give the layers their bits after the last epoch at one bit."""
        self.epoch += 1
        if self.epoch == BINARY_EPOCHS:
            widen(self.network, self.names, self.bits)


def inner_layers(network: nn.Module) -> list[str]:
    """Return the layers between the first and the last."""
    return [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and isinstance(weight_quantizer(layer), AllocatedWeight)
    ]


def widen(network: nn.Module, names: list[str], bits: int) -> None:
    """Give layers more bits."""
    for name in names:
        quantizer = weight_quantizer(network.get_submodule(name))
        assert isinstance(quantizer, AllocatedWeight)
        quantizer.bits = bits


class Bits(NamedTuple):
    """Bits of the inner layers, and who gets them."""

    who: Literal["none", "significant", "chance", "all"]
    bits: int = 1


@cache
def with_bits(row: Bits, seed: int) -> Record:
    """Quantize a trained network and train it on; return accuracy and bits of inner layers."""
    network = copy.deepcopy(eight_in_float(seed))
    config = HybridNet(bits=max(row.bits, 2), binary_epochs=BINARY_EPOCHS)
    quantize(network, config, Calibration(*digits()[0]))
    names, rules = inner_layers(network), list[Rule]()
    if row.who == "all":
        widen(network, names, row.bits)
    elif row.who == "significant":
        rules = [BitAllocation(network, config)]
    elif row.who == "chance":
        count = int(with_bits(Bits("significant", row.bits), seed)["widened"])
        chosen = np.random.default_rng(seed).permutation(names)[:count]
        rules = [Widening(network, list(chosen), row.bits)]
    train(network, seed, EPOCHS, RATE, rules=rules)
    bits = [layer_bits(network)[name] for name in names]
    return {
        "float": accuracy(eight_in_float(seed)),
        "oa": accuracy(network),
        "widened": sum(found > 1 for found in bits),
        "mean_bits": statistics.fmean(bits),
    }


def in_float_longer(seed: int) -> Record:
    """Train the network of eight layers on in floating point, as long as the quantized ones."""
    network = copy.deepcopy(eight_in_float(seed))
    train(network, seed, EPOCHS, RATE)
    return {"float": accuracy(eight_in_float(seed)), "oa": accuracy(network)}


Group = dict[str, Callable[[int], Record]]


def groups() -> dict[str, Group]:
    """Return the rows of every table by name: what computes a seed's record."""
    start = [(a, form) for a in ACTIVATIONS for form in ("dense", *RESCALES)]
    bits = {
        "1 bit": Bits("none"),
        **{f"hybrid, {k} bits in significant layers": Bits("significant", k) for k in (2, 4)},
        **{f"{k} bits in as many layers by chance": Bits("chance", k) for k in (2, 4)},
        **{f"{k} bits in all": Bits("all", k) for k in (2, 4)},
    }
    return {
        "sampling": {str(m): partial(sampled, m) for m in SAMPLES},
        "layers": {f"{sigma:g}": partial(emptied, sigma) for sigma in (2, 1)},
        "filters": {
            f"{kind}, keep {keep}": partial(without_filters, kind, keep)
            for keep in (0.5, 0.2)
            for kind in get_args(Kind)
        },
        "start": {f"{a}, {form}": partial(from_start, a, form) for a, form in start},
        "hybrid": {
            "floating point": in_float_longer,
            **{title: partial(with_bits, row) for title, row in bits.items()},
        },
    }


Cell = Callable[[list[Record], str], str]


def percent(runs: list[Record], key: str) -> str:
    """Format mean and standard deviation over seeds in per cent."""
    return spread([100 * run[key] for run in runs], "{:.1f}")


def spread(values: list[float], form: str) -> str:
    """Format mean and, of two values and more, standard deviation."""
    deviation = " ± " + form.format(statistics.stdev(values)) if len(values) > 1 else ""
    return form.format(statistics.fmean(values)) + deviation


def number(form: str) -> Cell:
    """Return what formats mean and standard deviation of a key; "-" where records lack it."""
    return lambda runs, key: spread([r[key] for r in runs], form) if key in runs[0] else "-"


def total(runs: list[Record], key: str) -> str:
    """Format the sum over seeds."""
    return f"{sum(run[key] for run in runs)}"


COLUMNS: dict[str, tuple[str, dict[str, tuple[str, Cell]]]] = {
    "sampling": (
        "samples m",
        {
            "channels left": ("channels", number("{:.1f}")),
            "largest relative error": ("error", number("{:.2f}")),
            "times sqrt m": ("scaled", number("{:.1f}")),
            "of a part of one sign": ("part_error", number("{:.2f}")),
            f"bound, failure {FAILURE:g}": ("bound", number("{:.1f}")),
            "beyond the bound": ("broken", total),
            "outputs tested": ("tested", total),
        },
    ),
    "layers": (
        "sigma_w",
        {
            "empty layers of 50": ("empty", number("{:.1f}")),
            "least share kept, %": ("least", percent),
        },
    ),
    "filters": (
        "filters",
        {
            "weights left, %": ("kept", percent),
            "in floating point, %": ("float", percent),
            "pruned, %": ("at_once", percent),
            "trained, %": ("trained", percent),
        },
    ),
    "start": (
        "20 layers",
        {"weights left, %": ("kept", percent), "trained, %": ("oa", percent)},
    ),
    "hybrid": (
        "inner layers",
        {
            "layers widened of 6": ("widened", number("{:.1f}")),
            "mean bits": ("mean_bits", number("{:.2f}")),
            "before, %": ("float", percent),
            "trained, %": ("oa", percent),
        },
    ),
}
"""First heading of every table, and its columns: key of the records and format."""


def main() -> None:
    """Compute what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    records, rows = Records(FILE), groups()
    for group in options.rows:
        first, columns = COLUMNS[group]
        print(f"| {' | '.join((first, *columns))} |\n|{' --- |' * (1 + len(columns))}")
        for title, compute in rows[group].items():
            runs = []
            for seed in options.seeds:
                name = f"{group}, {title}, seed {seed}"
                if name not in records:
                    records.add(name, compute(seed))
                runs.append(dict(records.get(name) or {}))
            if group == "sampling":
                for run in runs:
                    run["scaled"] = run["error"] * math.sqrt(float(title))
            cells = [form(runs, key) for key, form in columns.values()]
            print(f"| {' | '.join((title, *cells))} |", flush=True)
        print()


if __name__ == "__main__":
    main()
