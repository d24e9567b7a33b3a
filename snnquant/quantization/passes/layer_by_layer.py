"""Progressive tandem learning: layers made integer one after another, each fitted to its teacher.

Sun et al. 2025 (arXiv 2512.16476), after Wu et al., Progressive Tandem Learning, TPAMI 2021.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from snnquant.errors import InputError
from snnquant.nn import evaluating, recording
from snnquant.nn.kinds import BATCH_NORMS, SYNAPSES
from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.integer_grid import ShiftedWeight, lay_activation, round_constants
from snnquant.quantization.methods.tandem import Tandem
from snnquant.quantization.passes.activation_ranges import unquantized_activations
from snnquant.quantization.passes.observed_layers import BATCH, fires, floating, latent
from snnquant.quantization.plan import Calibration, Plan

STEP = 64
"""Inputs per step of a training."""
HELD_OUT = 4
"""One of so many calibration inputs validates."""
LABELS = 0.1
"""Share of the cross-entropy with the classes beside the divergence from the teacher."""


def plan(config: Tandem) -> Plan:
    """Return integer weights and ReLUs, and the pass that fits them layer by layer."""

    def learn(network: nn.Module, seen: Calibration) -> None:
        learn_layer_by_layer(network, seen, config)

    return Plan(
        lambda weight, place: ShiftedWeight(weight, config.bits),
        activation=lambda place: QuantizedReLU(config.activation_bits),
        after=(learn,),
        trains=False,
    )


@dataclass(frozen=True)
class Stage:
    """One layer of a network as it runs: its synapse and what its output is read from."""

    synapse: str
    """Name of the convolution or dense layer."""
    end: str
    """Name of the activation or the neurons right after it, else of the layer itself."""


@dataclass(frozen=True)
class Fit:
    """Mean squared error of a layer's output against the teacher's."""

    name: str
    """Name of the convolution or dense layer."""
    before: float
    """Error after rounding to nearest."""
    after: float
    """Error after the fit, with everything on its grid."""


def learn_layer_by_layer(network: nn.Module, seen: Calibration, config: Tandem) -> list[Fit]:
    """Make a network integer, in place: layer by layer, each fitted to the network as it is.

    Args:
        network: CNN or SNN with the quantizers of `plan`, whose latent weights are the teacher.
        seen: Training pixels; a quarter validates.
        config: Epochs and rate.

    Returns:
        The error of every layer's output, before and after its fit.

    Raises:
        InputError: A batch norm is left in the network, or a layer runs twice per forward.
    """
    for name, module in network.named_modules():
        if isinstance(module, BATCH_NORMS):
            raise InputError(f"layer {name}: found a batch norm, expected it folded")
    relus = {n: m for n, m in network.named_modules() if isinstance(m, QuantizedReLU)}
    with _float_layers(network), unquantized_activations(network), evaluating(network):
        teacher = floating(network)
        student = _Student(network, teacher, relus, seen, config)
        fits = []
        for stage, *later in _tails(_stages(network, seen.inputs)):
            fits.append(student.fit(stage))
            student.train(later)
    return fits


@contextmanager
def _float_layers(network: nn.Module) -> Iterator[None]:
    """Run the block with all layers in floating point, and no parameter trained, to begin with."""
    trained = {p: p.requires_grad for p in network.parameters()}
    quantizers = [m for m in network.modules() if isinstance(m, ShiftedWeight)]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        for quantizer in quantizers:
            quantizer.on = False
        yield
    finally:
        for quantizer in quantizers:
            quantizer.on = True
        for parameter, flag in trained.items():
            parameter.requires_grad_(flag)


def _tails(stages: list[Stage]) -> Iterator[list[Stage]]:
    for i in range(len(stages)):
        yield stages[i:]


def _stages(network: nn.Module, inputs: Tensor) -> list[Stage]:
    """List the layers in the order in which they run."""
    ran: list[str] = []
    kinds = (*SYNAPSES, nn.ReLU)
    modules = {name: m for name, m in network.named_modules() if isinstance(m, kinds) or fires(m)}
    with recording(modules, lambda name, *call: ran.append(name)):
        network(inputs[:1])
    synapses = [name for name in ran if isinstance(modules[name], SYNAPSES)]
    if len(set(synapses)) < len(synapses):
        twice = next(name for name in synapses if synapses.count(name) > 1)
        raise InputError(f"layer {twice}: found two runs per forward, expected one")
    stages = []
    for place, name in enumerate(ran):
        if isinstance(modules[name], SYNAPSES):
            after = ran[place + 1] if place + 1 < len(ran) else name
            stages.append(Stage(name, name if isinstance(modules[after], SYNAPSES) else after))
    return stages


class _Reached(Exception):
    """Ends a forward at the layer whose output was wanted."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


