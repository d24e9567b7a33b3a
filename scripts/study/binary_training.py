"""Study: tandem learning, binary networks without norm, and binary training with little memory.

    python scripts/study/binary_training.py [--seeds 0 1 2] [--rows tandem norm_free memory bytes]

CNNs cnn1x1h of Indian Pines (random 40 %, the options' window): a network in floating point is
trained for `EPOCHS` epochs and every row quantizes it, or a network of random weights, and trains
on for as many. Every row and seed is kept in docs/results/methods/binary_training.jsonl and not
computed again.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from snnquant.config import (
    MethodConfig,
    ModelConfig,
    NeuronConfig,
    QuantizationConfig,
    RunConfig,
    TrainingConfig,
    register_method,
)
from snnquant.conversion import to_spiking
from snnquant.models import build_model
from snnquant.pipeline import stages
from snnquant.pipeline.run import Run
from snnquant.quantization import Calibration, LayerPlace, Plan, complete, quantize
from snnquant.quantization.activations import STARTING, QuantizedReLU
from snnquant.quantization.binary import AllocatedWeight
from snnquant.quantization.methods.low_memory_bnn import LowMemoryBNN
from snnquant.quantization.methods.norm_free_bnn import NormFreeBNN
from snnquant.quantization.methods.tandem import Tandem
from snnquant.quantization.standardised import CEILING, BinaryReLU
from snnquant.quantization.uniform import QuantizedWeight
from snnquant.stored_networks import Network
from snnquant.training import Stage, SynapseNorms, adamw, predict, train
from snnquant.training.memory import training_bytes

sys.path.insert(0, str(Path(__file__).parent))
from records import Record, Records

FILE = Path("docs/results/methods/binary_training.jsonl")
EPOCHS = 10
LONG = 40
"""Epochs of a training that is not cut short."""
RATE = TrainingConfig().learning_rate
BANDS, CLASSES, WINDOW = 200, 16, 5
"""Shape of the task whose memory is measured."""


@cache
def base(seed: int) -> Run:
    """Train the CNN in floating point of a seed, in a folder that lasts as long as the study."""
    folder = tempfile.mkdtemp(prefix="binary_training_")
    training = TrainingConfig(cnn_epochs=EPOCHS, quantized_epochs=EPOCHS, snn_epochs=EPOCHS)
    config = RunConfig(
        seed=seed, model=ModelConfig(name="cnn1x1h"), training=training, quantization=Tandem()
    )
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
    first_bits: int = 8
    ceiling: float = 0.0
    derivative: str = "polynomial"
    learning_rate: float = RATE

    def plan(self) -> Plan:
        """Return the quantizers."""
        bits = {"first": self.first_bits, "last": 8}
        return Plan(
            lambda weight, place: (
                QuantizedWeight(weight, QuantizationConfig(bits=8))
                if bits.get(place.role) == 8
                else AllocatedWeight(bits=1)
            ),
            activation=self.activation,
            recipe={"weight_decay": 0.0, "learning_rate": self.learning_rate},
        )

    def activation(self, place: LayerPlace) -> QuantizedReLU:
        """Return one with the derivative of Bi-Real's sign, or that of clipping."""
        return BinaryReLU(self.ceiling) if self.derivative == "polynomial" else QuantizedReLU(1)


def trained(
    config: MethodConfig,
    network: nn.Module,
    seed: int,
    *,
    norms: bool = False,
    epochs: int = EPOCHS,
) -> Record:
    """Quantize a network and train it with the soft labels of the one in floating point."""
    run = base(seed)
    teacher = run.load(Network.CNN_FP32).network
    quantize(network, config, stages._with_classes(run))
    plan: Plan = config.plan()
    added = SynapseNorms(network, stages._calibration(run)[:STARTING]) if norms else None
    settings = replace(run.config.training, **plan.recipe)
    with tempfile.TemporaryDirectory() as folder:
        train(
            network,
            run.samples(run.split.train),
            run.samples(run.split.val),
            Stage("binary", epochs, settings.learning_rate),
            settings,
            Path(folder) / "state",
            seed=seed,
            teacher=teacher,
            rules=[make(network) for make in plan.rules],
            optimizer=plan.optimizer or adamw,
        )
    if added is not None:
        added.fold()
    complete(network, config, stages._with_classes(run))
    return {"oa": accuracy(run, network), "float": accuracy(run, teacher)}


def random_network(seed: int, *, batch_norm: bool) -> nn.Module:
    """Return a network of random weights."""
    torch.manual_seed(seed)
    scene = base(seed).scene
    return build_model(base(seed).config.model, scene.bands, scene.classes, batch_norm=batch_norm)


def with_norms(seed: int) -> Record:
    """Train with batch norms, which stay in the network."""
    network = random_network(seed, batch_norm=True)
    return trained(BatchNormed(ceiling=CEILING), network, seed)


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


def with_norms_from_float(seed: int) -> Record:
    """Train signs from the weights in floating point, with batch norms that are folded after."""
    network = base(seed).load(Network.CNN_FP32).network
    return trained(BatchNormed(), network, seed, norms=True)


def plain_from_float(seed: int) -> Record:
    """Train signs from the weights in floating point, without norms."""
    return trained(BatchNormed(), base(seed).load(Network.CNN_FP32).network, seed)


