"""From a trained CNN to an SNN of the same shape: batch norm folded, thresholds calibrated."""

from snnquant.conversion.calibration import ConversionReport, convert
from snnquant.conversion.folding import fold_batch_norm

__all__ = ["ConversionReport", "convert", "fold_batch_norm"]