class _Student:
    """Network whose layers become integer one after another."""

    def __init__(
        self,
        network: nn.Module,
        teacher: nn.Module,
        relus: dict[str, QuantizedReLU],
        seen: Calibration,
        config: Tandem,
    ) -> None:
        self.network, self.teacher, self.relus, self.config = network, teacher, relus, config
        self.inputs, self.classes = seen.inputs, seen.classes
        self.generator = torch.Generator().manual_seed(0)
        count = len(seen.inputs)
        order = torch.randperm(count, generator=self.generator)
        held = count // HELD_OUT
        self.validation, self.training = order[:held], order[held:]
        self.wanted = torch.cat([teacher(batch) for batch in torch.split(seen.inputs, BATCH)])
        for module in network.modules():
            if fires(module):  # without a leak, potentials are sums of whole numbers
                module.get_parameter("leak").fill_(1.0)

    def fit(self, stage: Stage) -> Fit:
        """Make a layer integer and fit weight, bias and threshold to the teacher's output."""
        layer: Any = self.network.get_submodule(stage.synapse)
        target = torch.cat(
            [_output(self.teacher, stage.end, x) for x in torch.split(self.inputs, BATCH)]
        )
        quantizer: ShiftedWeight = layer.parametrizations.weight[0]
        quantizer.on = True
        quantizer.lay(latent(layer))
        neuron = None
        if stage.end in self.relus:
            relu = self.relus[stage.end]
            lay_activation(relu, target)
            self.network.set_submodule(stage.end, relu)
        elif stage.end != stage.synapse:
            neuron = self.network.get_submodule(stage.end)
        parameters = [latent(layer), *([] if layer.bias is None else [layer.bias])]
        parameters += [] if neuron is None else [neuron.get_parameter("threshold")]

        def error(rows: Tensor) -> Tensor:
            found = _output(self.network, stage.end, self.inputs[rows])
            return functional.mse_loss(found, target[rows])

        def measured() -> float:
            """Return the error on all inputs with everything on its grid."""
            loose = [p.detach().clone() for p in parameters]
            round_constants(layer, neuron)
            everything = torch.split(torch.arange(len(target)), BATCH)
            total = math.fsum(float(error(rows)) * len(rows) for rows in everything)
            for parameter, value in zip(parameters, loose, strict=True):
                parameter.copy_(value)
            return total / len(target)

        before = measured()
        everything = torch.arange(len(target))
        after = self._descend(
            parameters, error, everything, measured, self.config.fit_epochs, self.config.fit_epochs
        )
        round_constants(layer, neuron)
        return Fit(stage.synapse, before, after)

    def train(self, later: list[Stage]) -> None:
        """Train the layers that are still in floating point until they improve no more."""
        if not later:
            return
        names = {name for stage in later for name in (stage.synapse, stage.end)}
        leaks = {
            m.get_parameter("leak") for m in map(self.network.get_submodule, names) if fires(m)
        }
        found = {p for name in names for p in self.network.get_submodule(name).parameters()}
        parameters = [p for p in self.network.parameters() if p in found - leaks]

        def validated() -> float:
            return float(self._loss(self.validation))

        limits = self.config.epochs, self.config.patience
        self._descend(parameters, self._loss, self.training, validated, *limits)

    def _loss(self, rows: Tensor) -> Tensor:
        """Return the divergence from the teacher, with a share of the cross-entropy."""
        logits, wanted = self.network(self.inputs[rows]), self.wanted[rows]
        loss = functional.kl_div(
            *(logits.log_softmax(1), wanted.log_softmax(1)), log_target=True, reduction="batchmean"
        )
        if self.classes is None:
            return loss
        return (1 - LABELS) * loss + LABELS * functional.cross_entropy(logits, self.classes[rows])

    def _descend(
        self,
        parameters: list[nn.Parameter] | list[Tensor],
        loss: Callable[[Tensor], Tensor],
        rows: Tensor,
        measured: Callable[[], float],
        epochs: int,
        patience: int,
    ) -> float:
        """Train by Adam; keep the parameters of the min measure, those at the start included."""
        optimizer = torch.optim.Adam(parameters, self.config.rate)
        best, kept, since = measured(), copy.deepcopy([p.detach() for p in parameters]), 0
        for _ in range(epochs):
            order = rows[torch.randperm(len(rows), generator=self.generator)]
            for batch in torch.split(order, STEP):
                for parameter in parameters:
                    parameter.requires_grad_()
                with torch.enable_grad():
                    gradients = torch.autograd.grad(loss(batch), parameters, allow_unused=True)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.requires_grad_(False)
                    parameter.grad = gradient
                optimizer.step()
                for parameter in parameters:
                    parameter.grad = None
                getattr(self.network, "clamp_", lambda: None)()
            found, since = measured(), since + 1
            if found < best:
                best, since = found, 0
                kept = [p.detach().clone() for p in parameters]
            if since == patience:
                break
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)
        return best


def _output(network: nn.Module, name: str, inputs: Tensor) -> Tensor:
    """Return a layer's output; of neurons the mean over the steps [N, ...]."""
    module = network.get_submodule(name)

    def stop(_: str, module: nn.Module, given: Any, output: Tensor) -> None:
        raise _Reached(output.mean(0) if fires(module) else output)

    try:
        with recording({name: module}, stop):
            network(inputs)
    except _Reached as reached:
        return reached.output
    raise AssertionError("a layer that ran before did not run again")
