"""One loop for CNN and SNN, its scores, synapse norms and the penalty on spikes."""

from snnquant.training.loop import Epoch, Recipe, Samples, predict, train
from snnquant.training.metrics import Scores, confusion
from snnquant.training.spike_penalty import AccumulateMeter
from snnquant.training.synapse_norm import SynapseNorms

__all__ = [
    "AccumulateMeter",
    "Epoch",
    "Recipe",
    "Samples",
    "Scores",
    "SynapseNorms",
    "confusion",
    "predict",
    "train",
]
