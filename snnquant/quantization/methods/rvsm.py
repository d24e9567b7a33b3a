"""The method "rvsm": weights that training draws towards sparse copies of themselves."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("rvsm")
class RVSM(MethodConfig):
    """Relaxed variable splitting: the network that is kept has zeros where weights are small.

    A copy u of every weight w minimises a penalty plus the squared distance from w; w trains by
    its gradient and is drawn towards u. The copy is validated and kept.

    >>> RVSM(penalty="l1").strength
    0.1
    """

    bits: int = 6
    """Bits per weight that is left, 2 to 8, on a symmetric grid per output channel."""
    penalty: Literal["l0", "l1", "tl1"] = "l0"
    """Penalty on the copy: number of weights, their sum, or transformed l1 between both."""
    strength: float = 0.1
    """Penalty over the stiffness of the spring, in units of the layer's mean square weight: l0
    removes weights below sqrt(2 strength) root mean squares."""
    pull: float = 1e-3
    """Share of the distance from the copy that every step takes away, 0 to 1."""
    shape: float = 1.0
    """Form of tl1: near 0 as l0, large as l1."""
    weight_decay: float = 5e-4
    """Weight decay of the training: more of it shrinks weights whose size decides."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "rule"),
        cnn="weights; activations stay in floating point",
        source="Dinh, Xin 2018 (arXiv 1812.05719, 1901.09731)",
        certainty="read in the authors' code; strength by the layer's size is ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.bits <= 8, "bits", "2 to 8")
        self.require(self.strength >= 0, "strength", "0 or more")
        self.require(0 <= self.pull <= 1, "pull", "0 to 1")
        self.require(self.shape > 0, "shape", "above 0")
        self.require(self.weight_decay >= 0, "weight_decay", "0 or more")

    def plan(self) -> Any:
        """Return quantizers that keep zeros and the rule that makes them."""
        return import_module("snnquant.quantization.variable_splitting").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: a scale belongs to one output channel."""
