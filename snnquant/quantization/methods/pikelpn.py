"""The method "pikelpn": quantized norms and scales, and grids by a layer's role."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("pikelpn")
class PikeLPN(MethodConfig):
    """Powers of two in depthwise layers, few uniform bits in others, 8-bit scales and norms.

    What is multiplied beside the weights is narrow too: the scales of the channels, and the factors
    and terms of batch norms that the network still has.

    >>> PikeLPN().depthwise_bits, PikeLPN(bits=8).activation_bits
    (4, 8)
    """

    bits: int = 4
    """Bits per weight in pointwise and other layers, 2 to 8, on a symmetric grid per channel."""
    depthwise: Literal["shift", "uniform"] = "shift"
    """Levels of depthwise layers. shift: powers of two; uniform: those of the other layers."""
    depthwise_bits: int = 4
    """Bits per weight in depthwise layers, 2 to 8."""
    ends_bits: int = 8
    """Bits per weight in the first and the last layer, 2 to 8."""
    scale_bits: int = 8
    """Bits of a channel's scale beside one scale per layer, 2 to 16; 32 keeps floating point."""
    scale_grid: Literal["linear", "log"] = "linear"
    """Grid of scales. linear: multiples of a step, so that small scales have large errors; log: of
    their logarithms, over 16 powers of two."""
    norm_bits: int = 8
    """Bits of the factors and terms of batch norms, 2 to 16; 32 keeps floating point."""
    norm_factor: Literal["uniform", "power_of_two"] = "uniform"
    """Factors of batch norms: on a grid of norm_bits, or signed powers of two."""
    activation_bits: int = None  # type: ignore[assignment]
    """Bits of a CNN's activations, 1 to 8; 32 keeps floating point; by default those of weights."""
    about: ClassVar[About] = About(
        cnn="weights, channel scales, batch norms and activations",
        snn="weights and channel scales; batch norms are folded into them",
        source="Neseem et al., CVPR 2024 (arXiv 2404.00103)",
        certainty="abstract read; the forms of norms, scales and grids are ours",
    )

    def __post_init__(self) -> None:
        if self.activation_bits is None or self.bits == 32:
            # Filled in at once: a stored option always says all.
            object.__setattr__(self, "activation_bits", self.bits)
        super().__post_init__()
        self.require_activation_bits()
        for field in ("depthwise_bits", "ends_bits"):
            self.require(2 <= getattr(self, field) <= 8, field, "2 to 8")
        for field in ("scale_bits", "norm_bits"):
            bits = getattr(self, field)
            self.require(2 <= bits <= 16 or bits == 32, field, "2 to 16, or 32")

    def plan(self) -> Any:
        """Return the quantizers of weights by role, of norms and of activations."""
        return import_module("snnquant.quantization.double_quantization").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: a folded batch norm goes into the scales, which are rounded anew."""
