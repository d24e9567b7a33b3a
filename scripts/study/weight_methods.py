"""Study: quantizers of weights on scikit-learn's digits, and their error on Gaussian weights.

    python scripts/study/weight_methods.py [--seeds 0 1 2 3 4] [--rows bcgd lbw dorefa estimators]

A network 64-64-64-10 is trained in floating point, then quantized and trained on by SGD with
momentum, as in BCGD. Every row and seed is kept in docs/results/methods/weight_methods.jsonl and
not computed again.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
from functools import cache
from pathlib import Path

import torch
from torch import nn

from snnquant.config import MethodConfig, QuantizationConfig
from snnquant.quantization import Plan, quantize
from snnquant.quantization.methods.bcgd import BCGD
from snnquant.quantization.methods.dorefa import DoReFa
from snnquant.quantization.methods.lbw import LBW
from snnquant.quantization.powers_of_two import SEARCHES

sys.path.insert(0, str(Path(__file__).parent))
from digits import accuracy, train, trained
from records import Records

FILE = Path("docs/results/methods/weight_methods.jsonl")
EPOCHS, RATE = 60, 0.03
FLOAT = "floating point"
ROWS: dict[str, dict[str, MethodConfig | None]] = {
    "bcgd": {
        FLOAT: None,
        **{f"bcgd, 1 bit, rho {rho:g}": BCGD(blending=rho) for rho in (0, 1e-5, 1e-3, 1e-2, 0.1)},
        **{f"bcgd, {bits} bits": BCGD(bits=bits) for bits in (2, 4)},
    },
    "lbw": {
        **{f"lbw, {bits} bits, exact": LBW(bits=bits) for bits in (2, 3, 4)},
        **{f"lbw, {bits} bits, threshold": LBW(bits=bits, search="threshold") for bits in (3, 4)},
    },
    "dorefa": {
        f"dorefa, {bits} bits, {scale}": DoReFa(bits=bits, scale=scale)
        for bits in (1, 2, 4)
        for scale in ("range", "unit")
    },
    "estimators": {
        f"uniform, 2 bits, {name}": QuantizationConfig(bits=2, clip="mse", estimator=name)
        for name in ("clipped", "ste", "cosine", "tanh", "ewgs", "polynomial")
    },
}  # type: ignore[dict-item]
"""Methods by the name of their row, in groups."""


@cache
def in_float(seed: int) -> nn.Module:
    """Return the network in floating point that every row of a seed starts from."""
    return trained(seed)


def run(config: MethodConfig | None, seed: int) -> dict[str, float]:
    """Quantize and train on; return the accuracy on test images at once and after training."""
    network = copy.deepcopy(in_float(seed))
    if config is None:
        train(network, seed, EPOCHS, RATE)
        return {"at_once": accuracy(in_float(seed)), "trained": accuracy(network)}
    plan: Plan = config.plan()
    quantize(network, config)
    start = accuracy(network)
    train(network, seed, EPOCHS, RATE, rules=[make(network) for make in plan.rules])
    return {"at_once": start, "trained": accuracy(network)}


def relative_error(bits: int, search: str, size: int = 10_000, scale: float = 0.05) -> float:
    """Return |w - Q(w)|^2 / |w|^2 of LBW's levels on Gaussian weights."""
    weight = torch.randn(1, size, generator=torch.Generator().manual_seed(0)) * scale
    found = SEARCHES[search](weight, bits, per_channel=False).values(weight.dtype)
    return ((found - weight).square().sum() / weight.square().sum()).item()


def spread(values: list[float]) -> str:
    """Format mean and standard deviation in per cent."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.fmean(values):.1f} ± {100 * deviation:.1f}"


def main() -> None:
    """Compute what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    records = Records(FILE)
    print("| method | quantized, % | trained, % |\n| --- | --- | --- |")
    for title, config in (item for group in options.rows for item in ROWS[group].items()):
        runs = []
        for seed in options.seeds:
            name = f"{title}, seed {seed}"
            if name not in records:
                records.add(name, dict(run(config, seed)))
            runs.append(records.get(name) or {})
        cells = [spread([found[key] for found in runs]) for key in ("at_once", "trained")]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)
    print("\n| bits | exact | threshold |\n| --- | --- | --- |")
    for bits in (2, 3, 4, 5, 6):
        found = [
            relative_error(bits, search)
            for search in SEARCHES
            if (search, bits) != ("threshold", 2)
        ]
        print(f"| {bits} | {' | '.join(f'{error:.3f}' for error in (*found,))} |")


if __name__ == "__main__":
    main()
