"""Comparison of the networks of several runs on the test pixels that they share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pim_sim import Chip, NetworkPrice, price_network
from pim_sim.workload import Workload
from snnquant.energy import find_chip
from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.pipeline.prices import WORKLOADS
from snnquant.pipeline.report_data import read_metrics
from snnquant.pipeline.run import Progress, Run
from snnquant.pipeline.run_start import batch_size_for
from snnquant.report.compared_runs import (
    ChipEnergy,
    Column,
    Compared,
    Comparison,
    Pair,
    in_order,
    with_correction,
    with_front,
)
from snnquant.report.compared_tables import names_of
from snnquant.report.difference_maps import difference_png
from snnquant.report.paired_test import mcnemar
from snnquant.stored_networks import Network
from snnquant.training import Scores, confusion, predict

WIDTHS = "horowitz_widths"
"""Cost table of arithmetic at true widths."""
_COMPUTING = ("multiplies", "adds", "registers", "neurons", "activations", "control")
_TRANSFER = ("links", "arrival", "leakage")


@dataclass(frozen=True, eq=False)
class Answered:
    """A network of a run, with its answers on the run's test pixels."""

    row: Compared
    scene_digest: str
    shape: tuple[int, int]
    pixels: NDArray[np.int64]
    """[N] flat indices, rising."""
    right: NDArray[np.bool_]
    """[N] True where the network is right."""


def compare_runs(
    folders: Sequence[Path],
    networks: Sequence[Network] = (Network.SNN_TRAINED,),
    *,
    sort: Column = "oa",
    chip: str | None = None,
    progress: Progress = lambda *_: None,
) -> tuple[Comparison, dict[tuple[int, int], bytes]]:
    """Compare networks of runs: scores, energies, Pareto front, paired tests.

    Every network is run once over the test pixels of its run.

    Args:
        folders: Run folders, all different.
        networks: Networks of each run to compare.
        sort: Column to sort by, the better first.
        chip: Name or TOML file of the chip that prices all networks; by default each run's own.
        progress: Receives the progress.

    Returns:
        The comparison, and a difference map as a PNG file per pair of numbers that was tested.

    Raises:
        InputError: Fewer than two networks, a folder twice, or a file is missing.

    >>> compare_runs([Path("runs/mine")])
    Traceback (most recent call last):
    pim_sim.errors.InputError: compare: found 1 network, expected at least 2 (runs or --network)
    """
    count = len(folders) * len(networks)
    if count < 2:
        expected = "expected at least 2 (runs or --network)"
        raise InputError(f"compare: found {count} network, {expected}")
    places = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, places, strict=True):
        if places.count(place) > 1:
            raise InputError(f"{folder}: found twice, expected different runs")
    priced_on = None if chip is None else (chip, find_chip(chip))
    tested: list[Answered] = []
    for folder in folders:
        run = Run.open(folder)
        for network in networks:
            progress("comparison", len(tested), count, f"{folder} {network}")
            tested.append(_tested(run, network, len(tested) + 1, priced_on))
    progress("comparison", count, count, "")
    rows = with_front([one.row for one in tested])
    names, pairs, pictures = names_of(rows), list[Pair](), dict[tuple[int, int], bytes]()
    for first, second in itertools.combinations(tested, 2):
        pair, picture = compare_pair(first, second, names)
        pairs.append(pair)
        if picture is not None:
            pictures[pair.first, pair.second] = picture
    found = Comparison(tuple(in_order(rows, sort)), tuple(with_correction(pairs)))
    return found, pictures


def write_difference_maps(
    comparison: Comparison, pictures: dict[tuple[int, int], bytes], folder: Path
) -> Comparison:
    """Write difference maps as difference_1_2.png and so on; return the comparison naming them.

    Raises InputError if a file cannot be written.
    """
    pairs = []
    for pair in comparison.pairs:
        picture = pictures.get((pair.first, pair.second))
        file = None
        if picture is not None:
            file = folder / f"difference_{pair.first}_{pair.second}.png"
            with replacing(file) as temporary:
                temporary.write_bytes(picture)
        pairs.append(replace(pair, difference_map=None if file is None else str(file)))
    return replace(comparison, pairs=tuple(pairs))


