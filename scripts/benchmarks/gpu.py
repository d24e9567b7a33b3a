"""Timing in floating point on a CUDA device: `python scripts/benchmark.py --gpu`.

All networks run in turn within a round, and each is waited for. SpikingJelly chooses its own
kernels there: its compiled ones, else Triton's. Products are in float32, not TF32, for all. Without
--quick the results go to docs/results/benchmark_gpu.md and benchmark_gpu.json. Without a CUDA
device nothing is timed or written, and a line says so.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.contenders import Contenders, build, infer
from benchmarks.contenders import train_step as train
from benchmarks.peers import install_spikingjelly
from benchmarks.timing import fastest, interleave, per_second, publish, ratio
from torch import Tensor, nn

from snnquant.config import NeuronConfig
from snnquant.spiking import backends

BATCH = 2048
OURS, OPERATIONS = "ours", "ours, torch's operations"


class WithoutKernels(nn.Module):
    """A network whose neurons run by torch's operations."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the network."""
        installed, backends.TRITON = backends.TRITON, False
        try:
            output: Tensor = self.network(x)
        finally:
            backends.TRITON = installed
        return output


def waiting(work: Callable[..., object], *arguments: Any) -> Callable[[], None]:
    """Return the work followed by a wait for the device."""

    def whole() -> None:
        work(*arguments)
        torch.cuda.synchronize()

    return whole


def measure(c: Contenders, rounds: int, device: torch.device) -> dict[str, Any]:
    """Measure ratios, patches per second, and the share of classes equal on device and CPU."""
    here = {OURS: c.snn, OPERATIONS: WithoutKernels(c.snn), "CNN": c.own_cnn, **c.peers}
    there = {name: copy.deepcopy(network).to(device) for name, network in here.items()}
    x, classes = c.x.to(device), c.classes.to(device)
    result: dict[str, Any] = {}
    rates = {}
    for label, size, work in (
        ("inference", len(x), infer),
        ("training", len(x), train),
        ("training, batches of 64", 64, train),
    ):
        few = (x[:size],) if work is infer else (x[:size], classes[:size])
        times = interleave({n: waiting(work, net, *few) for n, net in there.items()}, rounds)
        for other in (fastest(times, c.peers), "CNN", OPERATIONS):
            result[f"{label}: ours against {other}"] = ratio(times, OURS, other)
        rates[label] = per_second(times, size)
    result["patches_per_second"] = rates
    result["same_classes_as_on_processor"] = {
        name: float(
            (infer(there[name], x).argmax(1).cpu() == infer(net, c.x).argmax(1)).double().mean()
        )
        for name, net in here.items()
    }
    return result


def page(result: dict[str, Any]) -> str:
    """Return the page of docs/results."""
    lines = [
        "# Speed on a GPU",
        "",
        f"`python scripts/benchmark.py --gpu --model {result['model']}`: patches of Indian Pines "
        f"of 5x5 pixels, T = {result['time_steps']}, float32, batches of {BATCH}, "
        f"{result['machine']}. SpikingJelly: {result['spikingjelly']}.",
        "",
        "| how many times as fast | median | quartiles |",
        "|---|---|---|",
    ]
    for name, value in result.items():
        if isinstance(value, dict) and "median" in value:
            span = f"{value['low']:.2f} to {value['high']:.2f}"
            lines.append(f"| {name} | {value['median']:.2f} | {span} |")
    lines += ["", "| | patches per second |", "|---|---|"]
    for label, rates in result["patches_per_second"].items():
        lines += [f"| {label}: {name} | {rate:,.0f} |" for name, rate in rates.items()]
    lines += ["", "| same class on device and processor | share |", "|---|---|"]
    shares = result["same_classes_as_on_processor"]
    lines += [f"| {name} | {share:.4f} |" for name, share in shares.items()]
    return "\n".join([*lines, ""])


def run(options: argparse.Namespace) -> None:
    """Build the networks, copy them to the device, time them in turn, print the ratios."""
    if not torch.cuda.is_available():
        print("GPU: left out, torch sees no CUDA device")
        return
    os.environ.setdefault(backends.TRITON_VARIABLE, "1")  # 0 keeps the kernels out
    torch.backends.cudnn.allow_tf32 = False
    note = install_spikingjelly()
    steps = NeuronConfig().time_steps
    with_jelly = not note.startswith("left out")
    contenders = build(options.model, BATCH, 1, (steps,), peers=with_jelly)[steps]
    result = {
        **measure(contenders, 9 if options.quick else 50, torch.device("cuda")),
        "model": options.model,
        "time_steps": steps,
        "machine": f"{torch.cuda.get_device_name()}, torch {torch.__version__}",
        "spikingjelly": note,
    }
    publish(result, page(result), "benchmark_gpu", options)
