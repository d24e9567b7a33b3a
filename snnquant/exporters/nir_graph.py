r"""Networks as NIR graphs (Neuromorphic Intermediate Representation, Pedersen et al. 2024).

NIR's neuron is continuous, :math:`\tau\dot v = v_{leak} - v + R I`, reset to `v_reset`. With Euler
steps of length dt it is this package's: :math:`\lambda = 1 - dt/\tau` and :math:`R = \tau/dt`; a
leak of 1 is NIR's IF with :math:`R = 1/dt`. What NIR has no field for is in the metadata of the
nodes: reset, potential before the first step, the same input at every step, logits as a mean.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.exporters import ExportRequest
from snnquant.exporters.preparation import frozen, identifiers, sample_shapes
from snnquant.io import replacing, require_extra
from snnquant.nn import INPUT
from snnquant.nn.kinds import CONVOLUTIONS, DROPOUTS
from snnquant.nn.wiring import PopulationMean, Reshape, WeightedSum
from snnquant.spiking import LIF, Reset, SpikingNetwork, unknown_reset

DT = 1e-4
"""Seconds per time step: snnTorch's reader takes no other, and stores none."""
EQUATIONS = {
    Reset.DELAYED: "u[t] = leak u[t-1] + I[t] - v_threshold o[t-1]; o[t] = u[t] > v_threshold",
    Reset.SAME_STEP: "v[t] = leak u[t-1] + I[t]; o[t] = v[t] > v_threshold; "
    "u[t] = v[t] - v_threshold o[t]",
    Reset.ZERO: "v[t] = leak u[t-1] + I[t]; o[t] = v[t] > v_threshold; u[t] = v[t] (1 - o[t])",
}
RESHAPES = (nn.Flatten, nn.Unflatten, nn.Identity, Reshape)
Shape = tuple[int, ...]


def write_nir(request: ExportRequest, path: Path) -> None:
    """Write `to_nir`'s graph as HDF5, with normalisation and metadata in its metadata.

    Raises InputError where `to_nir` does, and for a file that cannot be written.
    """
    (nir,) = require_extra("nir", "nir")
    graph = to_nir(request)
    graph.metadata = dict(request.metadata) | graph.metadata
    if request.normalisation is not None:
        for name in ("mean", "std", "components"):
            value = getattr(request.normalisation, name)
            if value is not None:
                graph.nodes[INPUT].metadata[name] = value
        if request.normalisation.spectra != "raw":
            for name in ("spectra", "floor"):
                graph.nodes[INPUT].metadata[name] = getattr(request.normalisation, name)
        if (grid := request.normalisation.grid) is not None:
            for name in ("step", "low", "high"):
                graph.nodes[INPUT].metadata[f"pixel_{name}"] = getattr(grid, name)
    with replacing(path) as temporary:
        nir.write(str(temporary), graph)


def to_nir(request: ExportRequest) -> Any:
    """Return the `nir.NIRGraph` of a spiking network for samples of the shape of its example.

    Raises InputError, one line that names the layer, for layers that NIR has no node for, and
    without the package nir.
    """
    (nir,) = require_extra("nir", "nir")
    writer = _Writer(nir, frozen(request.network, "nir"), request.example)
    for name in writer.network.inputs:
        writer.add(name)
    return writer.graph()


