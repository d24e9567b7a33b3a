"""Smoothing, temperatures and threshold of a run's networks: chosen on validation, kept, judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from snnquant.checkpoints import Checkpoint
from snnquant.config import write_config
from snnquant.errors import InputError
from snnquant.inference import (
    Cube,
    Edges,
    Judged,
    Readout,
    Strength,
    TileLogits,
    choose_smoothing,
    scene_logits,
    tile_logits,
)
from snnquant.io import replacing, write_json
from snnquant.pipeline.controls import lda_probabilities
from snnquant.pipeline.held_out import held_out_draws, held_out_run
from snnquant.pipeline.run import Run
from snnquant.report.calibration import Calibration, SelectivePoint, SmoothedScores, Unknown
from snnquant.report.json_records import from_json, to_json
from snnquant.sampling.validation_blocks import near
from snnquant.stored_networks import Network
from snnquant.training import Samples, Scores, confusion, predict
from snnquant.training.confidence import (
    COVERAGES,
    calibration_error,
    confidence_threshold,
    fit_temperature,
    selective_accuracy,
)

READOUTS_FILE = "confidence.json"
"""File of the choices, by network."""
Floats = NDArray[np.float32]
_AROUND = 64  # pixels, as far as any smoothing that is tried reaches


def inputs_of(checkpoint: Checkpoint) -> int:
    """Return how many values per pixel the network receives: bands or principal components."""
    components = checkpoint.normalisation.components
    return checkpoint.bands if components is None else components.shape[1]


def tile_form(checkpoint: Checkpoint) -> tuple[TileLogits, str]:
    """Return the logits of tiles for a checkpoint's network, and their method in words."""
    return tile_logits(checkpoint.network, inputs_of(checkpoint), checkpoint.model.window)


def choose_readout(run: Run, name: str) -> tuple[Readout, Floats | None]:
    """Choose temperatures, smoothing and threshold of a network on the validation pixels.

    Of a run that refits they are chosen with the network of `held_out_run`.

    Args:
        run: The run of the network.
        name: A `Network`, or its key.

    Returns:
        The choices, and the smoothed probabilities [H W, K] of the whole scene; None where nothing
        is smoothed.
    """
    if run.refits:
        held_out = held_out_run(run, name)
        vars(held_out)["stand_ins"] = _stand_ins(run)  # the same pixels: drawn and learnt once
        readout, _ = _chosen(held_out, held_out.load(name))
        smoothed = _smoothed(run, run.load(name), readout) if readout.smooths else None
        return readout, smoothed
    return _chosen(run, run.load(name))


def _smoothed(run: Run, checkpoint: Checkpoint, readout: Readout) -> Floats:
    """Return the smoothed probabilities [H W, K] of the scene."""
    values = _scene_logits(run, checkpoint)
    guide = edges_of(run)(run.scene.cube)
    return readout.smoothed(values, run.scene.valid, guide).reshape(-1, run.scene.classes)


def edges_of(run: Run) -> Edges:
    """Return the edges of fields as the training pixels' spectra tell them apart."""
    return Edges.of(run.scene.cube.reshape(-1, run.scene.bands)[run.split.train])


def _stand_ins(run: Run) -> list[Judged]:
    """Return maps by linear discriminant analysis, each judged on another draw of held-out blocks.

    Networks would have to be trained for each draw. One draw says little, and how far neighbours
    are of one class depends on the scene more than on the classifier.
    """
    kept: dict[str, Any] = vars(run)  # where cached properties are
    if "stand_ins" not in kept:
        scene, window = run.scene, run.config.model.window
        shape, labels = (scene.height, scene.width), scene.labels.ravel() - 1
        found = []
        for train, held_out in held_out_draws(run):
            around = np.flatnonzero(near(held_out, _AROUND, shape) & scene.valid.ravel())
            values = np.zeros((scene.height * scene.width, scene.classes), np.float32)
            values[around] = lda_probabilities(scene, train, window, around)
            found.append(Judged(values.reshape(*shape, -1), held_out, labels[held_out]))
        kept["stand_ins"] = found
    stand_ins: list[Judged] = kept["stand_ins"]
    return stand_ins


def _scene_logits(run: Run, checkpoint: Checkpoint) -> Floats:
    by_tile, _ = tile_form(checkpoint)
    cube, window = Cube.of_scene(run.scene), checkpoint.model.window
    return scene_logits(by_tile, cube, checkpoint.normalisation, window, run.scene.classes)


def _chosen(run: Run, checkpoint: Checkpoint) -> tuple[Readout, Floats | None]:
    options, validation = run.config.confidence, run.samples(run.split.val)
    classes = validation.classes.numpy()
    smoothed = None
    if options.strength == (0, 0):
        logits = predict(checkpoint.network, validation.patches, validation.indices)
        readout = Readout(fit_temperature(logits.numpy(), classes))
        held_out = _probabilities(logits, readout)
    else:
        readout, smoothed = _smoothing(run, checkpoint, classes)
        held_out = smoothed[run.split.val]
    if options.unknown_accuracy:
        confidence, right = readout.confidence(held_out), held_out.argmax(1) == classes
        threshold = confidence_threshold(confidence, right, options.unknown_accuracy)
        readout = replace(readout, unknown_below=threshold)
    return readout, smoothed if readout.smooths else None


