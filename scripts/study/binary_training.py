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
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from snnquant.config import (
    MethodConfig,
    ModelConfig,
    QuantizationConfig,
    RunConfig,
    TrainingConfig,
    register_method,
)
from snnquant.models import build_model
from snnquant.pipeline import stages
from snnquant.pipeline.run import Run
from snnquant.quantization import Plan, complete, quantize
from snnquant.quantization.binary import AllocatedWeight
from snnquant.quantization.methods.norm_free_bnn import NormFreeBNN
from snnquant.quantization.methods.tandem import Tandem
from snnquant.quantization.standardised import BinaryReLU
from snnquant.quantization.uniform import QuantizedWeight
from snnquant.stored_networks import Network
from snnquant.training import Stage, adamw, predict, train

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


@register_method("batch_normed")
class BatchNormed(MethodConfig):
    """Signs with one scale per filter, 8 bits at the ends, activations by sign; no more."""

    bits: int = 1
    min_bits: ClassVar[int] = 1

    def plan(self) -> Plan:
        """Return the quantizers."""
        ends = QuantizationConfig(bits=8)
        return Plan(
            lambda weight, place: (
                QuantizedWeight(weight, ends)
                if place.role in ("first", "last")
                else AllocatedWeight(bits=1)
            ),
            activation=lambda place: BinaryReLU(0.0),
            recipe={"weight_decay": 0.0},
        )


def trained(config: MethodConfig, network: nn.Module, seed: int) -> Record:
    """Quantize a network and train it with the soft labels of the one in floating point."""
    run = base(seed)
    teacher = run.load(Network.CNN_FP32).network
    quantize(network, config, stages._with_classes(run))
    plan: Plan = config.plan()
    settings = replace(run.config.training, **plan.recipe)
    with tempfile.TemporaryDirectory() as folder:
        train(
            network,
            run.samples(run.split.train),
            run.samples(run.split.val),
            Stage("binary", EPOCHS, settings.learning_rate),
            settings,
            Path(folder) / "state",
            seed=seed,
            teacher=teacher,
            rules=[make(network) for make in plan.rules],
            optimizer=plan.optimizer or adamw,
        )
    complete(network, config, stages._with_classes(run))
    return {"oa": accuracy(run, network), "float": accuracy(run, teacher)}


def random_network(seed: int, *, batch_norm: bool) -> nn.Module:
    """Return a network of random weights."""
    torch.manual_seed(seed)
    scene = base(seed).scene
    return build_model(base(seed).config.model, scene.bands, scene.classes, batch_norm=batch_norm)


def with_norms(seed: int) -> Record:
    """Train with batch norms, which stay in the network."""
    return trained(BatchNormed(), random_network(seed, batch_norm=True), seed)


def without_norms(seed: int) -> Record:
    """Train the same network with nothing in the place of the norms."""
    return trained(BatchNormed(), random_network(seed, batch_norm=False), seed)


def standardised(seed: int) -> Record:
    """Train standardised weights from random ones."""
    network = random_network(seed, batch_norm=False)
    return trained(NormFreeBNN(start="unit"), network, seed)


def standardised_from_float(seed: int) -> Record:
    """Train standardised weights from those in floating point, as a run does."""
    return trained(NormFreeBNN(), base(seed).load(Network.CNN_FP32).network, seed)


def plain_from_float(seed: int) -> Record:
    """Train signs from the weights in floating point, without norms."""
    return trained(BatchNormed(), base(seed).load(Network.CNN_FP32).network, seed)


ROWS: dict[str, dict[str, Callable[[int], Record]]] = {
    "norm_free": {
        "binary, batch norm, from random weights": with_norms,
        "binary, no norm, from random weights": without_norms,
        "norm_free_bnn, from random weights": standardised,
        "binary, no norm, from floating point": plain_from_float,
        "norm_free_bnn, from floating point": standardised_from_float,
    },
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