class _Writer:
    """A collector of nodes and edges; `holders` are the nodes that hold the layers' values.

    `given` are the output shapes of nodes. The input's is that of its first layer with a node:
    reshapes before it need none.
    """

    def __init__(self, nir: Any, network: SpikingNetwork, example: Tensor) -> None:
        self.nir, self.network = nir, network
        shapes = sample_shapes(network, example)
        self.patch = shapes[INPUT]
        # One pixel's volume [C, B, 1, 1] is a spectrum [C, B]: NIR has convolutions along that.
        self.shapes = {n: s[:2] if s[2:] == (1, 1) else s for n, s in shapes.items()}
        self.names = identifiers(network.inputs, (INPUT, "output"))
        self.holders = {INPUT: INPUT}
        self.given: dict[str, Shape] = {}
        self.nodes: dict[str, Any] = {INPUT: None}
        self.edges: list[tuple[str, str]] = []

    def add(self, name: str) -> None:
        """Add a layer after its inputs."""
        layer, sources = self.network.layers.get_submodule(name), self.network.inputs[name]
        before, after = self.shapes[sources[0]], self.shapes[name]
        holder = self.holders[sources[0]]
        reshapes = isinstance(layer, (*RESHAPES, *DROPOUTS))
        if reshapes and (before == after or holder not in self.given):
            self.holders[name] = holder
        elif isinstance(layer, WeightedSum):
            self._sum(name, layer)
        else:
            node = self._flatten if reshapes else self._computing
            self._node(self.names[name], node(name, layer, before, after), after, sources[0])
            self.holders[name] = self.names[name]

    def graph(self) -> Any:
        """Return the graph of the added layers."""
        name = next(reversed(self.network.inputs))
        output = self.nir.Output(np.array(self.shapes[name]))
        output.metadata = {"logits": "mean over the time steps"}
        self._node("output", output, self.shapes[name], name)
        self.nodes[INPUT] = self.nir.Input(np.array(self.given[INPUT]))
        self.nodes[INPUT].metadata = {
            "values": "standardised, the same at every time step",
            "patch_shape": np.array(self.patch),
        }
        metadata = {"time_steps": self.network.time_steps, "dt": DT}
        return self.nir.NIRGraph(self.nodes, self.edges, metadata=metadata)

    def _node(self, key: str, node: Any, shape: Shape, source: str) -> None:
        holder, taken = self.holders[source], self.shapes[source]
        if self.given.setdefault(holder, taken) != taken:
            raise _refusal(key, f"takes as {taken} what others take as {self.given[holder]}")
        types = {"input": taken, "output": shape}
        for way, expected in types.items():
            found = getattr(node, f"{way}_type")[way]
            if found is not None and tuple(found) != expected:
                raise _refusal(key, f"has {way} {expected}, and NIR takes it for {tuple(found)}")
        self.nodes[key], self.given[key] = node, shape
        self.edges.append((holder, key))

    def _sum(self, name: str, layer: WeightedSum) -> None:
        """Add scaled addends, and a factor of 1 for their sum: NIR sums the inputs of a node."""
        key, after, sources = self.names[name], self.shapes[name], self.network.inputs[name]
        if any(self.shapes[source] != after for source in sources):
            raise _refusal(name, "broadcasts its inputs, which NIR does not")
        for i, (source, weight) in enumerate(zip(sources, layer.weights.tolist(), strict=True)):
            addend = f"{key}.{i}"  # with a dot, so no layer's name
            self._node(addend, self.nir.Scale(np.full(after, weight)), after, source)
            self.edges.append((addend, key))
        self.nodes[key], self.given[key] = self.nir.Scale(np.ones(after)), after
        self.holders[name] = key

    def _flatten(self, name: str, layer: nn.Module, before: Shape, after: Shape) -> Any:
        for start in range(len(before)):
            for end in range(start + 1, len(before)):
                merged = math.prod(before[start : end + 1])
                if (*before[:start], merged, *before[end + 1 :]) == after:
                    return self.nir.Flatten(np.array(before), start, end)
        raise _refusal(name, f"makes {after} of {before}, and NIR only joins axes")

    def _computing(self, name: str, layer: nn.Module, before: Shape, after: Shape) -> Any:
        """Return the node of a layer with one input that computes."""
        if isinstance(layer, LIF):
            return self._neurons(layer, before)
        if isinstance(layer, nn.Linear) and len(before) == 1:
            return self.nir.Affine(_array(layer.weight), _bias(layer))
        if isinstance(layer, PopulationMean) and len(before) == 1:
            return self.nir.Linear(_array(layer.matrix(before[0])))
        if isinstance(layer, CONVOLUTIONS) and layer.padding_mode == "zeros":
            convolution = self._convolution(layer, before)
            if convolution is not None:
                return convolution
        if isinstance(layer, nn.AvgPool2d) and not layer.ceil_mode and not layer.divisor_override:
            sizes = (layer.kernel_size, layer.stride, layer.padding)
            if layer.count_include_pad or not np.any(layer.padding):
                return self.nir.AvgPool2d(*(np.broadcast_to(size, 2).copy() for size in sizes))
        raise _refusal(name, f"is {layer}, which NIR does not have")

    def _convolution(self, layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, before: Shape) -> Any:
        weight, padding = _array(layer.weight), layer.padding
        if isinstance(layer, nn.Conv2d):
            return self.nir.Conv2d(
                before[1:],
                weight,
                layer.stride,
                padding,
                layer.dilation,
                layer.groups,
                _bias(layer),
            )
        if isinstance(layer, nn.Conv3d):
            spectrum = len(before) == 2 and layer.kernel_size[1:] == (1, 1)
            if not spectrum or (not isinstance(padding, str) and any(padding[1:])):
                return None
            weight = weight[..., 0, 0]
        stride, dilation = layer.stride[0], layer.dilation[0]
        ends = padding if isinstance(padding, str) else padding[0]
        return self.nir.Conv1d(
            before[1], weight, stride, ends, dilation, layer.groups, _bias(layer)
        )

    def _neurons(self, layer: LIF, shape: Shape) -> Any:
        leak, threshold = layer.constants().leak.item(), layer.threshold.item()
        if layer.reset not in EQUATIONS:
            raise unknown_reset(layer.reset, "--format nir", tuple(EQUATIONS))
        metadata = {
            "reset": layer.reset.value,
            "equation": EQUATIONS[layer.reset],
            "v_initial": (layer.initial * layer.threshold).item(),
        }

        def all_at(value: float) -> NDArray[np.float64]:
            return np.full(shape, value)

        both = {"v_threshold": all_at(threshold), "v_reset": all_at(0.0), "metadata": metadata}
        if leak == 1:
            return self.nir.IF(r=all_at(1 / DT), **both)
        tau, r = DT / (1 - leak), 1 / (1 - leak)
        return self.nir.LIF(tau=all_at(tau), r=all_at(r), v_leak=all_at(0.0), **both)


def _array(parameter: Tensor) -> NDArray[Any]:
    values: NDArray[Any] = parameter.detach().cpu().numpy()
    return values


def _bias(layer: nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) -> NDArray[Any]:
    weight = _array(layer.weight)
    return np.zeros(len(weight), weight.dtype) if layer.bias is None else _array(layer.bias)


def _refusal(name: str, reason: str) -> InputError:
    return InputError(f"--format nir: layer {name} {reason}; --format onnx or snntorch takes it")
