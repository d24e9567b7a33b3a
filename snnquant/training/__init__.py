"""Training: one loop for CNN and SNN, scores, synapse norms, the spike penalty, trackers."""

from snnquant.training.loop import Samples, adamw, predict, steps_per_epoch, train
from snnquant.training.loss import Teacher
from snnquant.training.metrics import Scores, confusion
from snnquant.training.potential_grids import PotentialGrids
from snnquant.training.resumable import Epoch, Stage
from snnquant.training.spike_penalty import AccumulateMeter, SpikePenalty
from snnquant.training.synapse_norm import SynapseNorms
from snnquant.training.tracking import TRACKERS, Tracker

__all__ = [
    "TRACKERS",
    "AccumulateMeter",
    "Epoch",
    "PotentialGrids",
    "Samples",
    "Scores",
    "SpikePenalty",
    "Stage",
    "SynapseNorms",
    "Teacher",
    "Tracker",
    "adamw",
    "confusion",
    "predict",
    "steps_per_epoch",
    "train",
]
