"""Checkpoints in the package's own format: safetensors with a JSON header."""

from snnquant.checkpoints.checkpoint import (
    Checkpoint,
    is_checkpoint,
    load_checkpoint,
    save_checkpoint,
)

__all__ = ["Checkpoint", "is_checkpoint", "load_checkpoint", "save_checkpoint"]