def compare_pair(
    first: Answered, second: Answered, names: dict[int, str]
) -> tuple[Pair, bytes | None]:
    """Test two networks on the test pixels of both runs, and draw their difference map.

    Args:
        first: A network.
        second: Another one.
        names: Names by number, for the legend of the map.

    Returns:
        The pair, and the map as a PNG file; without a test and a map where the scenes differ or the
        runs share no test pixel.
    """
    numbers = first.row.number, second.row.number
    if first.scene_digest != second.scene_digest:
        scenes = " and ".join(dict.fromkeys((first.row.scene, second.row.scene)))
        return Pair(*numbers, 0, remark=f"scenes or their classes differ ({scenes}), no test"), None
    common, of_first, of_second = np.intersect1d(
        first.pixels, second.pixels, assume_unique=True, return_indices=True
    )
    if not len(common):
        return Pair(*numbers, 0, remark="the runs share no test pixel, no test"), None
    remark = None
    sizes = len(first.pixels), len(second.pixels)
    if sizes != (len(common), len(common)):
        remark = (
            f"test pixels differ: only the {len(common):,} that both runs test are compared, of "
            f"{sizes[0]:,} and {sizes[1]:,}"
        )
    right = first.right[of_first], second.right[of_second]
    labels = names[numbers[0]], names[numbers[1]]
    picture = difference_png(first.shape, common, right, labels)
    return Pair(*numbers, len(common), mcnemar(*right), remark=remark), picture


def _tested(
    run: Run, network: Network, number: int, priced_on: tuple[str, Chip] | None
) -> Answered:
    if not len(run.split.test):
        raise InputError(f"{run.path}: found no test pixel in its split, expected at least 1")
    if not run.has(network):
        raise InputError(f"{run.path}: found no {network}, expected it beside --network {network}")
    metrics = read_metrics(run.path)
    predictions, classes = predicted(run, network)
    scores = Scores.from_confusion(confusion(classes, predictions, run.scene.classes))
    compute = metrics.energy_pj.get(WIDTHS, {}).get(network)
    row = Compared(
        number=number,
        run=str(run.path),
        network=network.value,
        scene=run.scene.name,
        split=f"{run.split.protocol} {run.split.seed}",
        test_pixels=len(classes),
        oa=scores.oa,
        aa=scores.aa,
        kappa=scores.kappa,
        energy=chip_energy(run, network, priced_on),
        compute_only_nj=None if compute is None else compute / 1000,
    )
    shape = (run.scene.height, run.scene.width)
    return Answered(row, run.scene.digest, shape, run.split.test, predictions == classes)


def predicted(run: Run, network: Network) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a network's classes on the test pixels and the true ones, from 0, [N] each."""
    test = run.samples(run.split.test)
    checkpoint = run.load(network)
    batch = batch_size_for(checkpoint.network, test.patches.gather(test.indices[:1]))
    logits = predict(checkpoint.network, test.patches, test.indices, batch)
    return logits.argmax(1).numpy(), test.classes.numpy()


def chip_energy(
    run: Run, network: Network, priced_on: tuple[str, Chip] | None = None
) -> ChipEnergy | None:
    """Price the workload that a run folder has of a network, on the run's chip or another one.

    Returns None for a network whose workload the run does not describe.
    """
    file = run.path / WORKLOADS.get(network, "")
    if network not in WORKLOADS or not file.exists():
        return None
    name, chip = priced_on or (run.config.chip, find_chip(run.chip))
    workload = Workload.from_json(file)
    price = price_network(workload, chip)
    compute, transfer = (_sum(price, names) for names in (_COMPUTING, _TRANSFER))
    total = price.total.energy_pj / 1000
    stored = sum(layer.weights * layer.weight_bits for layer in workload.layers) / 8
    return ChipEnergy(name, total, compute, total - compute - transfer, transfer, stored)


def _sum(price: NetworkPrice, names: Sequence[str]) -> float:
    found = price.by_component()
    return sum(found.get(name, 0.0) for name in names) / 1000
