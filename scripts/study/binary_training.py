"""Study: tandem learning, binary networks without norm, and binary training with little memory.

    python scripts/study/binary_training.py [--seeds 0 1 2] [--rows tandem norm_free memory]

CNNs cnn1x1h of Indian Pines (random 40 %, the options' window): a network in floating point is
trained for `EPOCHS` epochs and every row quantizes it, or a network of random weights, and trains
on for as many. Every row and seed is kept in docs/results/methods/binary_training.jsonl and not
computed again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from torch import nn

from snnquant.config import ModelConfig, RunConfig, TrainingConfig
from snnquant.pipeline import stages
from snnquant.pipeline.run import Run
from snnquant.quantization import quantize
from snnquant.quantization.methods.tandem import Tandem
from snnquant.stored_networks import Network
from snnquant.training import predict

sys.path.insert(0, str(Path(__file__).parent))
from records import Record, Records

FILE = Path("docs/results/methods/binary_training.jsonl")
EPOCHS = 10


@cache
def base(seed: int) -> Run:
    """Train the CNN in floating point of a seed, in a folder that lasts as long as the study."""
    folder = tempfile.mkdtemp(prefix="binary_training_")
    training = TrainingConfig(cnn_epochs=EPOCHS, quantized_epochs=EPOCHS, snn_epochs=EPOCHS)
    config = RunConfig(seed=seed, model=ModelConfig(name="cnn1x1h"), training=training)
    run = Run.create(config, Path(folder) / "run")
    stages.train_cnn(run)
    return run


def accuracy(run: Run, network: nn.Module) -> float:
    """Return the OA on test pixels."""
    test = run.samples(run.split.test)
    found = predict(network, test.patches, test.indices).argmax(1)
    return (found == test.classes).double().mean().item()


def in_tandem(bits: int) -> Callable[[int], Record]:
    """Return the row of integer students of a number of bits."""

    def row(seed: int) -> Record:
        run = base(seed)
        teacher, student = (run.load(Network.CNN_FP32).network for _ in range(2))
        quantize(student, Tandem(bits=bits), stages._with_classes(run))
        return {"oa": accuracy(run, student), "teacher": accuracy(run, teacher)}

    return row


ROWS: dict[str, dict[str, Callable[[int], Record]]] = {
    "tandem": {f"tandem, W{bits}A{bits}": in_tandem(bits) for bits in (3, 4, 6)},
}


def found(records: Records, groups: list[str], seeds: list[int]) -> Iterator[tuple[str, Record]]:
    """Yield name and record of every row and seed; compute what is missing."""
    for name, row in (item for group in groups for item in ROWS[group].items()):
        for seed in seeds:
            key = f"{name}, seed {seed}"
            if key not in records:
                records.add(key, row(seed))
            yield name, records.get(key) or {}


def main() -> None:
    """Compute missing rows and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs: dict[str, list[Record]] = {}
    for name, record in found(Records(FILE), options.rows, options.seeds):
        runs.setdefault(name, []).append(record)
        print(f"{name}: {record}", file=sys.stderr)
    for name, rows in runs.items():
        print(f"| {name} | {' | '.join(spread([r[key] for r in rows]) for key in rows[0])} |")


def spread(values: list[float]) -> str:
    """Format mean and standard deviation, shares in per cent."""
    factor = 100 if max(values) <= 1 else 1
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{factor * statistics.fmean(values):.2f} ± {factor * deviation:.2f}"


if __name__ == "__main__":
    main()
