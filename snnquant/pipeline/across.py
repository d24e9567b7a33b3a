"""Scores of a run's networks on another scene than the one they were trained on."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.inference import Cube, scene_logits
from snnquant.io import write_json
from snnquant.pipeline.controls import spectral_scores
from snnquant.pipeline.other_cube import cube_of_another
from snnquant.pipeline.readouts import edges_of, kept_readout, tile_form
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import activation_width
from snnquant.report.across_scenes import AcrossControls, AcrossMetrics, AcrossScores
from snnquant.report.calibration import SmoothedScores
from snnquant.report.run_metrics import SceneMetrics
from snnquant.scenes import Scene
from snnquant.stored_networks import Network
from snnquant.training import Scores, confusion

Numbers = NDArray[np.int64]
_UNFIT = re.compile(r"[^\w.-]+")


def across_file(folder: Path, scene: Scene) -> Path:
    """Return the file in a run folder of the scores on another scene."""
    return folder / f"across_{_UNFIT.sub('_', scene.name)}.json"


def evaluate_across(run: Run, scene: Scene, *, resample: bool = False) -> AcrossMetrics:
    """Score every network that a run has on another scene; write across_SCENE.json.

    Scored are all labelled pixels of the classes that the run learnt, matched by name, upper and
    lower case and punctuation alike. Networks, smoothing and controls are as the run's own scene
    made them.

    Args:
        run: A run with at least its CNN.
        scene: The other scene, in the units of the run's.
        resample: Resample its bands to the wavelengths of the run's scene.

    Returns:
        The content of across_SCENE.json.

    Raises:
        InputError: The scene is the run's own, its bands do not fit, it has no class of the run, or
            the file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> from snnquant.config import ModelConfig, RunConfig, TrainingConfig
    >>> from snnquant.pipeline.stages import train_cnn
    >>> from snnquant.scenes import load_scene
    >>> config = RunConfig(
    ...     scene="synthetic:24x24x16",
    ...     model=ModelConfig(widths=(2, 2)),
    ...     training=TrainingConfig(cnn_epochs=1),
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     run = Run.create(config, Path(folder) / "run")
    ...     train_cnn(run)
    ...     metrics = evaluate_across(run, load_scene("synthetic:24x24x16:0:1"))
    >>> 0 <= metrics.networks[Network.CNN_FP32].oa <= 1
    True
    """
    own, present = run.scene, run.present()
    if scene.digest == own.digest:
        raise InputError(f"--scene: found {scene.name}, the run's own, expected another scene")
    numbers = _own_numbers(own.class_names, scene.class_names)
    learnt = np.isin(numbers, own.labels.ravel()[run.split.train])
    labels = np.append(0, np.where(learnt, numbers, 0))[scene.labels.ravel()]
    pixels = np.flatnonzero(labels)
    if not len(pixels):
        found, expected = (", ".join(entry.class_names) for entry in (scene, own))
        raise InputError(f"--scene: found the classes {found}, expected some of {expected}")
    truth, cube = labels[pixels], cube_of_another(own, run.split.train, scene, resample=resample)
    networks = {}
    for done, name in enumerate(present):
        run.progress("evaluation", done, len(present), name)
        networks[name] = _score(run, name, cube, pixels, truth)
    run.progress("evaluation", len(present), len(present), "")
    window, cnn = run.config.model.window, Network.CNN_QUANTIZED
    quantized = run.load(cnn).network if cnn in present else None
    metrics = AcrossMetrics(
        run=str(run.path),
        trained_on=own.name,
        scene=SceneMetrics(
            scene.name, scene.cube.shape, int((scene.labels > 0).sum()), scene.class_names
        ),
        bits=run.config.quantization.bits,
        time_steps=run.config.neuron.time_steps,
        scored=_counts(own.class_names, truth),
        left_out=_counts(scene.class_names, scene.labels.ravel()[labels == 0]),
        networks=networks,
        controls=AcrossControls(
            *spectral_scores(own, run.split, window, cube.open(), pixels, truth)
        ),
        activation_bits=activation_width(quantized),
    )
    write_json(across_file(run.path, scene), metrics.to_dict())
    return metrics


def _own_numbers(own: Sequence[str], others: Sequence[str]) -> Numbers:
    """Return the run's class numbers [K] of another scene's classes, 0 for one that it lacks."""
    exact = {name: number for number, name in enumerate(own, 1)}
    keys = [_key(name) for name in own]
    # Names that differ by nothing else, such as "Corn+" and "Corn-", match only as they are.
    alone = {key for key, count in Counter(keys).items() if count == 1}
    folded = {key: number for number, key in enumerate(keys, 1) if key in alone}
    return np.array([exact.get(name) or folded.get(_key(name), 0) for name in others], np.int64)


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold()) or name


def _counts(names: Sequence[str], numbers: Numbers) -> dict[str, int]:
    """Return the pixels per class that has some."""
    counts = np.bincount(numbers, minlength=len(names) + 1)[1:].tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _score(run: Run, name: Network, cube: Cube, pixels: Numbers, truth: Numbers) -> AcrossScores:
    checkpoint, readout, classes = run.load(name), kept_readout(run, name), run.scene.classes
    by_tile, _ = tile_form(checkpoint)
    window = checkpoint.model.window
    logits = scene_logits(by_tile, cube, checkpoint.normalisation, window, classes)
    valid = np.ones(cube.shape[:2], bool) if cube.valid is None else cube.valid

    def scores(values: NDArray[np.float32]) -> Scores:
        found = values.reshape(-1, classes)[pixels].argmax(1)
        return Scores.from_confusion(confusion(truth - 1, found, classes))

    bare = scores(logits)
    smoothed = bare
    if readout.smooths:
        rows, columns = (range(side) for side in cube.shape[:2])
        guide = edges_of(run)(cube.block(rows, columns, 0)[0])
        smoothed = scores(readout.smoothed(logits, valid, guide))
    of_map = SmoothedScores(smoothed.oa, smoothed.aa, smoothed.kappa)
    return AcrossScores(**asdict(bare), smoothed=of_map)
