"""One loop for CNN and SNN, scores, and checkpoints."""

from snnquant.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from snnquant.training.loop import Epoch, Recipe, predict, train
from snnquant.training.metrics import Scores, confusion

__all__ = [
    "Checkpoint",
    "Epoch",
    "Recipe",
    "Scores",
    "confusion",
    "load_checkpoint",
    "predict",
    "save_checkpoint",
    "train",
]
