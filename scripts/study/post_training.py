"""Study: post-training quantization of a dense network that knows scikit-learn's digits.

    python scripts/study/post_training.py [--seeds 0 1 2 3 4] [--iterations 1500]

Networks 64-64-64-10 with ReLU are trained in floating point on 1,200 images and quantized with one
scale per layer; OA and the logits' mean squared error against the network in floating point are of
the other 597. `unbalanced` multiplies each hidden channel by a random factor from 0.1 to 10, and
its readers by the inverse: the same function, which equalisation brings back into shape. Every row
and seed is kept in docs/results/methods/post_training.jsonl and not computed again.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from snnquant.config import MethodConfig
from snnquant.quantization import Calibration, quantize, weight_quantizer
from snnquant.quantization.methods.multipoint import Multipoint
from snnquant.quantization.methods.post_training import PostTraining

sys.path.insert(0, str(Path(__file__).parent))
from records import Record, Records

FILE = Path("docs/results/methods/post_training.jsonl")
TRAINING, CALIBRATION, EPOCHS = 1200, 1000, 60


def digits() -> tuple[Tensor, Tensor]:
    """Return 1,797 images [N, 1, 64, 1, 1], 0 to 1, and their classes [N], in random order."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    images = torch.tensor(found.data[order] / 16, dtype=torch.float32)
    return images[:, None, :, None, None], torch.tensor(found.target[order])


def trained(images: Tensor, classes: Tensor, seed: int) -> nn.Sequential:
    """Train a network in floating point."""
    torch.manual_seed(seed)
    hidden = (nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
    network = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(TRAINING).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(network(images[rows]), classes[rows]).backward()
            optimizer.step()
    return network.eval()


@torch.no_grad()
def unbalanced(network: nn.Sequential, seed: int) -> nn.Sequential:
    """Copy a network and multiply its hidden channels by factors that their readers take back."""
    torch.manual_seed(seed)
    moved = copy.deepcopy(network)
    layers = [module for module in moved if isinstance(module, nn.Linear)]
    for layer, reader in pairwise(layers):
        factors = 10 ** (2 * torch.rand(len(layer.weight)) - 1)
        layer.weight.mul_(factors[:, None])
        layer.bias.mul_(factors)
        reader.weight.div_(factors)
    return moved


def rows(iterations: int) -> dict[str, tuple[MethodConfig, bool]]:
    """Return the options of every row by its name, and whether the network is unbalanced."""

    def uniform(bits: int, **options: object) -> PostTraining:
        given = {"correct": "none", "granularity": "tensor"} | options
        return PostTraining(bits=bits, **given)  # type: ignore[arg-type]

    found: dict[str, tuple[MethodConfig, bool]] = {}
    for bits in (2, 3, 4):
        found[f"{bits} bits, nearest"] = uniform(bits), False
        found[f"{bits} bits, empirical correction"] = uniform(bits, correct="empirical"), False
        found[f"{bits} bits, analytic correction"] = uniform(bits, correct="analytic"), False
        learnt = uniform(bits, round="adaround", iterations=iterations)
        found[f"{bits} bits, AdaRound, {iterations} iterations"] = learnt, False
    for bits in (4, 6):
        found[f"{bits} bits, unbalanced"] = uniform(bits, ranges="minmax"), True
        equalised = uniform(bits, ranges="minmax", equalise=True)
        found[f"{bits} bits, unbalanced, equalised"] = equalised, True
    for epsilon in (1e30, 0.1, 0.01):
        points = Multipoint(bits=2, outer_bits=2, epsilon=epsilon)
        found[f"2 bits, multipoint, epsilon {epsilon:g}"] = points, False
    return found


@torch.no_grad()
def measure(network: nn.Module, plain: nn.Module, images: Tensor, classes: Tensor) -> Record:
    """Return OA, the logits' mean squared error and, of multipoint weights, the points' mean."""
    logits, wanted = network(images[TRAINING:]), plain(images[TRAINING:])
    quantizers = (weight_quantizer(module) for module in network.modules())
    points = [q.points for q in quantizers if hasattr(q, "points")]
    return {
        "oa": (logits.argmax(1) == classes[TRAINING:]).double().mean().item(),
        "float_oa": (wanted.argmax(1) == classes[TRAINING:]).double().mean().item(),
        "logits_mse": (logits - wanted).square().mean().item(),
    } | ({"points": torch.cat(points).mean().item()} if points else {})


def spread(runs: list[Record], key: str, shown: Callable[[float], str]) -> str:
    """Format mean ± standard deviation over seeds; nothing where no run has the key."""
    values = [run[key] for run in runs if key in run]
    if len(values) < 2:
        return "".join(map(shown, values))
    return f"{shown(statistics.fmean(values))} ± {shown(statistics.stdev(values))}"


def main() -> None:
    """Compute missing rows and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--output", type=Path, default=FILE)
    options = parser.parse_args()
    records, (images, classes) = Records(options.output), digits()
    found: dict[str, list[Record]] = {}
    for seed in options.seeds:
        plain: nn.Sequential | None = None
        for name, (config, moved) in rows(options.iterations).items():
            key = f"{name}, seed {seed}"
            if key not in records:
                plain = plain or trained(images, classes, seed)
                network = unbalanced(plain, seed) if moved else copy.deepcopy(plain)
                quantize(network, config, Calibration(images[:CALIBRATION]))
                records.add(key, measure(network, plain, images, classes))
            found.setdefault(name, []).append(records.get(key) or {})
    print("| quantization | OA, % | in floating point, % | logits' squared error | points |")
    print("| --- | --- | --- | --- | --- |")
    for name, runs in found.items():
        accuracies = [spread(runs, key, lambda x: f"{100 * x:.1f}") for key in ("oa", "float_oa")]
        error, points = (spread(runs, key, "{:.3g}".format) for key in ("logits_mse", "points"))
        print(f"| {name} | {' | '.join(accuracies)} | {error} | {points or '1'} |")


if __name__ == "__main__":
    main()
