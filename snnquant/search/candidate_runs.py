"""Run folders of candidates: shared CNNs, short trainings, scores on validation pixels."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pim_sim import Chip, Workload, price_network
from pim_sim.network import map_part
from snnquant.config import (
    RunConfig,
    config_from_values,
    options_before,
    options_of,
    read_config,
    run_config_type,
)
from snnquant.energy import observe, to_workload, with_front_end
from snnquant.energy.matrix_price import FRONT_END, SENSOR
from snnquant.errors import InputError
from snnquant.io import remove_leftovers, replacing, write_json
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.front_end_choice import choose_front_end
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import batch_size_for, store
from snnquant.pipeline.stages import convert_cnn, train_cnn, train_snn
from snnquant.sampling import Split
from snnquant.scenes import Scene
from snnquant.stored_networks import Network

SCORE_FILE = "validation_score.json"
"""Accuracy and prices of a candidate's SNN on validation pixels."""
WORKLOAD_FILE = "validation_workload.json"
"""Its layers, as pim-sim reads them, with densities of validation pixels."""


@dataclass(frozen=True)
class Pricing:
    """Chips and schedules on which every candidate is priced."""

    chips: tuple[Chip, ...]
    schedules: tuple[str, ...]
    in_map: bool
    """True for a pixel in a map, whose neighbours share its work; else a pixel on its own."""


def prepare(folder: Path, config: RunConfig, scene: Scene) -> None:
    """Write a run folder's configuration and split, unless it has them; InputError if it cannot."""
    if not (folder / "split.npz").exists():  # the last file that `Run.write` writes
        shutil.rmtree(folder, ignore_errors=True)
        run = Run(folder, config)
        vars(run)["scene"] = scene
        run.write()


def short(config: RunConfig, share: float) -> RunConfig:
    """Return the options of a training for a share of all epochs, at least 1 where there are any.

    Every option whose name ends with epochs is shortened.

    >>> short(RunConfig(), 0.1).training.snn_epochs
    8
    """
    values = {}
    for name, value in _values(config).items():
        counts = name.endswith("epochs") and type(value) is int and value > 0
        values[name] = max(1, round(share * value)) if counts else value
    return config_from_values(values)


def _values(config: RunConfig) -> dict[str, Any]:
    options = options_of(run_config_type(type(config.quantization)))
    values = {option.name: option.value(config) for option in options}
    return {name: value for name, value in values.items() if value is not None}


def cnn_key(config: RunConfig) -> str:
    """Return the name that runs have in common whose CNNs are the same."""
    text = json.dumps(options_before(config, "cnn"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def share_cnn(folder: Path, config: RunConfig, scene: Scene, cnn: Path) -> None:
    """Prepare a candidate's run folder, with the CNN of another folder and what that chose."""
    chosen = options_before(read_config(cnn / "config.toml"), "cnn")
    values = _values(config) | {name: value for name, value in chosen.items() if value is not None}
    prepare(folder, config_from_values(values), scene)
    for name in ("history.csv", Network.CNN_FP32.file):  # the CNN last: it says that both are there
        if not (folder / Network.CNN_FP32.file).exists():
            with replacing(folder / name) as temporary:
                shutil.copyfile(cnn / name, temporary)


@contextmanager
def _opened(folder: Path, scene: Scene) -> Iterator[Run]:
    """Yield the run in a prepared folder, on one thread of the processor."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    remove_leftovers(folder)
    run = Run(folder, read_config(folder / "config.toml"))
    vars(run)["scene"] = scene
    vars(run)["split"] = Split.load(folder / "split.npz")
    try:
        yield run
    finally:
        torch.set_num_threads(threads)


def train_shared(folder: Path, scene: Scene) -> None:
    """Train the CNN of a prepared folder."""
    with _opened(folder, scene) as run:
        choose_front_end(run)
        store(run.config, folder)  # before the CNN is there, which the choice does not follow
        train_cnn(run)


def train_candidate(folder: Path, scene: Scene, pricing: Pricing) -> None:
    """Convert the CNN of a prepared folder, train the SNN, and score it on validation pixels."""
    with _opened(folder, scene) as run:
        convert_cnn(run)
        train_snn(run)
        write_json(folder / SCORE_FILE, _score(run, pricing))


def test_candidate(folder: Path, scene: Scene) -> None:
    """Score and price the networks of a trained candidate on test pixels, as `evaluate` does."""
    with _opened(folder, scene) as run:
        evaluate(run)


def _score(run: Run, pricing: Pricing) -> dict[str, Any]:
    checkpoint = run.load(Network.SNN_TRAINED)
    validation = run.samples(run.split.val)
    example = validation.patches.gather(validation.indices[:1])
    batch, bits = batch_size_for(checkpoint.network, example), checkpoint.normalisation.bits
    seen = observe(checkpoint.network, validation.patches, validation.indices, batch, bits)
    right = (seen.logits.argmax(1) == validation.classes).double().mean().item()
    layers = with_front_end(seen.layers, checkpoint.normalisation, checkpoint.model.window)
    workload = _in_order(
        to_workload(
            f"{run.scene.name} {run.config.model.name}",
            layers,
            run.config.quantization,
            run.config.neuron.time_steps,
            SENSOR.bits if bits == 32 else bits,
            run.config.neuron.potential_bits,
        )
    )
    workload.to_json(run.path / WORKLOAD_FILE)
    score: dict[str, Any] = {"validation_oa": right, "prices": []}
    try:
        score["prices"] = prices(workload, pricing)
    except InputError as error:  # such as windows that share nothing in a map
        score["refused"] = str(error)
    return score


def _in_order(workload: Workload) -> Workload:
    """Put the matrix of the normalisation, if it is a layer of its own, before the others."""
    first = [
        replace(layer, input_bits=SENSOR.bits)
        for layer in workload.layers
        if layer.name == FRONT_END
    ]
    others = [layer for layer in workload.layers if layer.name != FRONT_END]
    return replace(workload, layers=(*first, *others))


def prices(workload: Workload, pricing: Pricing) -> list[dict[str, Any]]:
    """Price a network per pixel on every chip by every schedule, memory included.

    Raises InputError for a network whose windows share nothing in a map, where a map is asked for.
    """
    found = []
    for chip in pricing.chips:
        part, pixels = workload, 1
        if pricing.in_map:
            part, pixels = map_part(workload, chip.activation_buffer.bits)
        for schedule in pricing.schedules:
            total = price_network(part, chip, pixels=pixels, schedule=schedule).total  # type: ignore[arg-type]
            found.append(
                {
                    "chip": chip.name,
                    "schedule": schedule,
                    "energy_nj": total.energy_pj / 1000,
                    "latency_us": total.delay_ns / 1000,
                }
            )
    return found


def cheapest(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the price of the min energy; of equals the first."""
    return min(found, key=lambda price: float(price["energy_nj"]))
