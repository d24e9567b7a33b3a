"""The layers between the LIF layers of a network as lists of synapses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy import sparse
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn import INPUT
from snnquant.nn.hooks import recording
from snnquant.nn.kinds import AVERAGE_POOLS, CONVOLUTIONS, DROPOUTS, PADS
from snnquant.nn.wiring import Concatenate, Mean, Permute, Reshape, WeightedSum
from snnquant.spiking import Neuron, SpikingNetwork

OUTPUT = ""
"""Name of the output among the LIF layers; no layer has it."""
MAX_SYNAPSES = 10_000_000
"""Limit on the synapses of a network: a simulator holds some 100 bytes for each."""
SHAPES = (nn.Flatten, nn.Unflatten, nn.Identity, Permute, Reshape, Concatenate, *PADS, *DROPOUTS)
Shape = tuple[int, ...]


def synapses(network: SpikingNetwork, shapes: dict[str, Shape]) -> dict[tuple[str, str], Any]:
    """Return sparse matrices [target neurons, source neurons] by (source, target).

    Sources are LIF layers, targets LIF layers and `OUTPUT`. Layers in between are multiplied
    out. `shapes` are those of `sample_shapes`. Raises InputError for max pooling, which synapses
    cannot do, and for more than `MAX_SYNAPSES` synapses.
    """
    reaching: dict[str, dict[str, Any]] = {INPUT: {}}
    found: dict[tuple[str, str], Any] = {}
    for name, sources in network.inputs.items():
        layer = network.layers.get_submodule(name)
        if isinstance(layer, Neuron):
            found |= {(spikes, name): matrix for spikes, matrix in reaching[sources[0]].items()}
            reaching[name] = {name: sparse.identity(math.prod(shapes[name]), format="csr")}
            continue
        reaching[name] = {}
        for i, source in enumerate(sources):
            for spikes, before in reaching[source].items():
                matrix = _matrix(name, layer, i, [shapes[s] for s in sources], shapes[name])
                terms = reaching[name]
                terms[spikes] = matrix @ before + terms.get(spikes, 0)
                _require_few(name, terms[spikes].nnz)
    found |= {(spikes, OUTPUT): matrix for spikes, matrix in reaching[name].items()}
    _require_few(name, sum(matrix.nnz for matrix in found.values()))
    return found


def constant_currents(network: SpikingNetwork, x: Tensor) -> dict[str, Tensor]:
    """Return the currents [N, neurons] of LIF layers and `OUTPUT` at every step without spikes.

    They come from the analog input x [N, ...] and the biases.
    """
    found: dict[str, Tensor] = {}

    def silence(name: str, _: nn.Module, args: Any, spikes: Tensor) -> Tensor:
        found[name] = args[0][0].flatten(1)
        return torch.zeros_like(spikes)

    children = network.layers.named_children()
    neurons = {name: layer for name, layer in children if isinstance(layer, Neuron)}
    with torch.no_grad(), recording(neurons, silence):
        found[OUTPUT] = network(x).flatten(1)
    return found


def _matrix(name: str, layer: nn.Module, i: int, shapes: Sequence[Shape], after: Shape) -> Any:
    """Return a layer's map of its i-th input as a sparse matrix over values in memory order."""
    before = shapes[i]
    if isinstance(layer, CONVOLUTIONS):
        return _convolution(name, layer, before, after)
    if isinstance(layer, nn.Linear):
        rows = math.prod(before[:-1])
        _require_few(name, layer.weight.numel() * rows)
        weight = sparse.csr_matrix(layer.weight.detach().numpy())
        return sparse.kron(sparse.identity(rows), weight, format="csr")
    numbers = torch.arange(1.0, math.prod(before) + 1, dtype=torch.float64).view(1, *before)
    if isinstance(layer, WeightedSum):
        return float(layer.weights[i]) * _selection(numbers.expand(1, *after), numbers.numel())
    if isinstance(layer, SHAPES):
        inputs = [numbers if j == i else torch.zeros(1, *s) for j, s in enumerate(shapes)]
        return _selection(layer(*inputs), numbers.numel())
    if isinstance(layer, (*AVERAGE_POOLS, Mean)):
        units = torch.eye(numbers.numel(), dtype=torch.float64)
        parts = [layer(part.view(-1, *before)).flatten(1) for part in torch.split(units, 256)]
        return sparse.vstack([sparse.csr_matrix(part.numpy()) for part in parts]).T.tocsr()
    raise InputError(
        f"--format brian2: layer {name} is {layer}, which synapses cannot express; "
        "--format onnx or snntorch takes it"
    )


def _selection(numbers: Tensor, inputs: int) -> Any:
    """Return the matrix that picks input k where `numbers` holds k from 1, and nothing for 0."""
    columns = numbers.flatten().long().numpy()
    rows = np.flatnonzero(columns)
    shape = (len(columns), inputs)
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns[rows] - 1)), shape)


def _convolution(name: str, layer: Any, before: Shape, after: Shape) -> Any:
    """Return every weight of a convolution at every place of its output."""
    kernel, dilation, groups = layer.kernel_size, layer.dilation, layer.groups
    weight = layer.weight.detach().numpy()
    _require_few(name, weight.size * math.prod(after[1:]))
    numbers = np.arange(1, math.prod(before) + 1).reshape(before)
    spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if layer.padding == "same":
        ends = [(span // 2, span - span // 2) for span in spans]
    else:
        ends = (
            [(0, 0)] * len(kernel) if layer.padding == "valid" else [(p, p) for p in layer.padding]
        )
    mode: Any = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(
        layer.padding_mode, layer.padding_mode
    )
    padded = np.pad(numbers, [(0, 0), *ends], mode=mode)
    axes: Any = tuple(range(1, len(kernel) + 1))  # numpy's stubs know no tuple here
    windows = sliding_window_view(padded, [span + 1 for span in spans], axis=axes)
    strides = [slice(None, None, step) for step in layer.stride]
    windows = windows[(slice(None), *strides, *(slice(None, None, step) for step in dilation))]
    # Axes: group, output of the group, input of the group, place, offset in the kernel.
    places = math.prod(after[1:])
    columns = windows.reshape(groups, 1, before[0] // groups, places, -1)
    values = weight.reshape(groups, after[0] // groups, before[0] // groups, 1, -1)
    rows = np.arange(math.prod(after)).reshape(groups, after[0] // groups, 1, places, 1)
    columns, values, rows = np.broadcast_arrays(columns, values, rows)
    present = (columns > 0) & (values != 0)
    entries = (values[present], (rows[present], columns[present] - 1))
    return sparse.csr_matrix(entries, (math.prod(after), math.prod(before)))


def _require_few(name: str, count: int) -> None:
    if count > MAX_SYNAPSES:
        raise InputError(
            f"--format brian2: found {count:,} synapses up to layer {name}, expected at most "
            f"{MAX_SYNAPSES:,}; --format onnx or snntorch takes it"
        )
