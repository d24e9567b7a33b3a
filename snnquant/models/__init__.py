"""The networks: two of this package, made to spike, and those of published papers."""

from snnquant.models.own import build_model, spans_all_bands
from snnquant.models.published import require_convertible
from snnquant.models.summary import ModelSummary, summarise_models

__all__ = [
    "ModelSummary",
    "build_model",
    "require_convertible",
    "spans_all_bands",
    "summarise_models",
]
