"""Configuration of an analog layer: converters, columns, and the size of each deviation."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Self, get_args

from pim_sim.hardware import Hardware, InputSigns, Noise, WeightSigns
from pim_sim.schema import check_choice, check_integer, check_number, refuse


@dataclass(frozen=True, kw_only=True)
class AnalogConfig:
    """A layer on analog columns; every default is ideal.

    Raises `InputError`, one line naming the field, for an impossible value.

    >>> AnalogConfig(input_bits=6, adc_bits=6).rows is None
    True
    """

    input_bits: int | None = None
    """Bits of an input value at the DAC, sign included; None for exact values."""
    input_bits_per_step: int | None = None
    """Input bits of one conversion; the steps are added digitally. None for all at once."""
    input_signs: InputSigns | None = None
    """Inputs of both signs as a sign beside the steps ("magnitude"; unsigned inputs waste its bit),
    or with an offset on all inputs, whose product with the weights is subtracted digitally and
    exactly; None for a sign that takes a bit of signed inputs only."""
    weight_bits: int | None = None
    """Bits of a weight, sign included, laid over each filter's largest weight (which leaves codes
    of a symmetric quantizer per filter as they are); None for the weights as they come."""
    weight_bits_per_column: int | None = None
    """Weight bits of one column; the columns are added digitally. None for all in one."""
    weight_signs: WeightSigns = "differential"
    """Both signs by two cells that are subtracted before the conversion, or by an offset on every
    weight, whose product with the inputs is subtracted digitally and exactly."""
    adc_bits: int | None = None
    """Bits of a conversion; None for exact sums."""
    rows: int | None = None
    """Products summed before a conversion; longer sums are added digitally. None for all."""
    percentile: float = 100.0
    """Share in percent of the calibration's magnitudes that the DAC's and the ADC's range holds;
    100 is the largest."""
    clip: float | None = None
    """Sum at which a bit line saturates, in products of full input and full weight."""
    noise: Noise = field(default_factory=Noise)
    """Noise, mismatch, non-linearity and supply droop."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("input_bits", 1, 16),
            ("input_bits_per_step", 1, 16),
            ("weight_bits", 2, 16),
            ("weight_bits_per_column", 1, 16),
            ("adc_bits", 1, 16),
            ("rows", 1, 2**31 - 1),
        ):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), low, high)
        check_choice("weight_signs", self.weight_signs, get_args(WeightSigns))
        if self.input_signs is not None:
            check_choice("input_signs", self.input_signs, get_args(InputSigns))
        check_number("percentile", self.percentile, 50, 100)
        if self.clip is not None:
            check_number("clip", self.clip, 1e-6, 1e9)
        for part, whole in (
            ("input_bits_per_step", "input_bits"),
            ("weight_bits_per_column", "weight_bits"),
        ):
            if getattr(self, part) is not None and getattr(self, whole) is None:
                raise refuse(whole, None, f"a number of bits beside {part}")
        for name in ("thermal_lsb", "thermal", "offset_lsb", "inl_lsb"):
            if getattr(self.noise, name) and self.adc_bits is None:
                raise refuse("adc_bits", None, f"a number of bits beside noise.{name}")

    @classmethod
    def of_hardware(cls, hardware: Hardware, *, input_bits: int, weight_bits: int) -> Self:
        """Return the columns of a hardware file, for inputs and weights of these bits.

        A digital macro computes exactly on the quantized values.
        """
        engine = hardware.engine
        per_step, per_column = engine.input_bits_per_conversion, engine.weight_bits_per_column
        if not engine.converts:
            return cls(input_bits=input_bits, weight_bits=weight_bits)
        return cls(
            input_bits=input_bits,
            input_bits_per_step=per_step if per_step < input_bits else None,
            input_signs=engine.input_signs,
            weight_bits=weight_bits,
            weight_bits_per_column=per_column if per_column < weight_bits else None,
            weight_signs=engine.weight_signs,
            adc_bits=engine.adc_bits,
            rows=engine.products_at_once,
            noise=hardware.noise,
        )

    def with_value(self, name: str, value: float | str | None) -> Self:
        """Return a copy with one parameter changed, of the configuration or of its noise."""
        if name in {f.name for f in fields(self.noise)}:
            return replace(self, noise=replace(self.noise, **{name: value}))  # type: ignore[arg-type]
        known = {f.name for f in fields(self)} - {"noise"}
        if name not in known:
            everything = sorted(known | {f.name for f in fields(self.noise)})
            raise refuse("parameter", name, f"one of {', '.join(everything)}")
        return replace(self, **{name: value})  # type: ignore[arg-type]
