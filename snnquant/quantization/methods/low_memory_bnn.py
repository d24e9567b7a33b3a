"""The method "low_memory_bnn": binary networks whose training keeps bits."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from snnquant.config import About, MethodConfig, register_method


@register_method("low_memory_bnn")
class LowMemoryBNN(MethodConfig):
    """Binary weights and activations, trained in a fraction of the memory.

    What the backward pass needs is kept as bits, gradients of weights are signs, and weights and
    their momenta have 16 bits. Layers of a CNN are normalised by their mean absolute deviation,
    which ends up in the biases; an SNN keeps the spikes between its layers and recomputes the
    potentials. This holds for layers right before an activation or neurons, with nothing between.

    >>> LowMemoryBNN().mask
    True
    """

    bits: int = 1
    """Bits per weight in all layers except the last: 1."""
    min_bits: ClassVar[int] = 1
    last_bits: int = 8
    """Bits per weight in the last layer, 2 to 8."""
    learning_rate: float = 2e-3
    """Peak learning rate, of a CNN's training too: a tenth of it would hardly turn a sign."""
    mask: bool = True
    """Keep one more bit per activation of a CNN: no gradient where it was beyond -1 to 1."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "pass", "rule", "optimizer"),
        cnn="weights and activations",
        snn="weights; spikes between layers are kept as bits",
        source="Wang et al., EMDL 2021 (arXiv 2102.04270)",
        certainty="read in the authors' code; errors stay in float32; the form for SNNs is ours",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 < self.learning_rate <= 1, "learning_rate", "above 0, at most 1")
        self.require(self.bits == 1, "bits", "1")
        self.require(2 <= self.last_bits <= 8, "last_bits", "2 to 8")

    def plan(self) -> Any:
        """Return signs, binary activations, the rule that packs them and the optimizer."""
        return import_module("snnquant.quantization.packed_training").plan(self)
