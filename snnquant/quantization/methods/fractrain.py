"""The method "fractrain": a training whose precision grows."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Literal

from snnquant.config import About, MethodConfig, register_method


@register_method("fractrain")
class FracTrain(MethodConfig):
    """Weights, activations and errors of few bits at first, and more when the loss stays.

    >>> FracTrain().stages
    ((3, 6), (4, 6), (6, 8), (8, 8))
    """

    bits: int = 8
    """Bits per weight in the end, 2 to 8."""
    error_bits: int = 8
    """Bits of errors in the last stage, 2 to 8."""
    activation_bits: int = None  # type: ignore[assignment]
    """Bits of a CNN's activations in the end, 1 to 8; 32 keeps floating point; by default those of
    weights."""
    early_bits: tuple[int, ...] = (3, 4, 6)
    """Bits of weights and activations by earlier stage, at most those of the end."""
    early_error_bits: tuple[int, ...] = (6, 6, 8)
    """Bits of errors by earlier stage, at most those of the last one."""
    plateau: float = 0.05
    """Change of the loss, over the mean of the first ten, below which it stays."""
    shrink: float = 0.3
    """Factor of the plateau's threshold from stage to stage, above 0 to 1."""
    warm_up: float = 0.2
    """Share of the epochs, the warm-up of the learning rate, in which no loss counts."""
    last_from: float = 0.75
    """Share of the epochs after which the last stage begins at any loss."""
    granularity: Literal["channel", "tensor"] = "channel"
    """Scales of weights. channel: one per output channel; tensor: one per layer."""
    about: ClassVar[About] = About(
        hooks=("quantizer", "error", "rule"),
        cnn="weights and activations; in training also errors",
        snn="weights; in training also errors",
        source="Fu et al., NeurIPS 2020 (arXiv 2012.13113), its progressive part",
        certainty="read in the authors' code; warm-up, last stage in time and scales per channel "
        "are ours",
    )

    def __post_init__(self) -> None:
        if self.activation_bits is None or self.bits == 32:
            object.__setattr__(self, "activation_bits", self.bits)
        super().__post_init__()
        self.require_activation_bits()
        self.require(2 <= self.error_bits <= 8, "error_bits", "2 to 8")
        for field in ("early_bits", "early_error_bits"):
            self.require(all(2 <= b <= 8 for b in getattr(self, field)), field, "2 to 8 each")
        count = len(self.early_bits)
        self.require(
            len(self.early_error_bits) == count, "early_error_bits", f"{count}, one per early stage"
        )
        self.require(self.plateau >= 0, "plateau", "0 or more")
        self.require(0 < self.shrink <= 1, "shrink", "above 0, to 1")
        self.require(0 <= self.warm_up <= 1, "warm_up", "0 to 1")
        self.require(0 <= self.last_from <= 1, "last_from", "0 to 1")

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        """Bits of the forward and the backward pass by stage."""
        early = zip(self.early_bits, self.early_error_bits, strict=True)
        capped = ((min(f, self.bits), min(b, self.error_bits)) for f, b in early)
        return (*capped, (self.bits, self.error_bits))

    def plan(self) -> Any:
        """Return the quantizers and the rule that sets their bits."""
        return import_module("snnquant.quantization.progressive").plan(self)

    def require_channel_scales(self) -> None:
        """Raise `InputError` where one scale serves a whole layer."""
        if self.granularity != "channel":
            super().require_channel_scales()
