"""From a trained CNN to an SNN of the same shape: graph rewritten, thresholds calibrated."""

from snnquant.conversion.calibration import ConversionReport, convert
from snnquant.conversion.folding import fold_batch_norm
from snnquant.conversion.rewriting import to_spiking

__all__ = ["ConversionReport", "convert", "fold_batch_norm", "to_spiking"]
