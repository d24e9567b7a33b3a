"""A run folder: the configuration, the split, the networks and what the stages share."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from numpy import int64
from numpy.typing import NDArray
from torch import nn

from snnquant.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from snnquant.config import MethodConfig, RunConfig, read_config
from snnquant.energy import find_chip, find_hardware, load_costs
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn import GraphNetwork
from snnquant.pipeline.kept_files import (
    CHIP_FILE,
    HARDWARE_FILE,
    SCALING_FILE,
    SOURCE_FILE,
    KeptScene,
    keep_files,
    keep_scene,
)
from snnquant.pipeline.run_start import (
    check_origin,
    check_pixels,
    free_folder,
    given,
    is_given,
    large_classes,
    require_new,
    store,
    with_scaling,
)
from snnquant.sampling import Normalisation, Patches, Split, make_split
from snnquant.sampling.patches import CPU
from snnquant.scenes import Scene, load_mask, load_scene
from snnquant.spiking import build_neuron
from snnquant.stored_networks import Network
from snnquant.training import Samples, Tracker

Progress = Callable[[str, int, int, str], None]
"""Receives the stage, how much of it is done, how much there is in all, and a remark."""
SCENE_FILE = "scene.npz"
"""File of a scene built in Python, and `scene` in the configuration of its run."""


@dataclass(frozen=True)
class Run:
    """A run folder and what its stages share; made by `Run.create` or `Run.open`.

    >>> from snnquant.config import RunConfig
    >>> run = Run.create(RunConfig(scene="synthetic:24x24x16"))
    >>> run.scene.cube.shape, len(run.split.train), run.has("cnn_fp32")
    ((24, 24, 16), 151, False)
    """

    path: Path
    """The run folder."""
    config: RunConfig
    """The options that decide the result."""
    progress: Progress = lambda *_: None
    """Receives the progress of the stages."""
    device: torch.device = CPU
    """Device of torch; not part of the configuration, so that a run may resume elsewhere."""
    data: str | None = None
    """Place of the scene's data if the run folder does not know it: a folder, or a card in it."""
    trackers: list[Tracker] = field(default_factory=list, init=False, repr=False, compare=False)
    """Writers of the curves and scores for other programs, see `snnquant.pipeline.tracked`."""
    _loaded: dict[Network, Checkpoint] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def create(
        cls,
        config: RunConfig,
        path: Path | None = None,
        progress: Progress = lambda *_: None,
        device: torch.device = CPU,
        *,
        scene: Scene | None = None,
        split: Split | None = None,
    ) -> Run:
        """Prepare a new run; nothing is written until training starts or a CNN is imported.

        Args:
            config: The options; `config.scene` names the scene unless `scene` is given.
            path: Folder of the run; by default a new one under `runs`.
            progress: Receives the progress of the stages.
            device: Where torch computes.
            scene: A scene built in Python. It is stored in the run folder as scene.npz, and so
                `config.scene` becomes "scene.npz".
            split: Training, validation and test pixels chosen in Python, stored in the run folder.
                By default the configuration divides the labelled pixels.

        Returns:
            The run.

        Raises:
            InputError: If `path` holds files already, or the scene, the split, the network or the
                hardware cannot be prepared.

        >>> import numpy as np
        >>> from snnquant.scenes import load_scene
        >>> run = Run.create(RunConfig(), scene=load_scene("synthetic:24x24x16"))
        >>> run.config.scene
        'scene.npz'
        """
        require_new(path)
        find_hardware(config.hardware)
        find_chip(config.chip)
        load_costs()  # refuses a wrong file before anything is trained
        name = Path(config.scene).stem if scene is None else scene.name
        made = scene is not None
        scene = large_classes(scene or load_scene(config.scene), config.split)
        config = with_scaling(replace(config, scene=SCENE_FILE) if made else config, scene)
        run = cls(path or free_folder(config, name), config, progress, device)
        vars(run)["scene"] = scene  # where `cached_property` looks first
        if split is not None:
            vars(run)["split"] = given(split)
        check_pixels(run.scene, run.split)
        if config.scaling not in ("auto", "standard") or config.model.spectra != "auto":
            run.scaled(config.scaling)  # refuses what does not fit before anything is written
        build_neuron(config.neuron)  # refuses an unknown name before anything is trained
        if not config.model.is_own:
            with torch.device("meta"):  # shapes only: can the network be built?
                build_model(config.model, run.scene.bands, run.scene.classes)
        return run

    @classmethod
    def open(
        cls,
        path: Path,
        progress: Progress = lambda *_: None,
        device: torch.device = CPU,
        *,
        scene: str | None = None,
    ) -> Run:
        """Resume the run in a folder.

        Args:
            path: Folder of the run.
            progress: Receives the progress of the stages.
            device: Where torch computes.
            scene: Where the scene's data went, if they have moved: a folder, or a card in it.

        Returns:
            The run.

        Raises:
            InputError: If `path` holds no run, or its scene has changed or is not found.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     run = Run.create(RunConfig(scene="synthetic:24x24x16"), Path(folder) / "run")
        ...     run.write()
        ...     Run.open(Path(folder) / "run").config == run.config
        True
        """
        if not path.is_dir():
            raise InputError(f"{path}: no such folder, expected a run folder")
        run = cls(path, read_config(path / "config.toml"), progress, device, scene)
        if (path / "split.npz").exists():
            saved = Split.load(path / "split.npz")
            if is_given(saved):
                vars(run)["split"] = saved
            elif saved.digest != run.split.digest:
                raise InputError(
                    f"{path}/split.npz: found a split that scene and options don't give"
                )
        run.write()
        if scene is not None:
            _ = run.scene
            KeptScene(path, scene).remember()
        return run

    def write(self) -> None:
        """Write configuration, split and a scene built in Python, unless the folder has them.

        Raises InputError if they cannot be written; a folder made for them is removed again.
        """
        new = not self.path.exists()
        try:
            if self.config.scene == SCENE_FILE and not (self.path / SCENE_FILE).exists():
                self.scene.save(self.path / SCENE_FILE)
            if not (self.path / "config.toml").exists():
                if self.config.scene != SCENE_FILE:
                    keep_scene(self.path, self.config.scene, self.scene.digest)
                keep_files(self.path, self.config, self.scene)
                store(self.config, self.path)
            if not (self.path / "split.npz").exists():
                self.split.save(self.path / "split.npz")
        except InputError:
            if new:
                shutil.rmtree(self.path, ignore_errors=True)
            raise

    @property
    def quantization(self) -> MethodConfig | None:
        """Quantization of the weights; None at 32 bits."""
        return None if self.config.quantization.bits == 32 else self.config.quantization

    @cached_property
    def scene(self) -> Scene:
        """The scene, read once."""
        if self.config.scene == SCENE_FILE:
            return Scene.load(self.path / SCENE_FILE)
        kept = self._kept_scene
        scene = load_scene(self.data or self.config.scene) if kept is None else kept.load()
        return large_classes(scene, self.config.split)

    @property
    def _kept_scene(self) -> KeptScene | None:
        """The scene's card in the run folder; None in one of before cards were kept."""
        return KeptScene(self.path, self.data) if (self.path / SOURCE_FILE).exists() else None

    @property
    def scene_is_own(self) -> bool:
        """True for a scene built in Python or described by a card of the user's."""
        kept = self._kept_scene
        if kept is None:
            return self.config.scene == SCENE_FILE or self.config.scene.endswith(".toml")
        values = kept.values()
        return "card" not in values or bool(values["own"])

    @property
    def hardware(self) -> str:
        """Name or file of the in-memory hardware; the run folder's copy of a file."""
        kept = self.path / HARDWARE_FILE
        return str(kept) if kept.exists() else self.config.hardware

    @property
    def chip(self) -> str:
        """Name or file of the chip; the run folder's copy of a file."""
        kept = self.path / CHIP_FILE
        return str(kept) if kept.exists() else self.config.chip

    @property
    def refits(self) -> bool:
        """True for networks trained on validation blocks too, see `held_out_run`."""
        options = self.config.split
        chosen = "split" in vars(self) and is_given(self.split)
        return options.validates_on_blocks and options.refit and not chosen

    @cached_property
    def split(self) -> Split:
        """Training, validation and test pixels; a function of scene and configuration only."""
        config, mask = self.config, None
        options = replace(config.split, validation="pixels") if self.refits else config.split
        if config.split.protocol == "mask":
            if config.scene == SCENE_FILE:
                found = f"found mask, but {self.scene.name} was built in Python"
                raise InputError(f"--split: {found}, expected random or blocks")
            kept = self._kept_scene
            mask = load_mask(self.data or config.scene) if kept is None else kept.mask()
        return make_split(self.scene, options, config.model.window, config.seed, mask)

    @cached_property
    def normalisation(self) -> Normalisation:
        """Statistics of the training pixels, or those of the imported CNN."""
        if self.has(Network.CNN_FP32):
            return self._checkpoint(Network.CNN_FP32).normalisation
        return self._on_grid(self.scaled(self.config.scaling))

    def _on_grid(self, normalisation: Normalisation) -> Normalisation:
        return normalisation.on_grid(self.scene.cube, self.split.train, self.config.pixel_bits)

    def scaled(self, scaling: str) -> Normalisation:
        """Return a scaling of this scene, fitted to training pixels, without a grid of its values.

        auto is standard. The file of a scaling is read from the run folder once it is there.
        """
        kept = self.path / SCALING_FILE
        scaling = "standard" if scaling == "auto" else scaling
        source = str(kept) if scaling.endswith(".npz") and kept.exists() else scaling
        model = self.config.model
        fitted = Normalisation.fit(
            self.scene, self.split.train, model.components, source, "+".join(model.forms)
        )
        return replace(fitted, scaling=scaling)

    def take(self, config: RunConfig) -> None:
        """Take other options, before any network is made with them."""
        object.__setattr__(self, "config", config)
        for name in ("normalisation", "patches"):
            vars(self).pop(name, None)

    def use(self, normalisation: Normalisation) -> None:
        """Take a normalisation in place of the configuration's, for an imported CNN."""
        # Where `cached_property` looks first.
        vars(self)["normalisation"] = self._on_grid(normalisation)
        vars(self).pop("patches", None)

    @cached_property
    def patches(self) -> Patches:
        """Patches of the normalised scene."""
        window = self.config.model.window
        return Patches(self.scene.cube, window, self.normalisation, self.device)

    def samples(self, pixels: NDArray[int64]) -> Samples:
        """Return pixels, flat indices [N], with their classes from 0."""
        classes = self.scene.labels.reshape(-1)[pixels] - 1
        return Samples(self.patches, torch.from_numpy(pixels), torch.from_numpy(classes))

    def file(self, name: str) -> Path:
        """Return the path of a network's checkpoint; InputError for a name of no `Network`."""
        return self.path / Network.of(name).file

    def has(self, name: str) -> bool:
        """Tell whether the network of that key, such as "cnn_fp32", is in the folder."""
        return self.file(name).exists()

    def present(self) -> list[Network]:
        """Return the networks that the folder has; raise InputError if it has none."""
        networks = [network for network in Network if self.has(network)]
        if not networks:
            raise InputError(f"{self.path}: holds no trained network, expected at least a CNN")
        return networks

    def load(self, name: str) -> Checkpoint:
        """Read a network of the run; the file is read once, the network is a copy to change freely.

        Args:
            name: A `Network`, or its key, such as "snn_trained".

        Returns:
            The checkpoint, its network on the run's device.

        Raises:
            InputError: If its stage has not run, or it was made for another scene or with other
                options than the run's; an imported CNN may be of another scene.
        """
        checkpoint = self._checkpoint(Network.of(name))
        return replace(checkpoint, network=copy.deepcopy(checkpoint.network))

    def _checkpoint(self, name: Network) -> Checkpoint:
        if name in self._loaded:
            return self._loaded[name]
        file = self.file(name)
        if not file.exists():
            raise InputError(f"{file}: no such file, expected the result of an earlier stage")
        checkpoint = load_checkpoint(file)
        check_origin(checkpoint, file, name, self.scene, self.config)
        checkpoint.network.to(self.device)
        self._loaded[name] = checkpoint
        return checkpoint

    def save(self, name: str, network: nn.Module, **configs: Any) -> None:
        """Write a network of the run.

        Args:
            name: A `Network`, or its key.
            network: The trained network.
            configs: Its `quantization` and its `neuron`, if it has them.

        Raises:
            InputError: If the file cannot be written.
        """
        graph = None
        if self.config.model.is_own:
            own = network if isinstance(network, GraphNetwork) else None
            graph = own.describe() if own else self._checkpoint(Network.CNN_FP32).graph
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
        save_checkpoint(self.file(name), checkpoint)
        self._loaded.pop(Network.of(name), None)

    def drop(self, name: str) -> None:
        """Delete a network of the run, whose stage then runs again."""
        self.file(name).unlink(missing_ok=True)
        self._loaded.pop(Network.of(name), None)

    def finish(self, stage: str) -> None:
        """Delete the resumable state of a stage whose network is saved."""
        self.state_file(stage).unlink(missing_ok=True)

    def state_file(self, stage: str) -> Path:
        """Return the path of a stage's resumable state."""
        return self.path / f"{stage}.state.safetensors"
