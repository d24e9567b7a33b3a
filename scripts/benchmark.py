"""Time the SNN beside its CNN and beside a plain snnTorch loop with the same weights.

    python scripts/benchmark.py [--model cnn3d] [--rounds 20] [--json]

All three run in turn within a round, so that a machine that slows down slows all of them; a figure
is the median ratio over the rounds with its quartiles. Patches are Indian Pines'.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import convert
from snnquant.memory import keep_freed_memory
from snnquant.models import build_model
from snnquant.sampling import Normalisation, Patches
from snnquant.scenes import load_scene
from snnquant.spiking import LIF, SpikingNetwork
from snnquant.spiking.snntorch_adapter import to_snntorch


class SnnTorchLoop(nn.Module):
    """The same layers stepped as snnTorch's tutorials do: every layer at every step."""

    def __init__(self, snn: SpikingNetwork) -> None:
        super().__init__()
        self.time_steps = snn.time_steps
        self.layers = nn.ModuleList(
            to_snntorch(layer) if isinstance(layer, LIF) else layer for layer in snn.layers
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, K], the mean over the steps."""
        potentials: dict[int, Tensor] = {}
        total = x.new_zeros(())
        for _ in range(self.time_steps):
            y = x
            for i, layer in enumerate(self.layers):
                if hasattr(layer, "reset_mem"):
                    y, potentials[i] = layer(y, potentials.get(i, layer.reset_mem()))
                else:
                    y = layer(y)
            total = total + y
        return total / self.time_steps


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(times: list[float], reference: list[float]) -> dict[str, float]:
    """How many times faster than the reference: median and quartiles of the rounds."""
    low, median, high = statistics.quantiles(
        [theirs / ours for ours, theirs in zip(times, reference, strict=True)], n=4
    )
    return {"median": median, "low": low, "high": high}


def main() -> None:
    """Build the three networks, time them in turn, print the ratios."""
    parser = argparse.ArgumentParser(description="Time the SNN beside its CNN and snnTorch.")
    parser.add_argument("--model", choices=("cnn32h", "cnn3d"), default="cnn32h")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep_freed_memory()
    torch.manual_seed(0)

    scene = load_scene("indian_pines")
    pixels = torch.from_numpy(scene.labels.reshape(-1)).nonzero().ravel()[:: 10249 // options.batch]
    normalisation = Normalisation.fit(scene, pixels.numpy())
    x = Patches(scene.cube, 5, normalisation).gather(pixels[: options.batch])
    classes = torch.randint(scene.classes, (len(x),))
    cnn = build_model(ModelConfig(name=options.model, dropout=0), scene.bands, scene.classes)
    # snnTorch starts at potential 0, so the comparison does too.
    snn, _ = convert(cnn, x, x, neuron=NeuronConfig(initial=0))
    networks: dict[str, nn.Module] = {"snn": snn, "cnn": cnn, "snntorch": SnnTorchLoop(snn)}

    def infer(network: nn.Module) -> Tensor:
        with torch.no_grad():
            logits: Tensor = network(x)
        return logits

    def step(network: nn.Module) -> None:
        network.zero_grad()
        nn.functional.cross_entropy(network(x), classes).backward()

    agree = torch.allclose(infer(snn), infer(networks["snntorch"]), atol=1e-4)
    times: dict[str, dict[str, list[float]]] = {}
    for work in (infer, step):
        rows = times[work.__name__] = {name: [] for name in networks}
        for turn in range(options.rounds + 2):
            for name, network in networks.items():
                elapsed = seconds(lambda work=work, network=network: work(network))
                if turn >= 2:  # the first two warm up
                    rows[name].append(elapsed)
    result = {
        f"{label}_vs_{peer}": ratio(rows["snn"], rows[peer])
        for label, rows in (("inference", times["infer"]), ("training", times["step"]))
        for peer in ("cnn", "snntorch")
    }
    if options.json:
        print(json.dumps({"outputs_agree": agree, **result}))
        return
    print(f"outputs agree: {agree}; {options.model}, T = {snn.time_steps}, batch {len(x)}")
    for name, value in result.items():
        print(f"{name:<24} {value['median']:.2f}x  ({value['low']:.2f} to {value['high']:.2f})")


if __name__ == "__main__":
    main()
