"""Study: rules that act in training, on scikit-learn's digits and on a model with known support.

    python scripts/study/training_rules.py [--seeds 0 1 2] [--rows support rvsm adaqat cgmq ...]

`support` trains by the population's coarse gradient of one neuron with 5 of 50 weights; the others
train networks 64-64-64-10 that start in floating point (`rbonn`: of four layers; `clipping`: of six
layers, from random weights).
Every row and seed is kept in docs/results/methods/training_rules.jsonl and not computed again.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.config import MethodConfig, QuantizationConfig
from snnquant.quantization import Calibration, GradientClipping, Rule, layer_bits, quantize
from snnquant.quantization.methods.adaqat import AdaQAT
from snnquant.quantization.methods.cgmq import CGMQ
from snnquant.quantization.methods.hybrid_net import HybridNet
from snnquant.quantization.methods.rbonn import RBONN
from snnquant.quantization.methods.rvsm import RVSM
from snnquant.quantization.variable_splitting import nearest_l0, nearest_l1, nearest_tl1

sys.path.insert(0, str(Path(__file__).parent))
from coarse_gradients import Model
from digits import accuracy, digits, mlp, train, trained
from records import Record, Records
from weight_methods import spread

FILE = Path("docs/results/methods/training_rules.jsonl")
EPOCHS, RATE = 60, 0.03
MAPS: dict[str, Callable[[Tensor, float], Tensor] | None] = {
    "none": None,
    "l0": nearest_l0,
    "l1": nearest_l1,
    "tl1": nearest_tl1,
}
STRENGTH = {"l0": 1e-3, "l1": 0.02, "tl1": 0.01}
"""Penalties over stiffness that separate 5 weights of 0.2 to 0.8 from 45 of 0."""


def support(name: str, seed: int, steps: int = 4000, rate: float = 0.1) -> Record:
    """Train one sparse neuron by its expected coarse gradient; compare its support with the truth.

    Weights keep length 1, as in the theory; the copy of the last step is what counts.
    """
    draw = torch.Generator().manual_seed(seed)
    true = torch.zeros(50, dtype=torch.float64)
    places = torch.randperm(50, generator=draw)[:5]
    sizes = 0.5 + torch.rand(5, generator=draw, dtype=torch.float64)
    true[places] = torch.where(torch.rand(5, generator=draw) < 0.5, -sizes, sizes)
    true = true / true.norm()
    w, v = torch.randn(50, generator=draw, dtype=torch.float64), torch.full((4,), 0.5).double()
    nearest, w = MAPS[name], w / w.norm()
    for _ in range(steps):
        gradient = Model(v, v, w, true).coarse_relu()
        pull = 0.1 * (w - nearest(w, STRENGTH[name])) if nearest else 0
        w = w - rate * (gradient + pull)
        w = w / w.norm()
    copied = nearest(w, STRENGTH[name]) if nearest else w
    return {
        "angle": Model(v, v, w, true).angle.item(),
        "false": int(((copied != 0) & (true == 0)).sum()),
        "missed": int(((copied == 0) & (true != 0)).sum()),
    }


def deep(seed: int, layers: int = 6) -> nn.Sequential:
    """Return a network of dense layers, all except the last 64 wide."""
    torch.manual_seed(seed)
    between: list[nn.Module] = []
    for _ in range(layers - 1):
        between += [nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*between, nn.Linear(64, 10))


def four_layers(seed: int) -> nn.Sequential:
    """Return a network whose second and third layer may be binary."""
    return deep(seed, layers=4)


@cache
def in_float(seed: int, make: Callable[[int], nn.Module] = mlp) -> nn.Module:
    """Return the network in floating point that rows of a seed start from."""
    return trained(seed, make)


def run(config: MethodConfig, seed: int, make: Callable[[int], nn.Module] = mlp) -> Record:
    """Quantize, train on, and return what the last epoch that its rules allow has."""
    network: Any = copy.deepcopy(in_float(seed, make))
    plan = config.plan()
    quantize(network, config, Calibration(*digits()[0]))
    rules: Sequence[Rule] = [make_rule(network) for make_rule in plan.rules]
    found: Record = {}

    def look() -> None:
        with ExitStack() as forms:
            for rule in rules:
                forms.enter_context(rule.deployed())
            if all(rule.allows() for rule in rules):
                found.update(accuracy=accuracy(network), **shape(network))
        network.train()

    decay = plan.recipe.get("weight_decay", 1e-4)
    train(network, seed, EPOCHS, RATE, rules=rules, weight_decay=decay, after_epoch=look)
    return found


def shape(network: nn.Module) -> Record:
    """Return bits by layer, mean bits over products, and the share of weights that are left."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    sizes, bits = [layer.weight.numel() for layer in layers], list(layer_bits(network).values())
    mean = sum(a * b for a, b in zip(sizes, bits, strict=True)) / sum(sizes)
    left = sum(int(layer.weight.count_nonzero()) for layer in layers) / sum(sizes)
    return {"bits": bits, "mean_bits": mean, "left": left}


