"""Preparation of a run: its folder, the classes and pixels that take part, its batches, history."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import torch
from torch import Tensor, nn

from snnquant.checkpoints import Checkpoint
from snnquant.config import RunConfig, SplitConfig, options_of, run_config_type, write_config
from snnquant.config.methods import ACTIVATION_BITS, MethodConfig
from snnquant.config.options import STAGES
from snnquant.config.scaling_names import MERGED_SHRINKAGE, WITHIN_CLASS
from snnquant.errors import InputError
from snnquant.io import replacing, write_json
from snnquant.models import spans_all_bands
from snnquant.nn import layer_table
from snnquant.quantization import activation_bits
from snnquant.sampling import Split
from snnquant.sampling.normalisation import read_scaling
from snnquant.scenes import Scene
from snnquant.scenes.pixels import remark
from snnquant.spiking import SpikingNetwork
from snnquant.stored_networks import Network, twin_activation_bits
from snnquant.training import Epoch

LAYER_VALUES = 2**25
"""Values of a network's largest layer, over all time steps, that are computed at once."""


PROTOCOLS = get_args(get_type_hints(SplitConfig)["protocol"])
"""Protocols by which a configuration divides pixels; a split made in Python has another name."""


def given(split: Split) -> Split:
    """Return a split made in Python under a name that no protocol has."""
    return split if is_given(split) else replace(split, protocol=f"given ({split.protocol})")


def is_given(split: Split) -> bool:
    """Tell a split that was made in Python from that of a configuration."""
    return split.protocol not in PROTOCOLS


def store(config: RunConfig, folder: Path) -> None:
    """Write the options of a run; raise `InputError` if that fails."""
    with replacing(folder / "config.toml") as temporary:
        temporary.write_text(write_config(config), encoding="utf-8")


def check_pixels(scene: Scene, split: Split) -> None:
    """Raise `InputError` for a scene of one class, and for pixels of a split without data."""
    if scene.classes < 2:
        found = f"found one class ({scene.class_names[0]})"
        raise InputError(f"scene {scene.name}: {found}, expected two or more to tell apart")
    pixels = np.concatenate([split.train, split.val, split.test])
    lost = int(np.count_nonzero(~scene.valid.ravel()[pixels[pixels < scene.valid.size]]))
    if lost:
        raise InputError(f"split: found {lost} pixels without data, expected pixels that have some")


def check_origin(
    checkpoint: Checkpoint, file: Path, name: Network, scene: Scene, config: RunConfig
) -> None:
    """Raise `InputError` unless a network was made for this scene and with these options."""
    same_scene = name is Network.CNN_FP32 or checkpoint.scene_digest == scene.digest
    shape = (checkpoint.bands, checkpoint.classes)
    if not same_scene or shape != (scene.bands, scene.classes):
        raise InputError(f"{file}: made for another scene, expected one for {config.scene}")
    method = twin_method(config) if name is Network.CNN_TWIN else config.quantization
    for own in (checkpoint.model, checkpoint.quantization, checkpoint.neuron):
        if own and own not in (config.model, method, config.neuron):
            raise InputError(f"{file}: found {own}, expected it as in the run's config.toml")


def twin_method(config: RunConfig) -> MethodConfig | None:
    """Return the quantization of the SNN's twin; None where the method quantizes no activation."""
    method, bits = config.quantization, twin_activation_bits(config.neuron.time_steps)
    fits = method.bits != 32 and hasattr(method, "activation_bits") and bits in ACTIVATION_BITS
    return replace(method, activation_bits=bits) if fits else None  # type: ignore[call-arg]


def large_classes(scene: Scene, config: SplitConfig) -> Scene:
    """Return a scene without its small classes, which are named on stderr."""
    large = scene.without_small_classes(config.drop_small_classes)
    gone = [name for name in scene.class_names if name not in large.class_names]
    if gone:
        limit = f"fewer than {config.drop_small_classes} pixels (--drop-small-classes)"
        remark(f"scene {scene.name}: left out {', '.join(gone)}: {limit}")
    return large


def with_scaling(config: RunConfig, scene: Scene) -> RunConfig:
    """Return a run's options with the scaling that they leave open.

    It is that of the scene's card; else, where a whitening matrix merges into quantized weights,
    within-class whitening that these hold, unless held-out blocks choose.
    """
    if config.scaling == WITHIN_CLASS and merges_whitening(config):
        return replace(config, scaling=f"{WITHIN_CLASS}:{MERGED_SHRINKAGE:g}")
    if config.scaling != "auto":
        return config
    if scene.scaling is None:
        chosen = config.split.validates_on_blocks or not merges_whitening(config)
        return config if chosen else replace(config, scaling=f"{WITHIN_CLASS}:{MERGED_SHRINKAGE:g}")
    try:
        if scene.scaling.endswith(".npz"):
            read_scaling(Path(scene.scaling), scene.bands)
        return replace(config, scaling=scene.scaling)
    except InputError as error:
        raise InputError(f"card {scene.name}: {str(error).removeprefix('--')}") from None


