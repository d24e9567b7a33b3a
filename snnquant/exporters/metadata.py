"""Metadata of exported files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version

from snnquant.checkpoints import Checkpoint


def metadata_of(checkpoint: Checkpoint, scene: str, class_names: Sequence[str]) -> dict[str, str]:
    """Return text by name: the network, its neurons and bits, its scene and classes (JSON).

    `scene` and `class_names` may be empty for a checkpoint without its run.
    """
    metadata = {
        "producer": f"snnquant {version('snnquant')}",
        "model": checkpoint.model.name,
        "window": str(checkpoint.model.window),
        "bands": str(checkpoint.bands),
        "classes": str(checkpoint.classes),
        "scene_digest": checkpoint.scene_digest,
        "weight_bits": str(checkpoint.bits or 32),
        "pixel_bits": str(checkpoint.normalisation.bits),
    }
    if checkpoint.neuron:
        metadata["time_steps"] = str(checkpoint.neuron.time_steps)
        metadata["reset"] = checkpoint.neuron.reset
        metadata["initial_potential"] = str(checkpoint.neuron.initial)
    if scene:
        metadata["scene"] = scene
        metadata["class_names"] = json.dumps(list(class_names), ensure_ascii=False)
    return metadata
