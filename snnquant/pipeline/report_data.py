"""The page of a run: gather what it shows, from files and by running networks over the scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from snnquant.checkpoints import Checkpoint
from snnquant.errors import InputError
from snnquant.inference import Cube, class_type, scene_logits
from snnquant.nn.hooks import evaluating, recording
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.readouts import edges_of, kept_readout, tile_form
from snnquant.pipeline.run import Run
from snnquant.report.page import write_html
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.run_record import RunRecord
from snnquant.report.scene_views import SceneViews, Spikes
from snnquant.spiking import SpikingNetwork
from snnquant.spiking.neuron import Neuron
from snnquant.stored_networks import Network

METRICS_FILE, PAGE = "metrics.json", "report.html"
_LARGEST = 1_000_000
"""Pixels of a scene above which no network is run for the page."""
_LARGEST_BY_STEP = 500_000
"""Pixels times steps above which the decisions after each step are left out."""
_SPIKE_PIXELS = 256
"""Test pixels of the mean rates by step."""


def write_report(run: Run, metrics: RunMetrics | None = None) -> Path:
    """Write report.html of a run.

    Args:
        run: A run that was evaluated.
        metrics: Content of its metrics.json; None reads the file.

    Returns:
        The page.

    Raises:
        InputError: If the run has no metrics.json, or a file cannot be read or written.

    >>> from tempfile import TemporaryDirectory
    >>> from snnquant.config import ModelConfig, RunConfig, TrainingConfig
    >>> from snnquant.pipeline.stages import train_cnn
    >>> config = RunConfig(
    ...     scene="synthetic:24x24x16",
    ...     model=ModelConfig(widths=(2, 2)),
    ...     training=TrainingConfig(cnn_epochs=1),
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     run = Run.create(config, Path(folder) / "run")
    ...     train_cnn(run)
    ...     page = write_report(run, evaluate(run))
    ...     page.name, "<h2>Map</h2>" in page.read_text()
    ('report.html', True)
    """
    metrics = read_metrics(run.path) if metrics is None else metrics
    page = run.path / PAGE
    write_html(metrics, page, scene_views(run), RunRecord.read(run.path))
    return page


def evaluate_and_report(run: Run) -> RunMetrics:
    """Score and price a run's networks as `evaluate` does, then write its page."""
    metrics = evaluate(run)
    write_report(run, metrics)
    return metrics


def read_metrics(folder: Path) -> RunMetrics:
    """Read metrics.json of a run; raise InputError where it is missing or damaged."""
    file = folder / METRICS_FILE
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = "no such file, expected the scores of `snnquant evaluate`"
        raise InputError(f"{file}: {found}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: found {error}, expected a readable JSON file") from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: found {type(values).__name__}, expected a JSON object")
    try:
        return RunMetrics.from_dict(values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except AttributeError as error:
        raise InputError(f"{file}: damaged, expected the scores of a run ({error})") from None


def scene_views(run: Run) -> SceneViews:
    """Run the last network and the CNN of a run over its scene and return what the page shows."""
    scene, main = run.scene, run.present()[-1]
    views: dict[str, Any] = {"distance": _kept(run.path / "map_distance.npy", scene.labels.shape)}
    if scene.labels.size <= _LARGEST:
        maps = {}
        for name in dict.fromkeys((main, Network.CNN_FP32)):
            if run.has(name):
                checkpoint = run.load(name)
                logits = _logits(run, checkpoint)
                maps[name] = _numbers(run, logits)
                if name == main:
                    views |= _confidence(run, name, logits)
                    views |= _of_spikes(run, checkpoint, maps[name])
        views["maps"] = maps
    return SceneViews(scene, run.split, main, **views)


def _kept(file: Path, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return a map of numbers that the folder has, if it fits the scene."""
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)  # no memory for a false shape
    except (OSError, ValueError, EOFError):
        return None
    fits = isinstance(values, np.ndarray) and values.shape == shape and values.dtype == np.float32
    return np.nan_to_num(values) if fits else None


def _logits(run: Run, checkpoint: Checkpoint) -> NDArray[np.float32]:
    by_tile, _ = tile_form(checkpoint)
    cube, window = Cube.of_scene(run.scene), checkpoint.model.window
    return scene_logits(by_tile, cube, checkpoint.normalisation, window, run.scene.classes)


def _numbers(run: Run, scores: NDArray[np.floating]) -> NDArray[np.integer]:
    numbers: NDArray[np.integer] = np.where(run.scene.valid, scores.argmax(2) + 1, 0)
    return numbers.astype(class_type(run.scene.classes))


def _confidence(run: Run, name: Network, logits: NDArray[np.float32]) -> dict[str, Any]:
    readout, valid = kept_readout(run, name), run.scene.valid
    smoothed = readout.smoothed(logits, valid, edges_of(run)(run.scene.cube))
    confidence = readout.confidence(smoothed)
    numbers = _numbers(run, smoothed)
    sharp = smoothed ** np.float32(1 / readout.temperature_smoothed)
    total = sharp.sum(2, keepdims=True)
    sharp = np.divide(sharp, total, out=np.zeros_like(sharp), where=total > 0)
    best = np.argsort(-sharp, axis=2, kind="stable")[..., :3]
    below = readout.unknown_below
    return {
        "smoothed": numbers if readout.smooths else None,
        "known": None if below is None else numbers * (confidence >= below),
        "confidence": confidence,
        "best": (best + 1) * valid[..., None],
        "probabilities": np.take_along_axis(sharp, best, axis=2),
    }


def _of_spikes(run: Run, checkpoint: Checkpoint, classes: NDArray[np.integer]) -> dict[str, Any]:
    network = checkpoint.network
    if not isinstance(network, SpikingNetwork):
        return {}
    views: dict[str, Any] = {"spikes": _spikes(run, network, classes)}
    last, shared = network.time_steps, tile_form(checkpoint)[1] != "patch by patch"
    if shared and classes.size * last <= _LARGEST_BY_STEP:
        by_step = []
        for step in range(1, last):
            network.time_steps = step
            by_step.append(_numbers(run, _logits(run, checkpoint)))
        network.time_steps = last
        views["by_step"] = (*by_step, classes)
    return views


def _spikes(run: Run, network: SpikingNetwork, classes: NDArray[np.integer]) -> Spikes | None:
    """Record spikes of test pixels: of a few hundred for the rates, of one per class to draw."""
    labels, test = run.scene.labels.ravel(), run.split.test
    right = classes.ravel()[test] == labels[test]
    ordered = np.concatenate([test[right], test[~right]])  # right ones first
    examples = {
        int(number): int(ordered[labels[ordered] == number][0])
        for number in np.unique(labels[test])
    }
    drawn = np.random.default_rng(run.config.seed).permutation(test)[:_SPIKE_PIXELS]
    pixels = torch.from_numpy(np.concatenate([drawn, np.array([*examples.values()], np.int64)]))
    found: dict[str, NDArray[np.float32]] = {}

    def note(name: str, module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        found[name] = output.flatten(2).float().cpu().numpy()  # [T, N, neurons]

    neurons = {
        name.removeprefix("layers."): module
        for name, module in network.named_modules()
        if isinstance(module, Neuron)
    }
    with evaluating(network), recording(neurons, note):
        network(run.patches.gather(pixels))
    if not found:
        return None
    layer, rates = list(found)[-1], {}
    for name, spikes in found.items():
        rates[name] = tuple(float(rate) for rate in spikes[:, : len(drawn)].mean((1, 2)))
    rasters = {number: found[layer][:, len(drawn) + k] != 0 for k, number in enumerate(examples)}
    places = {number: divmod(pixel, run.scene.width) for number, pixel in examples.items()}
    return Spikes(rates, len(drawn), layer, rasters, places)
