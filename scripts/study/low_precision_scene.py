"""Study: trainings in few bits on Indian Pines, shortly, from a CNN in floating point.

    python scripts/study/low_precision_scene.py [--seeds 0 1]

A CNN of 3x3 windows is trained for 20 epochs and its batch norm folded; each method then quantizes
it and trains for 10. What a method and seed give is kept in
docs/results/methods/low_precision_scene.jsonl and not computed again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from snnquant.config import (
    MethodConfig,
    ModelConfig,
    QuantizationConfig,
    RunConfig,
    TrainingConfig,
    write_config,
)
from snnquant.pipeline import stages
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import FIGURES
from snnquant.quantization.methods.eoq import EOQ
from snnquant.quantization.methods.fractrain import FracTrain
from snnquant.quantization.methods.lns_madam import LNSMadam
from snnquant.stored_networks import Network
from snnquant.training import predict

sys.path.insert(0, str(Path(__file__).parent))
from records import Records
from weight_methods import spread

FILE = Path("docs/results/methods/low_precision_scene.jsonl")
FLOAT = "floating point"
METHODS: dict[str, MethodConfig] = {
    "uniform, 8 bits": QuantizationConfig(bits=8),
    "eoq": EOQ(),
    "lns_madam, 8 bits": LNSMadam(),
    "fractrain": FracTrain(),
    "static 8 bits": FracTrain(early_bits=(), early_error_bits=()),
}


def base(seed: int, folder: Path) -> RunConfig:
    """Train the CNN of a seed in a run folder; return the run's options."""
    config = RunConfig(
        scene="indian_pines",
        seed=seed,
        model=ModelConfig(window=3),
        training=TrainingConfig(cnn_epochs=20, quantized_epochs=10, snn_batch_norm=False),
    )
    stages.train_cnn(Run.create(config, folder))
    return config


def quantized(folder: Path, method: MethodConfig) -> dict[str, float]:
    """Quantize the CNN of a run by a method; return the accuracy on test pixels, and figures."""
    (folder / "config.toml").write_text(write_config(_with(folder, method)), encoding="utf-8")
    run = Run.open(folder)
    for file in (Network.CNN_QUANTIZED.file, FIGURES):
        (folder / file).unlink(missing_ok=True)
    stages.quantize_cnn(run)
    found = {"oa": accuracy(run, Network.CNN_QUANTIZED)}
    if (folder / FIGURES).exists():
        found |= json.loads((folder / FIGURES).read_text())[Network.CNN_QUANTIZED.stage]
    return found


def _with(folder: Path, method: MethodConfig) -> RunConfig:
    return replace(Run.open(folder).config, quantization=method)


def accuracy(run: Run, name: Network) -> float:
    """Return the overall accuracy of a network on a run's test pixels."""
    samples = run.samples(run.split.test)
    logits = predict(run.load(name).network, samples.patches, samples.indices)
    return float((logits.argmax(1) == samples.classes).double().mean())


def main() -> None:
    """Compute what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    options = parser.parse_args()
    records = Records(FILE)
    for seed in options.seeds:
        names = [title for title in (FLOAT, *METHODS) if f"{title}, seed {seed}" not in records]
        if not names:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "run"
            base(seed, folder)
            oa = accuracy(Run.open(folder), Network.CNN_FP32)
            records.add(f"{FLOAT}, seed {seed}", {"oa": oa})
            for title in names:
                if title in METHODS:
                    records.add(f"{title}, seed {seed}", dict(quantized(folder, METHODS[title])))
    print("| training | OA, % | cost over 32 bits, % |\n| --- | --- | --- |")
    for title in (FLOAT, *METHODS):
        runs = [records.get(f"{title}, seed {seed}") or {} for seed in options.seeds]
        costs = [100 * run["training_cost"] for run in runs if "training_cost" in run]
        cost = f"{sum(costs) / len(costs):.2f}" if costs else "-"
        print(f"| {title} | {spread([run['oa'] for run in runs])} | {cost} |")


if __name__ == "__main__":
    main()