def clipped(rate: float, limit: float | None, seed: int) -> Record:
    """Train a deep network from random weights at a rate, with gradients clipped or not."""
    network = deep(seed)
    rules = [] if limit is None else [GradientClipping(network, limit)]
    train(network, seed, 20, rate, rules=rules, momentum=0.9)
    return {"accuracy": accuracy(network)}


def uniform(bits: int) -> QuantizationConfig:
    """Return uniform weights with activations in floating point."""
    return QuantizationConfig(bits=bits, activation_bits=32)


Row = Callable[[int], Record]
METHODS: dict[str, dict[str, MethodConfig]] = {
    "rvsm": {
        f"rvsm, {name}, strength {value:g}": RVSM(penalty=name, strength=value, pull=0.01)
        for name, values in {"l0": (0.02, 0.125, 0.5), "l1": (0.1, 0.3), "tl1": (0.1, 0.3)}.items()
        for value in values
    },
    "adaqat": {
        f"adaqat, hardware {value:g}": AdaQAT(
            hardware=value, moving_epochs=40, activation_bits=32, bits_rate=1.0
        )
        for value in (0.1, 0.5, 2.0, 8.0)
    },
    "fixed": {f"uniform, {bits} bits": uniform(bits) for bits in (2, 3, 4, 8)},
    "cgmq": {
        f"cgmq, budget {value:g}": CGMQ(budget=value, activation_bits=32)
        for value in (2.5, 3.0, 4.0, 5.0, 6.5)
    },
}  # type: ignore[dict-item]
"""Methods by the name of their row, in groups."""
BINARY: dict[str, MethodConfig] = {
    "sign times mean size": HybridNet(binary_epochs=1, delta=10.0),  # no layer gets more bits
    **{
        f"rbonn, share {share:g}, term {term:g}": RBONN(
            share=share, bilinear=term, activation_bits=32
        )
        for share, term in ((0.0, 0.0), (0.0, 1e-4), (0.4, 1e-4))
    },
}
"""Networks of binary weights between the first and the last layer."""
ROWS: dict[str, dict[str, Row]] = {
    "support": {f"support, {name}": partial(support, name) for name in MAPS},
    **{
        group: {name: partial(run, config) for name, config in rows.items()}
        for group, rows in METHODS.items()
    },
    "rbonn": {name: partial(run, config, make=four_layers) for name, config in BINARY.items()},
    "clipping": {
        f"rate {rate:g}, {'no clipping' if limit is None else f'limit {limit:g}'}": partial(
            clipped, rate, limit
        )
        for rate in (0.1, 0.5, 2.0)
        for limit in (None, 0.02, 0.1)
    },
}
"""Rows by the name of their group; each makes a record of a seed."""


def cell(values: list[Any], key: str) -> str:
    """Format the figures of a row, over its seeds: shares in per cent, bits by layer, means."""
    if isinstance(values[0], list):
        return ", ".join(sorted({"-".join(map(str, value)) for value in values}))
    if key in ("accuracy", "left"):
        return spread(values)
    return f"{statistics.fmean(values):.3g}"


def main() -> None:
    """Compute what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    records = Records(FILE)
    for group in options.rows:
        shown = False
        for title, row in ROWS[group].items():
            for seed in options.seeds:
                if f"{title}, seed {seed}" not in records:
                    records.add(f"{title}, seed {seed}", row(seed))
            runs = [records.get(f"{title}, seed {seed}") or {} for seed in options.seeds]
            if not shown:
                print(f"\n| {group} | {' | '.join(runs[0])} |\n{'| --- ' * (len(runs[0]) + 1)}|")
                shown = True
            values = (cell([found[key] for found in runs], key) for key in runs[0])
            print(f"| {title} | {' | '.join(values)} |", flush=True)


if __name__ == "__main__":
    main()
