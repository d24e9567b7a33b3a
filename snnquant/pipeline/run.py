"""A run directory: the configuration, the split, the networks and what the stages share."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import int64
from numpy.typing import NDArray
from torch import nn

from snnquant.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from snnquant.config import MethodConfig, RunConfig, read_config, write_config
from snnquant.energy import find_hardware
from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.models import build_model
from snnquant.nn import GraphNetwork
from snnquant.sampling import Normalisation, Patches, Split, make_split
from snnquant.sampling.patches import CPU
from snnquant.scenes import Scene, load_mask, load_scene
from snnquant.spiking import SpikingNetwork, build_neuron
from snnquant.training import AccumulateMeter, Epoch, Samples, Stage, train

CHECKPOINTS = {
    "cnn_fp32": "cnn.safetensors",
    "cnn_quantized": "cnn_quantized.safetensors",
    "snn_converted": "snn_converted.safetensors",
    "snn_trained": "snn.safetensors",
}
"""The four networks of a run, as they are called in metrics.json, and their files."""
Progress = Callable[[str, int, int, str], None]
"""Told the stage, how much of it is done, how much there is, and a remark."""


def silent(stage: str, done: int, total: int, remark: str) -> None:
    """The progress of a library caller who wants none."""


@dataclass(frozen=True)
class Run:
    """A run directory and what its stages share.

    `device` is where torch computes. It is no part of the configuration: files are the same
    wherever they were written, and a run may go on elsewhere.
    """

    path: Path
    config: RunConfig
    progress: Progress = silent
    device: torch.device = CPU

    @classmethod
    def create(
        cls,
        config: RunConfig,
        path: Path | None = None,
        progress: Progress = silent,
        device: torch.device = CPU,
    ) -> Run:
        """A new run that goes to `path`, by default to a new folder under `runs`.

        Nothing is written before the first network is begun, or brought along.
        Raises InputError where `path` holds files already, or the scene, the split, the network or
        the hardware cannot be had.
        """
        if path is not None and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{path}: exists and is not empty, expected a new folder or --resume")
        find_hardware(config.hardware)
        run = cls(path or _free_folder(config), config, progress, device)
        _ = run.split
        build_neuron(config.neuron)  # refuses an unknown name before anything is trained
        if not config.model.is_own:
            with torch.device("meta"):  # shapes alone: what matters is whether it can be built
                build_model(config.model, run.scene.bands, run.scene.classes)
        return run

    @classmethod
    def open(cls, path: Path, progress: Progress = silent, device: torch.device = CPU) -> Run:
        """Go on with the run in `path`; InputError where there is none, or its scene changed."""
        if not path.is_dir():
            raise InputError(f"{path}: no such folder, expected a run directory")
        run = cls(path, read_config(path / "config.toml"), progress, device)
        if (path / "split.npz").exists():
            saved = Split.load(path / "split.npz")
            if saved.digest != run.split.digest:
                raise InputError(
                    f"{path}/split.npz: found a split that scene and options don't give"
                )
        run.write()
        return run

    def write(self) -> None:
        """Write the configuration and the split, where they are not there yet.

        Raises InputError where they cannot be written; a folder made for them is gone again then.
        """
        new = not self.path.exists()
        try:
            if not (self.path / "config.toml").exists():
                with replacing(self.path / "config.toml") as temporary:
                    temporary.write_text(write_config(self.config), encoding="utf-8")
            if not (self.path / "split.npz").exists():
                self.split.save(self.path / "split.npz")
        except InputError:
            if new:
                shutil.rmtree(self.path, ignore_errors=True)
            raise

    @property
    def quantization(self) -> MethodConfig | None:
        """How weights are quantized; None at 32 bits."""
        return None if self.config.quantization.bits == 32 else self.config.quantization

    @cached_property
    def scene(self) -> Scene:
        """The scene, read once."""
        return load_scene(self.config.scene)

    @cached_property
    def split(self) -> Split:
        """Training, validation and test pixels; a function of the configuration alone."""
        mask = load_mask(self.config.scene) if self.config.split.protocol == "mask" else None
        config = self.config
        return make_split(self.scene, config.split, config.model.window, config.seed, mask)

    @cached_property
    def normalisation(self) -> Normalisation:
        """Statistics of the training pixels, or those of the CNN that was brought along."""
        file = self.path / CHECKPOINTS["cnn_fp32"]
        if file.exists():
            return load_checkpoint(file).normalisation
        return Normalisation.fit(self.scene, self.split.train, self.config.model.components)

    @cached_property
    def patches(self) -> Patches:
        """Patches of the normalised scene."""
        window = self.config.model.window
        return Patches(self.scene.cube, window, self.normalisation, self.device)

    def samples(self, pixels: NDArray[int64]) -> Samples:
        """Pixels with their classes from 0."""
        classes = self.scene.labels.reshape(-1)[pixels] - 1
        return Samples(self.patches, torch.from_numpy(pixels), torch.from_numpy(classes))

    def has(self, name: str) -> bool:
        """Whether the network `name` of CHECKPOINTS is there."""
        return (self.path / CHECKPOINTS[name]).exists()

    def present(self) -> list[str]:
        """Names of the networks that are there; InputError where there is none."""
        names = [name for name in CHECKPOINTS if self.has(name)]
        if not names:
            raise InputError(f"{self.path}: holds no trained network, expected at least a CNN")
        return names

    def load(self, name: str) -> Checkpoint:
        """The network `name` of CHECKPOINTS, on the run's device.

        Raises InputError where its stage has not run, or it was made for another scene or with
        other options than the run's; a CNN that was brought along may be of another scene.
        """
        file = self.path / CHECKPOINTS[name]
        if not file.exists():
            raise InputError(f"{file}: no such file, expected the result of an earlier stage")
        checkpoint = load_checkpoint(file)
        scene, config = self.scene, self.config
        same_scene = name == "cnn_fp32" or checkpoint.scene_digest == scene.digest
        shape = (checkpoint.bands, checkpoint.classes)
        if not same_scene or shape != (scene.bands, scene.classes):
            raise InputError(f"{file}: made for another scene, expected one for {config.scene}")
        for own in (checkpoint.model, checkpoint.quantization, checkpoint.neuron):
            if own and own not in (config.model, config.quantization, config.neuron):
                raise InputError(f"{file}: found {own}, expected it as in the run's config.toml")
        checkpoint.network.to(self.device)
        return checkpoint

    def save(self, name: str, network: nn.Module, **configs: Any) -> None:
        """Write the network `name` of CHECKPOINTS; `configs` are its quantization and neuron."""
        graph = None
        if self.config.model.is_own:
            own = network if isinstance(network, GraphNetwork) else None
            graph = own.describe() if own else self.load("cnn_fp32").graph
        checkpoint = Checkpoint(
            network,
            self.config.model,
            self.scene.bands,
            self.scene.classes,
            self.normalisation,
            self.scene.digest,
            self.split.digest,
            graph=graph,
            **configs,
        )
        save_checkpoint(self.path / CHECKPOINTS[name], checkpoint)

    def fit(
        self, network: nn.Module, stage: str, epochs: int, rate: float, teacher: nn.Module | None
    ) -> None:
        """Train a network on the training pixels, with progress, history and resumable state."""
        network.to(self.device)
        settings = self.config.training

        def report(row: Epoch) -> None:
            remark = f"loss {row.loss:.4f}  validation OA {100 * row.validation_accuracy:.2f} %"
            self.progress(stage, row.epoch + 1, epochs, remark)

        accumulates = None
        if isinstance(network, SpikingNetwork) and settings.spike_penalty > 0:
            accumulates = AccumulateMeter(network, self.patches.gather(self.split.train[:1]))
        self.progress(stage, 0, epochs, "")
        history = train(
            network,
            self.samples(self.split.train),
            self.samples(self.split.val),
            Stage(stage, epochs, rate),
            settings,
            self._state(stage),
            seed=self.config.seed,
            teacher=teacher,
            unlabelled=self._unlabelled() if teacher is not None else None,
            accumulates=accumulates,
            on_epoch=report,
        )
        _write_history(self.path / "history.csv", stage, history)
        self.progress(stage, epochs, epochs, f"{len(history)} epochs")

    def _unlabelled(self) -> torch.Tensor | None:
        """Flat indices of the pixels without a label, where any are to be learnt from."""
        if self.config.training.unlabelled == 0:
            return None
        pixels = np.flatnonzero(self.scene.labels.reshape(-1) == 0)
        if not len(pixels):
            raise InputError(f"--unlabelled: {self.config.scene} has no pixel without a label")
        return torch.from_numpy(pixels)

    def finish(self, stage: str) -> None:
        """Forget the resumable state of a stage whose network is saved."""
        self._state(stage).unlink(missing_ok=True)

    def _state(self, stage: str) -> Path:
        return self.path / f"{stage}.state.safetensors"


def _free_folder(config: RunConfig) -> Path:
    """`runs/SCENE-MODEL-SPLIT-seedN`, numbered where that is taken."""
    scene = "".join(c if c.isalnum() or c in "._" else "-" for c in Path(config.scene).stem)
    model = Path(config.model.name.rpartition(":")[2]).stem  # of a class, or of a file
    name = f"{scene}-{model}-{config.split.protocol}-seed{config.seed}"
    path, number = Path("runs") / name, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{name}-{number}"
    return path


def _write_history(path: Path, stage: str, history: list[Epoch]) -> None:
    """Put a stage's epochs into history.csv, in place of what it held of them."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["stage"] != stage]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)])
        writer.writeheader()
        writer.writerows([*rows, *(asdict(row) for row in history)])
