"""Checkpoints in the package's own format: safetensors with a JSON header."""

from snnquant.checkpoints.checkpoint import (
    Checkpoint,
    Header,
    is_checkpoint,
    load_checkpoint,
    read_header,
    save_checkpoint,
)

__all__ = [
    "Checkpoint",
    "Header",
    "is_checkpoint",
    "load_checkpoint",
    "read_header",
    "save_checkpoint",
]
