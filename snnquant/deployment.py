"""What a run's trained networks do: map whole scenes, stop when a pixel is settled."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from snnquant.energy import load_costs, measure
from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.inference import (
    Classifier,
    Cube,
    classify_scene,
    exits,
    logits_by_step,
    margins,
    tile_classifier,
    unfinished_map,
    write_map,
)
from snnquant.run import CHECKPOINTS, Run
from snnquant.spiking import SpikingNetwork
from snnquant.training import Checkpoint, predict

if TYPE_CHECKING:
    from snnquant.inference.integer import IntegerNetwork

Engine = Literal["float", "integer"]
PATCHES_AT_ONCE = 64
"""Test patches given to the integer engine at a time."""


def draw_map(
    run: Run,
    name: str = "snn_trained",
    file: Path | None = None,
    *,
    engine: Engine = "float",
    early_exit: bool = False,
) -> Path:
    """Classify every pixel of the scene, or of the cube in a file; returns the map's PNG.

    The integer engine takes quantized SNNs alone; with `early_exit` it stops a pixel when its
    class is settled, by margins from the validation pixels. Goes on with an unfinished map of the
    same network, the same pixels and the same way. Raises InputError for a cube of other bands.
    """
    scene, checkpoint = run.scene, run.load(name)
    cube = Cube.of_scene(scene) if file is None else Cube.of_file(file)
    if cube.shape[2] != scene.bands:
        found = f"found {cube.shape[2]} bands"
        raise InputError(f"{cube.name}: {found}, expected the {scene.bands} of {scene.name}")
    if early_exit and engine != "integer":
        raise InputError("--early-exit: found the float engine, expected --engine integer")
    if engine == "integer":
        step_margins = _margins(run, _spiking(checkpoint, name)) if early_exit else None
        classify: Classifier = _integers(checkpoint, name, step_margins).classes
        how = "integers, early exit" if early_exit else "integers"
    else:
        classify, how = tile_classifier(
            checkpoint.network, _inputs(checkpoint), checkpoint.model.window
        )
    weights = (run.path / CHECKPOINTS[name]).read_bytes()
    key = hashlib.sha256(weights + f"{cube.identity} {how}".encode()).hexdigest()[:12]
    stem = run.path / ("map" if file is None else f"map_{file.stem}")

    def progress(done: int, total: int) -> None:
        run.progress("map", done, total, how)

    window, normalisation = checkpoint.model.window, checkpoint.normalisation
    with unfinished_map(stem, cube.shape[:2], scene.classes, key) as class_map:
        classify_scene(classify, cube, normalisation, window, class_map, progress)
        write_map(stem, class_map, scene, beside_truth=file is None)
    return stem.with_name(f"{stem.name}.png")


def evaluate_early_exit(run: Run) -> dict[str, Any]:
    """What stopping early saves and costs on the test pixels; also written to early_exit.json.

    Margins come from the validation pixels. Energy counts every pixel's operations up to its own
    last step.
    """
    name = "snn_trained"
    checkpoint = run.load(name)
    network = _spiking(checkpoint, name)
    step_margins = _margins(run, network)
    test, last = run.samples(run.split.test), network.time_steps
    logits = logits_by_step(network, test.patches, test.indices)
    stopped, full = exits(logits, step_margins), logits[-1].argmax(1)
    costs = load_costs()
    whole = measure(network, test.patches, test.indices)
    spent = dict.fromkeys((cost.name for cost in costs), 0.0)
    for step in range(1, last + 1):
        pixels = test.indices[stopped.steps == step]
        if len(pixels):
            network.time_steps = step
            layers = measure(network, test.patches, pixels)
            for cost in costs:
                share = len(pixels) / len(test.indices)
                spent[cost.name] += share * cost.energy_pj(layers, checkpoint.bits)
    network.time_steps = last
    result = {
        "margins": step_margins,
        "time_steps": last,
        "mean_steps": float(stopped.steps.double().mean()),
        "share_by_step": [float((stopped.steps == t + 1).double().mean()) for t in range(last)],
        "overall_accuracy": _share(stopped.classes == test.classes),
        "overall_accuracy_of_all_steps": _share(full == test.classes),
        "agreement": _share(stopped.classes == full),
        "energy_pj": spent,
        "energy_pj_of_all_steps": {c.name: c.energy_pj(whole, checkpoint.bits) for c in costs},
    }
    _write(run.path / "early_exit.json", result)
    return result


def evaluate_integers(run: Run) -> dict[str, float]:
    """The trained SNN in integers on the test pixels: its OA, and how many classes stay the same.

    Also written to integers.json.
    """
    name = "snn_trained"
    checkpoint, test = run.load(name), run.samples(run.split.test)
    engine = _integers(checkpoint, name)
    batches = torch.split(test.indices, PATCHES_AT_ONCE)
    logits = [
        torch.from_numpy(engine.logits(test.patches.gather(batch).cpu())) for batch in batches
    ]
    classes = torch.cat(logits)[:, 0, 0].argmax(1)
    floats = predict(checkpoint.network, test.patches, test.indices).argmax(1)
    result = {
        "overall_accuracy": _share(classes == test.classes),
        "overall_accuracy_in_floats": _share(floats == test.classes),
        "agreement": _share(classes == floats),
    }
    _write(run.path / "integers.json", result)
    return result


def _write(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _share(which: torch.Tensor) -> float:
    return float(which.double().mean())


def _inputs(checkpoint: Checkpoint) -> int:
    """Values of a pixel that the network sees: bands or principal components."""
    components = checkpoint.normalisation.components
    return checkpoint.bands if components is None else components.shape[1]


def _spiking(checkpoint: Checkpoint, name: str) -> SpikingNetwork:
    if not isinstance(checkpoint.network, SpikingNetwork):
        raise InputError(f"--network: found {name}, expected a spiking network for this option")
    return checkpoint.network


def _margins(run: Run, network: SpikingNetwork) -> list[float]:
    validation = run.samples(run.split.val)
    return margins(logits_by_step(network, validation.patches, validation.indices))


def _integers(
    checkpoint: Checkpoint, name: str, step_margins: Sequence[float] | None = None
) -> IntegerNetwork:
    from snnquant.inference.integer import IntegerNetwork  # compiles its loops, or has them cached

    network = copy.deepcopy(_spiking(checkpoint, name)).cpu()  # it runs on processors alone
    if checkpoint.quantization is None:
        found = f"found {name}, whose weights are not quantized"
        raise InputError(f"--network: {found}, expected a quantized SNN for the integer engine")
    return IntegerNetwork(network, _inputs(checkpoint), checkpoint.model.window, step_margins)
