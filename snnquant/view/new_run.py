"""A run that the page asks for: its options, from closed lists, and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnquant.config import (
    NETWORKS,
    ModelConfig,
    NeuronConfig,
    RunConfig,
    SplitConfig,
    TrainingConfig,
)
from snnquant.errors import InputError
from snnquant.models import require_convertible
from snnquant.pipeline.run import Run
from snnquant.scenes import Scene
from snnquant.view.drawn_areas import drawn_scene, file_name, read_areas, write_drawing

SPLITS = ("random", "blocks")
"""Splits of drawn areas."""
NUMBERS = {
    "time_steps": (1, 32, NeuronConfig().time_steps),
    "cnn_epochs": (1, 1000, TrainingConfig().cnn_epochs),
    "snn_epochs": (1, 1000, TrainingConfig().snn_epochs),
}
"""Options that are whole numbers: smallest, largest, default."""


def _is_convertible(name: str) -> bool:
    try:
        require_convertible(ModelConfig(name=name))
    except InputError:
        return False
    return True


MODELS = tuple(name for name in NETWORKS if _is_convertible(name))
"""Networks that have a spiking form."""


def runs_folder(folder: Path) -> Path | None:
    """Return the folder that new runs go to; None where the folder is a run itself."""
    return None if (folder / "config.toml").is_file() else folder


def new_run(folder: Path, scene: Scene, given: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Check what the page asks for, write its drawing, and return how the run is started.

    Args:
        folder: Folder of runs.
        scene: Scene of the cube that was drawn on.
        given: The areas, and the options "model", "split" and those of `NUMBERS`.

    Returns:
        Name of the run, and the arguments of `snnquant`.

    Raises:
        InputError: The folder is a run itself, or an area, an option or the split does not fit.
    """
    root = runs_folder(folder)
    if root is None:
        raise InputError(f"{folder}: found a run, expected a folder of runs for new ones")
    model, split = _one_of(given, "model", MODELS), _one_of(given, "split", SPLITS)
    numbers = {name: _number(given, name) for name in NUMBERS}
    areas = read_areas(given.get("areas"), scene.height, scene.width)
    drawn = drawn_scene(scene, areas)
    name, number = f"{file_name(drawn.name)}-{model}-{split}", 1
    while (root / f"{name}-{number}").exists():
        number += 1
    name = f"{name}-{number}"
    config = RunConfig(
        model=ModelConfig(name=model),
        split=SplitConfig(protocol=split),  # type: ignore[arg-type]
        neuron=NeuronConfig(time_steps=numbers["time_steps"]),
        training=TrainingConfig(cnn_epochs=numbers["cnn_epochs"], snn_epochs=numbers["snn_epochs"]),
    )
    Run.create(config, root / name, scene=drawn)  # refuses what does not fit; nothing is written
    file = write_drawing(root, drawn, areas)
    options = {"scene": file, "output": root / name, "model": model, "split": split} | numbers
    flags = [text for key, value in options.items() for text in (_flag(key), str(value))]
    return name, ("run", *flags, "--json")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _one_of(given: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = given.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name}: expected one of {', '.join(allowed)}")
    return value


def _number(given: Mapping[str, Any], name: str) -> int:
    low, high, _ = NUMBERS[name]
    value = given.get(name)
    if type(value) is not int or not low <= value <= high:
        raise InputError(f"{name}: expected a whole number, {low} to {high}")
    return value
