"""The macro model against measured chips: fitted to all of them, and to all but one."""

from pim_sim.validation.chips import Chip, Figure, measured_chips
from pim_sim.validation.fit import Validation, fit_scales, validate

__all__ = ["Chip", "Figure", "Validation", "fit_scales", "measured_chips", "validate"]
