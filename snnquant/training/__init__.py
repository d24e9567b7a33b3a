"""One loop for CNN and SNN, scores, and checkpoints."""

from snnquant.training.checkpoint import (
    Checkpoint,
    is_checkpoint,
    load_checkpoint,
    load_state_dict,
    save_checkpoint,
)
from snnquant.training.loop import Epoch, Recipe, Samples, predict, train
from snnquant.training.metrics import Scores, confusion

__all__ = [
    "Checkpoint",
    "Epoch",
    "Recipe",
    "Samples",
    "Scores",
    "confusion",
    "is_checkpoint",
    "load_checkpoint",
    "load_state_dict",
    "predict",
    "save_checkpoint",
    "train",
]
