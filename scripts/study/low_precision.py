"""Study: trainings in few bits on scikit-learn's digits: eoq, lns_madam and fractrain.

    python scripts/study/low_precision.py [--seeds 0 1 2 3 4] [--rows eoq lns_madam fractrain]

A network 64-64-64-10 is quantized at random weights and trained from there. Every row and seed is
kept in docs/results/methods/low_precision.jsonl and not computed again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import fmean

from snnquant.config import MethodConfig
from snnquant.quantization import Calibration, Plan, quantize
from snnquant.quantization.methods.eoq import EOQ
from snnquant.quantization.methods.fractrain import FracTrain
from snnquant.quantization.methods.lns_madam import LNSMadam

sys.path.insert(0, str(Path(__file__).parent))
from digits import accuracy, digits, mlp, train
from records import Records
from weight_methods import spread

FILE = Path("docs/results/methods/low_precision.jsonl")
RATE = 0.1
EPOCHS = {"eoq": 40, "lns_madam": 160, "fractrain": 40}
"""Epochs by group: factors of 2^(1/64) take longer."""
SMALL = 0.45 / 128
"""Rate at which no update of EOQ reaches half of a step of an 8-bit weight."""
FLOAT = "floating point"
ROWS: dict[str, dict[str, MethodConfig | None]] = {
    "eoq": {
        FLOAT: None,
        "eoq": EOQ(range="unit", learning_rate=0.1),
        "eoq, nearest": EOQ(range="unit", learning_rate=0.1, update="nearest"),
        "eoq, small rate": EOQ(range="unit", learning_rate=SMALL),
        "eoq, small rate, nearest": EOQ(range="unit", learning_rate=SMALL, update="nearest"),
    },
    "lns_madam": {
        "lns_madam, 8 bits": LNSMadam(learning_rate=1 / 64),
        "lns_madam, 8 bits, float errors": LNSMadam(learning_rate=1 / 64, error_bits=32),
        "lns_madam, 8 bits, 8 stored": LNSMadam(learning_rate=1 / 64, update_bits=8),
        "lns_madam, 4 bits": LNSMadam(learning_rate=1 / 64, bits=4),
    },
    "fractrain": {
        "fractrain": FracTrain(),
        "static 8 bits": FracTrain(early_bits=(), early_error_bits=()),
        "static 3 bits, errors 6": FracTrain(
            bits=3, error_bits=6, early_bits=(), early_error_bits=()
        ),
    },
}
"""Methods by the name of their row, in groups."""


def run(config: MethodConfig | None, seed: int, epochs: int) -> dict[str, float]:
    """Train from random weights; return the accuracy on test images and what rules report."""
    network = mlp(seed)
    if config is None:
        train(network, seed, epochs, RATE, momentum=0.9)
        return {"accuracy": accuracy(network)}
    plan: Plan = config.plan()
    quantize(network, config, Calibration(*digits()[0]))  # activations start from training images
    rules = [make(network) for make in plan.rules]
    train(
        network,
        seed,
        epochs,
        plan.recipe.get("learning_rate", RATE),
        rules=rules,
        momentum=0.9,
        weight_decay=plan.recipe.get("weight_decay", 1e-4),
        error=plan.error,
        make_optimizer=plan.optimizer,
    )
    figures = {name: value for rule in rules for name, value in rule.figures().items()}
    return {"accuracy": accuracy(network), **figures}


def main() -> None:
    """Compute what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    records = Records(FILE)
    print("| training | accuracy, % | cost over 32 bits, % |\n| --- | --- | --- |")
    jobs = [(group, *item) for group in options.rows for item in ROWS[group].items()]
    for group, title, config in jobs:
        runs = []
        for seed in options.seeds:
            name = f"{title}, seed {seed}"
            if name not in records:
                records.add(name, dict(run(config, seed, EPOCHS[group])))
            runs.append(records.get(name) or {})
        costs = [found["training_cost"] for found in runs if "training_cost" in found]
        cost = f"{100 * fmean(costs):.2f}" if costs else "-"
        print(f"| {title} | {spread([r['accuracy'] for r in runs])} | {cost} |", flush=True)


if __name__ == "__main__":
    main()