def packed(rate: float, epochs: int = EPOCHS) -> Callable[[int], Record]:
    """Return the row of a training in little memory from the weights in floating point."""
    config = LowMemoryBNN(learning_rate=rate)

    def row(seed: int) -> Record:
        return trained(config, base(seed).load(Network.CNN_FP32).network, seed, epochs=epochs)

    return row


def unpacked(
    rate: float, epochs: int = EPOCHS, derivative: str = "polynomial"
) -> Callable[[int], Record]:
    """Return the row of the same layers with batch norm, AdamW and everything in float32."""
    config = BatchNormed(first_bits=1, derivative=derivative, learning_rate=rate)

    def row(seed: int) -> Record:
        network = base(seed).load(Network.CNN_FP32).network
        return trained(config, network, seed, norms=True, epochs=epochs)

    return row


def measured(model: str, kind: str, batch: int) -> Callable[[int], Record]:
    """Return the row of the memory that training steps need, in a process of its own."""

    def row(seed: int) -> Record:
        command = [sys.executable, __file__, "--measure", model, kind, str(batch)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: Record = json.loads(done.stdout)
        return found

    return row


def measure(model: str, kind: str, batch: int) -> Record:
    """Run steps of a training on random patches; return its bytes and the rise of the peak."""
    neuron = NeuronConfig(time_steps=4) if kind.startswith("snn") else None
    little = kind.endswith("little")
    torch.manual_seed(0)
    example = torch.zeros(1, 1, BANDS, WINDOW, WINDOW)
    norm = not little and neuron is None
    network: nn.Module = build_model(
        ModelConfig(name=model, window=WINDOW), BANDS, CLASSES, batch_norm=norm
    )
    if neuron is not None:
        network = to_spiking(network.eval(), example, neuron)
    config = LowMemoryBNN() if little else BatchNormed(first_bits=1)
    quantize(network, config, Calibration(torch.randn(32, *example.shape[1:])))
    plan: Plan = config.plan()
    rules = [make(network) for make in plan.rules]
    optimizer = (plan.optimizer or adamw)(network, 1e-3, 0.0)
    patches, classes = torch.randn(batch, *example.shape[1:]), torch.arange(batch) % CLASSES
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network.train()
    for _ in range(3):
        functional.cross_entropy(network(patches), classes).backward()  # type: ignore[no-untyped-call]
        own = list(network.parameters())
        gradients = sum(p.grad.nbytes for p in own if p.grad is not None)
        gradients += sum(bits.nbytes for bits in getattr(optimizer, "packed", {}).values())
        optimizer.step()
        optimizer.zero_grad()
    risen = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start)
    moments = sum(
        value.nbytes
        for state in optimizer.state.values()
        for name, value in state.items()
        if name != "step"
    )
    counted = training_bytes(network, patches, classes)
    running = sum(v.nbytes for rule in rules for v in rule.state_dict().values())
    parts = {
        "saved": counted.saved,
        "parameters": counted.parameters + running,
        "gradients": gradients,
        "optimizer": moments,
    }
    return {"megabytes": sum(parts.values()) / 1e6, "peak_megabytes": risen / 1e6, **parts}


ROWS: dict[str, dict[str, Callable[[int], Record]]] = {
    "norm_free": {
        "binary, batch norm, from random weights": with_norms,
        "binary, no norm, from random weights": without_norms,
        "norm_free_bnn, from random weights": standardised,
        "binary, batch norm, from floating point": with_norms_from_float,
        "binary, no norm, from floating point": plain_from_float,
        "norm_free_bnn, from floating point": standardised_from_float,
    },
    "memory": {
        "batch norm and AdamW in float32, rate 0.002": unpacked(RATE),
        "batch norm and AdamW in float32, rate 0.01": unpacked(0.01),
        "low_memory_bnn, rate 0.002": packed(RATE),
        "low_memory_bnn, rate 0.01": packed(0.01),
        f"batch norm and AdamW in float32, rate 0.003, {LONG} epochs": unpacked(0.003, LONG),
        f"the same with the derivative of clipping, {LONG} epochs": unpacked(0.003, LONG, "clip"),
        f"low_memory_bnn, rate 0.003, {LONG} epochs": packed(0.003, LONG),
    },
    "bytes": {
        f"{model}, {kind}, batch {batch}": measured(model, kind, batch)
        for model, batch, kinds in (
            ("cnn1x1h", 64, ("standard", "little", "snn standard", "snn little")),
            ("cnn1x1h", 256, ("standard", "little")),
            ("cnn3d", 64, ("standard", "little")),
        )
        for kind in kinds
    },
    "tandem": {f"tandem, W{bits}A{bits}": in_tandem(bits) for bits in (3, 4, 6)},
}


def found(records: Records, groups: list[str], seeds: list[int]) -> Iterator[tuple[str, Record]]:
    """Yield name and record of every row and seed; compute what is missing."""
    for group, name, row in ((g, *item) for g in groups for item in ROWS[g].items()):
        for seed in seeds[:1] if group == "bytes" else seeds:
            key = f"{name}, seed {seed}"
            if key not in records:
                records.add(key, row(seed))
            yield name, records.get(key) or {}


def main() -> None:
    """Compute missing rows and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        model, kind, batch = options.measure
        print(json.dumps(measure(model, kind, int(batch))))
        return
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
