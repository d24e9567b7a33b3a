"""The method "hybrid_net": one bit per weight, more where principal components ask for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("hybrid_net")
class HybridNet(MethodConfig):
    """Binary weights, with more bits in the layers that add dimensions to what they are given.

    All layers except the first, the last and, by option, shortcuts start at one bit. After
    `binary_epochs` of training, the significant ones get `bits`, and training continues.

    >>> HybridNet(bits=2).explained
    0.999
    """

    bits: int = 4
    """Bits per weight in significant layers, 2 to 8; the others have 1."""
    ends_bits: int = 8
    """Bits per weight in the first and the last layer, 2 to 8."""
    shortcut_bits: int = 1
    """Bits per weight in the projections of residual blocks, 2 to 8; 1: as other layers."""
    binary_epochs: int = 2
    """Epochs at one bit, the last of which finds the significant layers."""
    explained: float = 0.999
    """Share of the variance of a layer's outputs that its components explain."""
    delta: float = 0.0
    """Growth of the components over the layer before that makes a layer significant."""
    compare: Literal["share", "count"] = "share"
    """Growth of the components as a share of the width, or of their number."""
    rows_per_channel: float = 10.0
    """Outputs per channel that the components need; a layer with fewer is refused."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "rule"),
        cnn="weights; activations stay in floating point",
        snn="weights; components are those of the currents at every step",
        source="Chakraborty et al., Nat. Mach. Intell. 2020 (arXiv 1906.01493); shortcuts: "
        "Chakraborty et al. 2019 (arXiv 1902.00460)",
        certainty="abstracts; threshold, share of the width, bits of ends and shortcuts are ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.bits <= 8, "bits", "2 to 8")
        self.require(2 <= self.ends_bits <= 8, "ends_bits", "2 to 8")
        self.require(1 <= self.shortcut_bits <= 8, "shortcut_bits", "1 to 8")
        self.require(self.binary_epochs >= 1, "binary_epochs", "at least 1")
        self.require(0 < self.explained < 1, "explained", "above 0 and below 1")
        self.require(self.delta >= 0, "delta", "at least 0")
        self.require(self.rows_per_channel > 0, "rows_per_channel", "above 0")

    def plan(self) -> Any:
        """Return binary quantizers and the rule that allocates more bits."""
        return import_module("snnquant.quantization.bit_allocation").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: a scale belongs to one output channel."""