def _smoothing(
    run: Run, checkpoint: Checkpoint, classes: NDArray[np.int64]
) -> tuple[Readout, Floats]:
    """Return smoothing and temperatures, and the smoothed probabilities [H W, K] of the scene."""
    scene, pixels, given = run.scene, run.split.val, run.config.confidence.strength
    values, guide = _scene_logits(run, checkpoint), edges_of(run)(scene.cube)
    shape = (-1, scene.classes)
    temperature = fit_temperature(values.reshape(shape)[pixels], classes)
    if given is None:
        apart = run.config.split.validates_on_blocks
        bare = Readout(temperature).smoothed(values, scene.valid, guide)
        maps = [Judged(bare, pixels, classes), *_stand_ins(run)]
        strength = choose_smoothing(maps, scene.valid, guide if apart else None)
    else:
        strength = Strength(*given)
    readout = Readout(temperature, strength.sigma, edge_passes=strength.passes or None)
    smoothed = readout.smoothed(values, scene.valid, guide).reshape(shape)
    if readout.smooths:
        likelihoods = np.log(np.maximum(smoothed[pixels], 1e-12))
        readout = replace(readout, temperature_smoothed=fit_temperature(likelihoods, classes))
    return readout, smoothed


def _probabilities(logits: Tensor, readout: Readout) -> Floats:
    found: Floats = softmax(logits.numpy() / readout.temperature, axis=1)
    return found


def judge(
    run: Run, readout: Readout, smoothed: Floats | None, logits: Tensor, test: Samples
) -> tuple[SmoothedScores, Calibration]:
    """Measure smoothing and confidence of a network on the test pixels.

    Args:
        run: The run of the network.
        readout: The network's choices.
        smoothed: Smoothed probabilities [H W, K] of the scene; None where nothing is smoothed.
        logits: The network's logits [N, K] of the test pixels.
        test: The test pixels.
    """
    classes = test.classes.numpy()
    bare = _probabilities(logits, readout)
    found = bare if smoothed is None else smoothed[run.split.test]
    confidence, right = readout.confidence(found), found.argmax(1) == classes
    scores = Scores.from_confusion(confusion(classes, found.argmax(1), run.scene.classes))
    bare_right = bare.argmax(1) == classes
    uncalibrated = _probabilities(logits, Readout())
    calibration = Calibration(
        temperature=readout.temperature,
        ece=calibration_error(bare.max(1), bare_right),
        ece_uncalibrated=calibration_error(uncalibrated.max(1), bare_right),
        ece_smoothed=calibration_error(confidence, right),
        sigma=readout.sigma,
        edge_passes=readout.edge_passes,
        temperature_smoothed=readout.temperature_smoothed,
        selective=tuple(
            map(SelectivePoint, COVERAGES, selective_accuracy(confidence, right, COVERAGES))
        ),
        unknown=_unknown(run.config.confidence.unknown_accuracy, readout, confidence, right),
    )
    return SmoothedScores(scores.oa, scores.aa, scores.kappa), calibration


def _unknown(
    wanted: float, readout: Readout, confidence: Floats, right: NDArray[np.bool_]
) -> Unknown | None:
    if readout.unknown_below is None:
        return None
    known = confidence >= readout.unknown_below
    accuracy = float(right[known].mean()) if known.any() else None
    return Unknown(wanted, readout.unknown_below, float(known.mean()), accuracy)


def change_confidence(run: Run, **options: Any) -> None:
    """Take other options of smoothing and confidence and store them in a run's config.toml.

    Args:
        run: A run; nothing that it has learnt depends on these options.
        options: Values of `ConfidenceConfig` by name; None keeps that of the run.

    Raises:
        InputError: For a value that is not allowed, or where the file cannot be written.
    """
    given = {name: value for name, value in options.items() if value is not None}
    config = replace(run.config, confidence=replace(run.config.confidence, **given))
    if config != run.config:
        object.__setattr__(run, "config", config)
        with replacing(run.path / "config.toml") as temporary:
            temporary.write_text(write_config(config), encoding="utf-8")


def keep_readouts(run: Run, readouts: Mapping[Network, Readout]) -> None:
    """Write the choices for `kept_readout`; raise InputError where that fails."""
    write_json(run.path / READOUTS_FILE, to_json(readouts))


def kept_readout(run: Run, name: str) -> Readout:
    """Return the choices for a network that evaluation has kept, or choose and keep them.

    Raises:
        InputError: The file is damaged or cannot be written.
    """
    file, network, kept = run.path / READOUTS_FILE, Network.of(name), {}
    if file.exists():
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            kept = {
                Network.of(key): from_json(Readout, value, key) for key, value in stored.items()
            }
        except (
            OSError,
            ValueError,
            AttributeError,
            TypeError,
            RecursionError,
            InputError,
        ) as error:
            raise InputError(f"{file}: damaged, expected a map's choices ({error})") from None
    if network not in kept:
        kept[network], _ = choose_readout(run, network)
        keep_readouts(run, kept)
    return kept[network]
