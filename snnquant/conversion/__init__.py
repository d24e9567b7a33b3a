"""Conversion of a trained CNN to an SNN: its graph rewritten, thresholds calibrated."""

from snnquant.conversion.cnn_to_snn import ConversionReport, convert
from snnquant.conversion.folding import fold_batch_norm, fold_front_end, takes_front_end
from snnquant.conversion.rewriting import to_spiking

__all__ = [
    "ConversionReport",
    "convert",
    "fold_batch_norm",
    "fold_front_end",
    "takes_front_end",
    "to_spiking",
]
