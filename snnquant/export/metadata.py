"""What an exported file says about itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version

from snnquant.checkpoints import Checkpoint


def facts_of(checkpoint: Checkpoint, scene: str, class_names: Sequence[str]) -> dict[str, str]:
    """Text by name: the network, its neurons and bits, its scene and classes (JSON).

    `scene` and `class_names` may be empty, where the checkpoint came without its run.
    """
    facts = {
        "producer": f"snnquant {version('snnquant')}",
        "model": checkpoint.model.name,
        "window": str(checkpoint.model.window),
        "bands": str(checkpoint.bands),
        "classes": str(checkpoint.classes),
        "scene_digest": checkpoint.scene_digest,
        "weight_bits": str(checkpoint.bits or 32),
    }
    if checkpoint.neuron:
        facts["time_steps"] = str(checkpoint.neuron.time_steps)
        facts["reset"] = checkpoint.neuron.reset
        facts["initial_potential"] = str(checkpoint.neuron.initial)
    if scene:
        facts["scene"] = scene
        facts["class_names"] = json.dumps(list(class_names), ensure_ascii=False)
    return facts
