"""Study: PikeLPN's quantized norms and scales on `separable3d`, on Indian Pines.

    python scripts/study/norms_and_shapes.py [--rows float plain pikelpn ...] [--seeds 0 1]

A CNN with batch norms is trained, then trained again under each row's method with its norms left
in place. ACEv2 counts 8-bit pixels on a window of its own. Every row and seed is kept in
docs/results/methods/norms_and_shapes.jsonl and not computed again.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from snnquant.config import MethodConfig, ModelConfig, SplitConfig
from snnquant.energy import COSTS, measure
from snnquant.models import build_model
from snnquant.quantization import Calibration, quantize
from snnquant.quantization.methods import PikeLPN
from snnquant.sampling import Normalisation, Patches, Split, make_split
from snnquant.scenes import Scene, load_scene

sys.path.insert(0, str(Path(__file__).parent))
from records import Record, Records

FILE = Path("docs/results/methods/norms_and_shapes.jsonl")
MODEL = ModelConfig(name="separable3d")
EPOCHS, QUANTIZED_EPOCHS, RATE, BATCH, COUNTED = 5, 2, 2e-3, 64, 64
ROWS: dict[str, MethodConfig | None] = {
    "float": None,
    "plain": PikeLPN(depthwise="uniform", scale_bits=32, norm_bits=32),
    "norms": PikeLPN(depthwise="uniform", scale_bits=32),
    "scales": PikeLPN(depthwise="uniform", norm_bits=32),
    "both": PikeLPN(depthwise="uniform"),
    "pikelpn": PikeLPN(),
    "shifts": PikeLPN(norm_factor="power_of_two"),
}
"""Methods by row: 4-bit weights and activations, 8 bits in the first and the last layer.

`plain` has norms and scales in floating point, `norms`, `scales` and `both` quantize these,
`pikelpn` has powers of two in depthwise layers as well, `shifts` in the norms' factors too.
"""


@cache
def data(name: str, seed: int) -> tuple[Scene, Split, Patches]:
    """Return a scene, its split and its patches."""
    scene = load_scene(name)
    split = make_split(scene, SplitConfig(), MODEL.window, seed)
    normalisation = Normalisation.fit(scene, split.train)
    return scene, split, Patches(scene.cube, MODEL.window, normalisation)


def labels(scene: Scene, indices: np.ndarray) -> torch.Tensor:
    """Return class numbers from 0."""
    return torch.from_numpy(scene.labels.reshape(-1)[indices].astype(np.int64) - 1)


def train(network: nn.Module, name: str, seed: int, epochs: int) -> None:
    """Train with AdamW and a one-cycle rate, in place."""
    scene, split, patches = data(name, seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    steps = epochs * (len(split.train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(split.train)).numpy()
        for start in range(0, len(order) - BATCH + 1, BATCH):
            pixels = split.train[order[start : start + BATCH]]
            loss = nn.functional.cross_entropy(
                network(patches.gather(pixels)), labels(scene, pixels)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, name: str, seed: int) -> float:
    """Return the overall accuracy on the test pixels, %."""
    scene, split, patches = data(name, seed)
    parts = np.array_split(split.test, 12)
    right = [
        (network(patches.gather(part)).argmax(1) == labels(scene, part)).sum() for part in parts
    ]
    return 100 * float(sum(right)) / len(split.test)


@cache
def trained(name: str, seed: int) -> nn.Module:
    """Return the CNN in floating point."""
    torch.manual_seed(seed)
    scene, _, _ = data(name, seed)
    network = build_model(MODEL, scene.bands, scene.classes, batch_norm=True)
    train(network, name, seed, EPOCHS)
    return network


def measured(row: str, name: str, seed: int) -> Record:
    """Train one row and return its accuracy and ACEv2."""
    _, split, patches = data(name, seed)
    network = copy.deepcopy(trained(name, seed))
    method = ROWS[row]
    if method is not None:
        quantize(network, method, Calibration(patches.gather(split.train[:128])))
    train(network, name, seed, QUANTIZED_EPOCHS)
    layers = measure(network, patches, torch.from_numpy(split.val[:COUNTED]), pixel_bits=8)
    cost = COSTS.get("acev2")
    single = sum(cost.price(work.counts) for layer in layers for work in layer.elementwise)
    return {"oa": accuracy(network, name, seed), "acev2": cost.of(layers), "single": single}


def main() -> None:
    """Compute what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--scene", default="indian_pines")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = Records(FILE)
    print("| method | OA, % | ACEv2, 10^6 | on single values, % |")
    print("| --- | --- | --- | --- |")
    for row in options.rows:
        runs = []
        for seed in options.seeds:
            name = f"{options.scene}, {row}, seed {seed}"
            if name not in records:
                records.add(name, measured(row, options.scene, seed))
            runs.append(dict(records.get(name) or {}))
        oa, total, single = (
            statistics.mean(run[key] for run in runs) for key in ("oa", "acev2", "single")
        )
        share = 100 * single / total
        print(f"| {row} | {oa:.2f} | {total / 1e6:.2f} | {share:.1f} |", flush=True)


if __name__ == "__main__":
    main()
