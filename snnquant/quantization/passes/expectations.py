"""Expected inputs of a CNN's layers, from the moments before its ReLUs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx, nn

from snnquant.errors import InputError
from snnquant.nn import evaluating
from snnquant.nn.kinds import AFFINE, BATCH_NORMS, DROPOUTS, SYNAPSES
from snnquant.nn.tracing import is_softmax, operation, trace, where
from snnquant.quantization.passes.layers import BATCH, moments, power_sums

LINEAR = (
    *("add", "iadd", "sub", "isub", "mul", "imul", "truediv", "itruediv", "div", "mean", "cat"),
    *("flatten", "reshape", "view", "permute", "transpose", "squeeze", "unsqueeze", "contiguous"),
    *("getitem", "dropout", "clone"),
)
"""Functions and methods whose mean output is the output of their mean input."""
PRODUCTS = ("mul", "imul", "truediv", "itruediv", "div")


def rectified_mean(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return E[max(0, z)] of Gaussians: m (1 - Phi(-m / d)) + d phi(m / d).

    Args:
        mean: Means m.
        deviation: Standard deviations d, at least 0.

    >>> rectified_mean(torch.tensor([0.0, 5.0]), torch.tensor([1.0, 0.0]))
    tensor([0.3989, 5.0000])
    """
    ratio = mean / deviation.clamp(min=torch.finfo(mean.dtype).tiny)
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    likely: Tensor = torch.special.ndtr(ratio)
    return mean * likely + deviation * density


@torch.no_grad()
def expected_inputs(network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Return the expected input [1, ...] of every convolution and dense layer of a CNN.

    The mean of the network's input goes through its layers: affine ones keep expectations, and a
    ReLU gives the mean of a rectified Gaussian. Its moments per channel are beta and |gamma| of a
    batch norm right before, else mean and deviation measured on the inputs.

    Args:
        network: CNN in floating point with ReLUs.
        inputs: Calibration inputs [N, ...].

    Raises:
        InputError: The network has an operation without a closed form.

    >>> cnn = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1), nn.ReLU(), nn.Linear(1, 2))
    >>> round(float(expected_inputs(cnn, torch.rand(8, 1))["3"]), 4)  # beta 0, gamma 1
    0.3989
    """
    graph = trace(network)
    found = _Moments(network, graph)
    with evaluating(network):
        for batch in torch.split(inputs, BATCH):
            found.run(batch)
        expectation = _Expectation(network, graph, found)
        expectation.run(inputs.double().mean(0, keepdim=True).to(inputs))
    return expectation.expected


class _Moments(fx.Interpreter):
    """Interpreter that sums what reaches every ReLU, channel by channel."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__(network, graph=graph)
        self.network = network
        self.sums: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run a node; add up count, sum and sum of squares of a ReLU's input."""
        if is_relu(n, self.network):
            values: Tensor = self.env[n.all_input_nodes[0]]
            self.sums[n] = self.sums.get(n, 0) + power_sums(values.movedim(1, 0).flatten(1))
        return super().run_node(n)

    def of(self, node: fx.Node) -> tuple[Tensor, Tensor]:
        """Return mean and deviation [C] of what reaches a ReLU."""
        before: Any = node.args[0]
        norm: Any = (
            self.network.get_submodule(before.target) if before.op == "call_module" else None
        )
        if isinstance(norm, BATCH_NORMS) and norm.affine:
            return norm.bias, norm.weight.abs()
        return moments(self.sums[node])


class _Expectation(fx.Interpreter):
    """Interpreter whose values are expectations [1, ...]."""

    def __init__(self, network: nn.Module, graph: fx.Graph, found: _Moments) -> None:
        super().__init__(network, graph=graph)
        self.extra_traceback = False  # it makes many lines of a refusal
        self.network = network
        self.moments = found
        self.expected: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run a node on expectations, or refuse it."""
        module = self.network.get_submodule(str(n.target)) if n.op == "call_module" else None
        if is_relu(n, self.network):
            (before,) = (self.env[source] for source in n.all_input_nodes)
            mean = rectified_mean(*self.moments.of(n)).to(before)
            return mean.view(-1, *[1] * (before.ndim - 2)).expand(before.shape).clone()
        if isinstance(module, SYNAPSES):
            self.expected[str(n.target)] = self.env[n.all_input_nodes[0]]
        name = operation(n)
        values = [self.env[source] for source in n.all_input_nodes]
        tensors = sum(isinstance(value, Tensor) for value in values)
        affine = isinstance(module, (*AFFINE, *BATCH_NORMS, *DROPOUTS)) or name in LINEAR
        end = is_softmax(n, self.network) or n.op in ("placeholder", "output", "get_attr")
        if not (affine or end or tensors == 0) or (name in PRODUCTS and tensors > 1):
            found = name or type(module).__name__
            raise InputError(
                f"{where(n)}: found {found}, expected ReLUs and linear layers, whose mean output "
                "follows from their mean input; empirical correction takes any"
            )
        return super().run_node(n)


def is_relu(node: fx.Node, network: nn.Module) -> bool:
    """Check whether a node is a ReLU, as a module, function or method."""
    if node.op == "call_module":
        return isinstance(network.get_submodule(str(node.target)), nn.ReLU)
    return operation(node) == "relu"
