"""The macro model against measured chips: fitted to all of them, and to all but one."""

from pim_sim.validation.chips import Chip, Figure, measured_chips
from pim_sim.validation.draw import draw_parity
from pim_sim.validation.fit import Validation, fit_scales, validate
from pim_sim.validation.references import Reference, summarise_references
from pim_sim.validation.survey import SurveyRow, check_survey, summarise_survey, survey_to_dict

__all__ = [
    "Chip",
    "Figure",
    "Reference",
    "SurveyRow",
    "Validation",
    "check_survey",
    "draw_parity",
    "fit_scales",
    "measured_chips",
    "summarise_references",
    "summarise_survey",
    "survey_to_dict",
    "validate",
]
