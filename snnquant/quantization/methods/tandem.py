"""The method "tandem": an integer network fitted layer by layer to its teacher."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from snnquant.config import About, MethodConfig, register_method


@register_method("tandem")
class Tandem(MethodConfig):
    """Integer layers without norm, each fitted to the teacher's on what the student gives it.

    From the first to the last, a layer is made integer, fitted to the output of the same layer in
    floating point and frozen; the layers after it are then trained until they improve no more. The
    scales are powers of two, one per layer, biases and thresholds are whole multiples of them.

    >>> Tandem(bits=4).activation_bits
    4
    """

    bits: int = 4
    """Bits per weight, 2 to 8."""
    activation_bits: int = None  # type: ignore[assignment]
    """Bits of a CNN's activations, 1 to 8; by default those of weights."""
    fit_epochs: int = 30
    """Epochs in which a layer is fitted to the teacher's."""
    epochs: int = 40
    """Max epochs in which the layers after it are trained."""
    patience: int = 6
    """Epochs without a better validation loss that end this training."""
    rate: float = 1e-3
    """Learning rate of Adam."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "pass"),
        cnn="weights, activations and biases",
        snn="weights, biases and thresholds; the neurons no longer leak",
        source="Sun et al. 2025 (arXiv 2512.16476); Wu et al., TPAMI 2021",
        certainty="abstract, and the authors' code of Wu et al.; scales of powers of two are ours",
    )

    def __post_init__(self) -> None:
        if self.activation_bits is None:
            object.__setattr__(self, "activation_bits", self.bits)
        super().__post_init__()
        self.require(self.bits <= 8, "bits", "2 to 8")
        self.require(1 <= self.activation_bits <= 8, "activation_bits", "1 to 8")
        for field in ("fit_epochs", "epochs", "patience"):
            self.require(getattr(self, field) >= 1, field, "at least 1")
        self.require(0 < self.rate <= 1, "rate", "above 0, at most 1")

    def plan(self) -> Any:
        """Return integer weights and activations, and the pass that fits them."""
        return import_module("snnquant.quantization.passes.layer_by_layer").plan(self)

    def require_channel_scales(self) -> None:
        """Accept: the SNN's batch norms are folded before anything is quantized."""
