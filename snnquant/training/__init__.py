"""One loop for CNN and SNN, scores, and checkpoints."""

from snnquant.training.checkpoint import (
    Checkpoint,
    is_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from snnquant.training.foreign import load_state_dict
from snnquant.training.keymap import KeyMap, load_matching
from snnquant.training.loop import Epoch, Recipe, Samples, predict, train
from snnquant.training.metrics import Scores, confusion

__all__ = [
    "Checkpoint",
    "Epoch",
    "KeyMap",
    "Recipe",
    "Samples",
    "Scores",
    "confusion",
    "is_checkpoint",
    "load_checkpoint",
    "load_matching",
    "load_state_dict",
    "predict",
    "save_checkpoint",
    "train",
]
