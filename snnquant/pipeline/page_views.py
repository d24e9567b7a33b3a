"""Maps, spikes and weights of a run for its page, by running networks over the scene once.

What they gave is kept in the run folder, so that the page is written anew without them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.checkpoints import Checkpoint
from snnquant.errors import InputError
from snnquant.inference import Cube, class_type, scene_logits
from snnquant.nn.hooks import evaluating, recording
from snnquant.pipeline.kept_views import keep_views, key_of, read_views
from snnquant.pipeline.readouts import edges_of, kept_readout, tile_form
from snnquant.pipeline.run import Run
from snnquant.quantization import layer_bits, weight_codes
from snnquant.report.scene_views import Levels, SceneViews, Spikes
from snnquant.spiking import FLOATING, LIF, SpikingNetwork
from snnquant.spiking.lif import initial_state, lif_step
from snnquant.spiking.neuron import Neuron
from snnquant.stored_networks import Network

LARGEST = 1_000_000
"""Pixels of a scene above which no network is run for the page."""
_LARGEST_BY_STEP = 500_000
"""Pixels times steps above which the decisions after each step are left out."""
_SPIKE_PIXELS = 256
"""Test pixels of the mean rates by step."""


def scene_views(run: Run) -> SceneViews:
    """Return what the page shows of the scene, by the last network and the CNN of a run.

    They are run over the scene unless the folder keeps what they gave; not over a scene of more
    than `LARGEST` pixels.
    """
    scene, main = run.scene, run.present()[-1]
    distance = _kept(run.path / "map_distance.npy", scene.labels.shape)
    if scene.labels.size > LARGEST:
        return SceneViews(scene, run.split, main, distance=distance)
    key = key_of(run, main)
    views = read_views(run.path, key)
    if views is None:
        views = _run_networks(run, main)
        keep_views(run.path, key, views)
    return SceneViews(scene, run.split, main, distance=distance, **views)


def _run_networks(run: Run, main: Network) -> dict[str, Any]:
    maps: dict[Network, NDArray[np.integer]] = {}
    views: dict[str, Any] = {"maps": maps}
    for name in dict.fromkeys((main, Network.CNN_FP32)):
        if run.has(name):
            checkpoint = run.load(name)
            logits = _logits(run, checkpoint)
            maps[name] = _numbers(run, logits)
            if name == main:
                views |= _confidence(run, name, logits)
                views |= _of_spikes(run, checkpoint, maps[name])
                views["levels"] = _levels(checkpoint)
    return views


def _levels(checkpoint: Checkpoint) -> tuple[Levels, ...]:
    """Return the levels of quantized weights; of no layer whose levels are on no uniform grid."""
    network, found = checkpoint.network, []
    for name, bits in layer_bits(network).items():
        try:
            weights = weight_codes(network.get_submodule(name)).uniform()
        except InputError:
            continue
        whole = (weights.codes.int() - weights.zero_point.int()).cpu().numpy()
        codes, counts = np.unique(whole.astype(np.int64), return_counts=True)
        found.append(Levels(name.removeprefix("layers."), bits, codes, counts))
    return tuple(found)


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
    potentials: dict[str, NDArray[np.float32]] = {}

    def note(name: str, module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        found[name] = output.flatten(2).float().cpu().numpy()  # [T, N, neurons]
        potentials.clear()  # of the last layer only
        if type(module).forward is LIF.forward and module.potential_bits == FLOATING:
            potentials[name] = _potentials(module, inputs[0][:, len(drawn) :])

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
    risen = {
        number: values[:, k] for values in potentials.values() for k, number in enumerate(examples)
    }
    return Spikes(rates, len(drawn), layer, rasters, places, risen)


def _potentials(neurons: LIF, current: Tensor) -> NDArray[np.float32]:
    """Return the potentials [T, N, neurons] at the end of each step, in thresholds."""
    parameters, found = neurons.constants(), []
    state = initial_state(current, parameters, neurons.initial)
    for now in current:
        _, state = lif_step(now, parameters, state, None)
        found.append(state.potential / parameters.threshold)
    return torch.stack(found).flatten(2).float().cpu().numpy()
