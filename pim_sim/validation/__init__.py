"""The macro model against measured chips: fitted to all of them, and to all except one."""

from pim_sim.validation.measured_chips import Chip, Figure, measured_chips
from pim_sim.validation.measured_operations import (
    MeasuredOperation,
    geometric_error,
    operation_pj,
    place_operations,
)
from pim_sim.validation.references import Reference, references
from pim_sim.validation.scale_fit import Prediction, Validation, fit_scales, validate
from pim_sim.validation.survey_check import SurveyRow, check_survey, survey_to_dict

__all__ = [
    "Chip",
    "Figure",
    "MeasuredOperation",
    "Prediction",
    "Reference",
    "SurveyRow",
    "Validation",
    "check_survey",
    "fit_scales",
    "geometric_error",
    "measured_chips",
    "operation_pj",
    "place_operations",
    "references",
    "survey_to_dict",
    "validate",
]
