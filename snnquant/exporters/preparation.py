"""Steps that formats share which write a network layer by layer: freeze, trace shapes, name."""

from __future__ import annotations

import copy
import keyword
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn import INPUT
from snnquant.nn.hooks import recording
from snnquant.quantization import freeze
from snnquant.spiking import Neuron, SpikingNetwork, require_floating, require_lif


def frozen(network: nn.Module, name: str) -> SpikingNetwork:
    """Return a copy in evaluation mode with plain weights; raise InputError for a CNN.

    Neurons other than `LIF` with potentials in floating point are refused too, by layer.
    """
    if not isinstance(network, SpikingNetwork):
        raise InputError(
            f"--format {name}: found a CNN, expected a spiking network; --format onnx takes both"
        )
    for layer_name, layer in network.layers.named_children():
        if isinstance(layer, Neuron):
            lif = require_lif(layer, layer_name, f"--format {name}")
            require_floating(lif, layer_name, f"--format {name}")
    copied: SpikingNetwork = freeze(copy.deepcopy(network)).eval()  # type: ignore[assignment]
    return copied


def check_source_name(path: Path, *packages: str) -> None:
    """Raise InputError unless `path` ends in .py and hides none of the packages it imports."""
    if path.suffix != ".py" or path.stem in packages:
        other = f" other than {' or '.join(f'{name}.py' for name in packages)}"
        raise InputError(f"--output: found {path}, expected a name that ends in .py,{other}")


def sample_shapes(network: SpikingNetwork, example: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the shape of one sample at the network's input and after each layer."""
    shapes = {INPUT: tuple(example.shape[1:])}

    def note(name: str, module: nn.Module, _: object, output: Tensor) -> None:
        shapes[name] = tuple(output.shape[2 if isinstance(module, Neuron) else 1 :])

    with torch.no_grad(), recording(dict(network.layers.named_children()), note):
        network(example[:1])
    return shapes


def identifiers(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return an identifier for each layer: the names in a checkpoint may hold anything."""
    used = set(taken)
    found = {}
    for name in names:
        word = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not word[:1].isalpha() or keyword.iskeyword(word):
            word = f"layer_{word}"
        while word in used:
            word += "_"
        used.add(word)
        found[name] = word
    return found