def merges_whitening(config: RunConfig) -> bool:
    """Tell whether whitening becomes part of a network's first weights and is quantized there."""
    model = config.model
    square = not model.components and "log-derivative" not in model.forms
    return config.pixel_bits != 32 and square and spans_all_bands(model)


def free_folder(config: RunConfig, scene_name: str) -> Path:
    """Return `runs/SCENE-MODEL-SPLIT-seedN`, numbered if that exists."""
    scene = "".join(c if c.isalnum() or c in "._" else "-" for c in scene_name)
    model = Path(config.model.name.rpartition(":")[2]).stem  # of a class, or of a file
    name = f"{scene}-{model}-{config.split.protocol}-seed{config.seed}"
    path, number = Path("runs") / name, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{name}-{number}"
    return path


def require_new(path: Path | None) -> None:
    """Raise `InputError` where a new run would meet files of something else."""
    if path is not None and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: exists and is not empty, expected a new folder or --resume")


def write_history(path: Path, stage: str, history: list[Epoch]) -> None:
    """Put a stage's epochs into history.csv in the order of `Network`, replacing those it held."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["stage"] != stage]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)])
        writer.writeheader()
        rows += [asdict(row) for row in history]
        order = {network.stage: place for place, network in enumerate(Network)}
        writer.writerows(sorted(rows, key=lambda row: order[row["stage"]]))


FIGURES = "training.json"
"""File of what the rules of quantization methods report of their trainings."""


def write_figures(path: Path, stage: str, figures: dict[str, float]) -> None:
    """Put a stage's figures into training.json, replacing those it held."""
    write_json(path, read_figures(path) | {stage: figures})


def read_figures(path: Path) -> dict[str, dict[str, float]]:
    """Return the figures of a training.json by stage; a missing file has none."""
    found: dict[str, dict[str, float]] = {}
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
    return found


def unlabelled(config: RunConfig, scene: Scene) -> torch.Tensor | None:
    """Return flat indices of the pixels with data and without a label; None if none are used."""
    if config.training.unlabelled == 0:
        return None
    pixels = np.flatnonzero((scene.labels == 0) & scene.valid)
    if not len(pixels):
        raise InputError(f"--unlabelled: {config.scene} has no pixel without a label")
    return torch.from_numpy(pixels)


KEY_MAP = "key_map.json"
"""File of an imported CNN's origin; a run that has it did not train its CNN."""


def changed(
    own: RunConfig, asked: RunConfig, present: Collection[Network], imported: bool
) -> RunConfig:
    """Return a run's options with those that were asked for in training its SNN.

    Args:
        own: Options of the run.
        asked: The options that are wanted; its scene is left out.
        present: Networks that the run has.
        imported: True if the CNN was not trained here, so that training options are free.

    Raises:
        InputError: An option decided on a network that the run has.
    """
    for option in options_of(run_config_type(type(own.quantization))):
        free = imported and option.path[0] == "training"
        wanted = option.value(asked) if type(asked.quantization) is type(own.quantization) else None
        if option.name == "scene" or wanted == option.value(own):
            continue
        late = STAGES.index(option.stage) >= STAGES.index("snn") or free
        quantized = option.stage == "cnn_quantized" and Network.CNN_QUANTIZED not in present
        if Network.SNN_TRAINED in present or not (late or quantized):
            expected = f"expected {option.value(own)}, with which the run's networks were made"
            raise InputError(f"{option.flag}: found {wanted}, {expected}")
    return replace(asked, scene=own.scene)


def activation_width(network: nn.Module | None) -> int:
    """Return the max bits per activation of a CNN; 32 without it or where none is quantized."""
    return max(activation_bits(network).values(), default=32) if network else 32


def batch_size_for(network: nn.Module, example: Tensor) -> int:
    """Return how many patches like `example` [1, ...] fit the memory, at any window and T."""
    steps = network.time_steps if isinstance(network, SpikingNetwork) else 1
    layers = [math.prod(info.output_shape) for info in layer_table(network, example)]
    return min(512, max(1, LAYER_VALUES // (steps * max(layers))))
