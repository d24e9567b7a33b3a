"""The macro model against measured chips: fitted to all of them, and to all except one family."""

from pim_sim.validation.fit_file import FittedChip, fit_file
from pim_sim.validation.law_fit import fit_scales
from pim_sim.validation.left_out import LeftOut, Missed, leave_out
from pim_sim.validation.measured_chips import QUANTITIES, Measured, Quantity, measured_chips
from pim_sim.validation.references import Reference, references
from pim_sim.validation.silicon import Silicon, beside_silicon, operation_pj
from pim_sim.validation.survey_check import SurveyRow, check_survey, survey_to_dict
from pim_sim.validation.validate import Validation, validate

__all__ = [
    "QUANTITIES",
    "FittedChip",
    "LeftOut",
    "Measured",
    "Missed",
    "Quantity",
    "Reference",
    "Silicon",
    "SurveyRow",
    "Validation",
    "beside_silicon",
    "check_survey",
    "fit_file",
    "fit_scales",
    "leave_out",
    "measured_chips",
    "operation_pj",
    "references",
    "survey_to_dict",
    "validate",
]
