"""The method "eoq": training in 8 bits throughout, without batch norm."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("eoq")
class EOQ(MethodConfig):
    """Weights, activations, errors, gradients and updates of 8 bits, without batch norm.

    >>> EOQ().update
    'stochastic'
    """

    bits: int = 8
    """Bits of weights, errors, gradients, momenta and updates, 2 to 8."""
    activation_bits: int = 8
    """Bits of a CNN's activations, 1 to 8; 32 keeps floating point."""
    range: Literal["layer", "unit"] = "layer"
    """Ranges. layer: the power of two above the largest weight and activation at the start; unit:
    weights within 1 and activations within 2, as published, for training from random weights."""
    start: Literal["given", "fixup"] = "given"
    """Weights at the start. given: those the network has; fixup: those of a residual CNN are drawn
    anew so that it trains without batch norm; an SNN keeps its own."""
    seed: int = 0
    """Seed of the weights that fixup draws."""
    update: Literal["stochastic", "nearest"] = "stochastic"
    """Rounding of updates; to the nearest, steps below half of a weight's step are lost."""
    momentum: float = 0.25
    """Share of the momentum that a step keeps, 0 to below 1; 1/4 is a shift."""
    learning_rate: float = 3e-3
    """Largest update at the peak of the schedule, as a share of a weight's range."""
    weight_decay: float = 0.0
    """Share of a weight that an update removes, per unit of the rate."""
    neuron_rate: float = 2e-3
    """Peak rate of AdamW on leaks and thresholds, which stay in floating point."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "error", "pass", "optimizer"),
        cnn="weights, biases, activations; in training also errors, gradients, updates",
        snn="weights, biases; in training also errors, gradients, updates; no batch norm",
        source="Yang, Chi, Deng, Yan, Gao, Li 2021 (arXiv 2105.13890); quantizers of its authors' "
        "WAGEUBN",
        certainty="quantizers read in the authors' code of WAGEUBN; 8-bit updates and momenta and "
        "the ranges of layers are ours; Fixup: arXiv 1901.09321, recalled",
    )

    def __post_init__(self) -> None:
        if self.bits == 32:
            object.__setattr__(self, "activation_bits", 32)
        super().__post_init__()
        self.require_activation_bits()
        self.require(0 <= self.momentum < 1, "momentum", "0 to below 1")
        self.require(self.learning_rate > 0, "learning_rate", "above 0")
        self.require(self.weight_decay >= 0, "weight_decay", "0 or more")
        self.require(self.seed >= 0, "seed", "at least 0")
        self.require(self.neuron_rate > 0, "neuron_rate", "above 0")

    def plan(self) -> Any:
        """Return the quantizers and the descent in fixed point."""
        return import_module("snnquant.quantization.fixed_point").plan(self)
