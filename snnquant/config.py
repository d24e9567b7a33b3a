"""What a run can be told: frozen dataclasses, read by the command line and stored in every run.

Only the standard library is imported here, so that `snnquant --help` stays fast.
Every class checks its own values and raises `InputError` naming the option.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from snnquant.errors import InputError


def _require(condition: bool, option: str, found: object, expected: str) -> None:
    if not condition:
        raise InputError(f"{option}: found {found}, expected {expected}")


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How the labelled pixels are divided into training, validation and test."""

    protocol: Literal["random", "blocks", "mask"] = "random"
    """random: stratified by class; blocks: whole spatial blocks with a guard band; mask: the scene card's fixed mask."""
    train_fraction: float = 0.4
    """Share of the labelled pixels (random) or of the blocks (blocks) given to training, validation included."""
    validation_fraction: float = 0.1
    """Share of the training pixels held out for every choice that is made."""
    block_size: int = 16
    """Side of a spatial block in pixels (blocks only)."""

    def __post_init__(self) -> None:
        protocols = ("random", "blocks", "mask")
        _require(self.protocol in protocols, "--split.protocol", self.protocol, f"one of {protocols}")
        for name in ("train_fraction", "validation_fraction"):
            value = getattr(self, name)
            _require(0 < value < 1, f"--split.{name}", value, "a number between 0 and 1")
        _require(self.block_size >= 2, "--split.block_size", self.block_size, "at least 2 pixels")


@dataclass(frozen=True, kw_only=True)
class QuantizationConfig:
    """Uniform quantization of the weights, and of leaks and thresholds if asked."""

    bits: int = 6
    """Bits of a weight, 2 to 8."""
    scheme: Literal["symmetric", "affine"] = "symmetric"
    """symmetric: levels -(2^(b-1)-1) .. 2^(b-1)-1 around 0; affine: 2^b levels between minimum and maximum."""
    granularity: Literal["channel", "tensor"] = "channel"
    """One scale an output channel, or one a tensor."""
    clip: Literal["max", "mse"] = "max"
    """max: the range follows the largest weight; mse: fixed where the squared error is least."""
    neuron_bits: int | None = None
    """Fixed-point bits of leak and threshold; none leaves them in floating point."""

    def __post_init__(self) -> None:
        _require(2 <= self.bits <= 8, "--quantization.bits", self.bits, "2 to 8")
        if self.neuron_bits is not None:
            _require(2 <= self.neuron_bits <= 16, "--quantization.neuron_bits", self.neuron_bits, "2 to 16")
        for name, allowed in (
            ("scheme", ("symmetric", "affine")),
            ("granularity", ("channel", "tensor")),
            ("clip", ("max", "mse")),
        ):
            value = getattr(self, name)
            _require(value in allowed, f"--quantization.{name}", value, f"one of {allowed}")


@dataclass(frozen=True, kw_only=True)
class NeuronConfig:
    """The leaky integrate-and-fire neuron and how long it runs."""

    time_steps: int = 5
    """Time steps T of one classification."""
    reset: Literal["delayed", "same_step", "zero"] = "delayed"
    """delayed: V is taken off one step after the spike (ACE-SNN); same_step: at once; zero: the potential restarts at 0."""
    surrogate: Literal["triangle", "arctan", "boxcar"] = "triangle"
    """Stands in for the derivative of the spike."""
    surrogate_scale: float = 0.3
    """Height of the surrogate (gamma)."""
    surrogate_width: float = 1.0
    """Half width of the surrogate in units of the threshold."""

    def __post_init__(self) -> None:
        _require(self.time_steps >= 1, "--neuron.time_steps", self.time_steps, "at least 1")
        _require(self.surrogate_scale > 0, "--neuron.surrogate_scale", self.surrogate_scale, "above 0")
        _require(self.surrogate_width > 0, "--neuron.surrogate_width", self.surrogate_width, "above 0")
        for name, allowed in (
            ("reset", ("delayed", "same_step", "zero")),
            ("surrogate", ("triangle", "arctan", "boxcar")),
        ):
            value = getattr(self, name)
            _require(value in allowed, f"--neuron.{name}", value, f"one of {allowed}")
