"""Peers of the benchmark: networks of other libraries with the same weights."""

from __future__ import annotations

import copy
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from snnquant.spiking import LIF, Reset, SpikingNetwork
from snnquant.spiking.snntorch_adapter import to_snntorch

PEERS = Path(sys.prefix) / "benchmark_peers"
SPIKINGJELLY = ("spikingjelly==2.0.0", "loguru==0.7.3", "tqdm")


class SnnTorchLoop(nn.Module):
    """The same layers, stepped as in snnTorch's tutorials, the first one optionally once."""

    def __init__(self, snn: SpikingNetwork, *, first_once: bool) -> None:
        super().__init__()
        self.time_steps = snn.time_steps
        self.layers = nn.ModuleList(
            to_snntorch(layer) if isinstance(layer, LIF) else layer for layer in snn.layers
        )
        self.once = 1 if first_once else 0

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, K], the mean over the steps."""
        potentials: dict[int, Tensor] = {}
        total = x.new_zeros(())
        for layer in self.layers[: self.once]:
            x = layer(x)
        for _ in range(self.time_steps):
            y = x
            for i, layer in enumerate(self.layers[self.once :]):
                if hasattr(layer, "reset_mem"):
                    y, potentials[i] = layer(y, potentials.get(i, layer.reset_mem()))
                else:
                    y = layer(y)
            total = total + y
        return total / self.time_steps


class SpikingJellySteps(nn.Module):
    """The same layers in SpikingJelly's multi-step mode: neurons of the same-step soft reset."""

    def __init__(self, snn: SpikingNetwork) -> None:
        super().__init__()
        from spikingjelly.activation_based import neuron

        self.time_steps = snn.time_steps
        self.layers = nn.ModuleList()
        for layer in snn.layers:
            if isinstance(layer, LIF):
                layer = neuron.LIFNode(
                    tau=1 / (1 - layer.leak.item()),
                    decay_input=False,
                    v_threshold=layer.threshold.item(),
                    v_reset=None,
                    step_mode="m",
                )
            self.layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, K], the mean over the steps."""
        from spikingjelly.activation_based import functional

        functional.reset_net(self)
        first, *others = self.layers
        x = first(x)
        x = x.expand(self.time_steps, *x.shape)
        for layer in others:
            x = (
                layer(x)
                if hasattr(layer, "v_threshold")
                else functional.seq_to_ann_forward(x, layer)
            )
        return x.mean(0)


def of_torch(network: nn.Module) -> Any:
    """Copy a network with torch's own convolutions and poolings."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        for kind in (nn.Conv2d, nn.Conv3d, nn.AvgPool2d):
            if isinstance(module, kind):
                module.__class__ = kind
    return twin


def same_step(snn: SpikingNetwork) -> SpikingNetwork:
    """Copy a network with the reset of SpikingJelly."""
    twin = copy.deepcopy(snn)
    for layer in twin.layers:
        if isinstance(layer, LIF):
            layer.reset = Reset.SAME_STEP
    return twin


def install_spikingjelly() -> str:
    """Install SpikingJelly into its own folder; return its version or why it is missing."""
    sys.path.append(str(PEERS))
    if importlib.util.find_spec("spikingjelly") is None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--target", str(PEERS), *SPIKINGJELLY], capture_output=True, text=True
        )
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:]
            return f"left out: pip could not install {SPIKINGJELLY[0]} ({' '.join(reason)})"
        importlib.invalidate_caches()
    return SPIKINGJELLY[0]
