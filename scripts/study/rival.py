"""Study of SNNs against CNNs with quantized activations: accuracy and energy of one front.

    python scripts/study/rival.py [--scenes indian_pines] [--groups front] [--seeds 31] [--jobs 2]

A group of rows shares the options of its 32-bit CNN, which is trained once per scene and seed; each
row quantizes it (CNN), or converts and trains it (SNN), as the command in its record does. Test
accuracies and energies, with memory on the chip edge_22nm, go to docs/results/rival.jsonl, one line
per row, scene and seed. What it holds is not repeated, so that a stopped study resumes. Prints
tables of mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from records import Record, Records

from snnquant.cli.allocator import keep_freed_memory
from snnquant.config import ModelConfig, RunConfig, TrainingConfig
from snnquant.config.options import options_of
from snnquant.energy import COSTS, chip_energies, find_chip, shared_between_windows
from snnquant.errors import InputError
from snnquant.pipeline import stages
from snnquant.pipeline.prices import Observed, workloads
from snnquant.pipeline.run import Run
from snnquant.stored_networks import Network
from snnquant.training import confusion

RESULTS = Path("docs/results/rival.jsonl")
SCENES = ("indian_pines", "salinas_a", "pavia_university_subset")
TABLES = ("horowitz_widths", "ace_snn")
"""Cost tables of compute energy."""


@dataclass(frozen=True)
class Group:
    """Rows that share a 32-bit CNN."""

    config: RunConfig
    cnns: dict[str, dict[str, Any]]
    """Options that CNNs with quantized activations change, by row."""
    snns: dict[str, dict[str, Any]]
    """Options that SNNs change, by row."""


def _small(name: str = "cnn1x1h", widths: tuple[int, ...] | None = None) -> RunConfig:
    return RunConfig(
        model=ModelConfig(name=name, widths=widths),
        scaling="within-class:0.3",
        training=TrainingConfig(cnn_epochs=40, snn_epochs=40, twin_epochs=40),
    )


def _bits(activation: int) -> dict[str, Any]:
    """Return the time steps whose twin has activations of so many bits."""
    return {"time_steps": 2**activation - 1}


GROUPS = {
    "front": Group(
        _small(),
        {f"W6A{bits}": _bits(bits) for bits in (2, 3, 1, 4, 6)}
        | {"W6A2, 0.2": _bits(2) | {"spike_target": 0.2}},
        {f"SNN T={steps}": {"time_steps": steps} for steps in (2, 1, 3, 5, 4)}
        | {"SNN T=2, 0.2": {"time_steps": 2, "spike_target": 0.2}}
        | {"SNN T=2, 0.1": {"time_steps": 2, "spike_target": 0.1}},
    ),
    "wide": Group(
        _small("cnn1x1w"),
        {"W6A2": _bits(2)},
        {
            f"SNN T=2, {target}": {"time_steps": 2, "spike_target": target}
            for target in (0.1, 0.05)
        },
    ),
    "hardware": Group(
        _small(),
        {},
        {
            "SNN T=2, leak 1-2^-k, 16 bits": {
                "time_steps": 2, "leak": "power-of-two", "potential_bits": 16,
            },
            "SNN T=2, leak 1-2^-k, 8 bits": {
                "time_steps": 2, "leak": "power-of-two", "potential_bits": 8,
            },
        },
    ),
    "bits": Group(
        _small(),
        {f"W{bits}A2": _bits(2) | {"bits": bits} for bits in (4, 3)},
        {f"SNN T=2, W{bits}": {"time_steps": 2, "bits": bits} for bits in (4, 3)},
    ),
    **{
        f"pixels_{bits}": Group(
            replace(_small(), pixel_bits=bits), {}, {"SNN T=2": {"time_steps": 2}}
        )
        for bits in (4, 6, 12)
    },
    "short": Group(
        _small(),
        {f"W6A{bits}": _bits(bits) for bits in (1, 2, 3)}
        | {f"W6A{bits}, 0.1": _bits(bits) | {"spike_target": 0.1} for bits in (1, 2)},
        {f"SNN T={steps}": {"time_steps": steps} for steps in (1, 2)}
        | {"SNN T=2, 0.1": {"time_steps": 2, "spike_target": 0.1}},
    ),
    "cnn1x1": Group(
        _small("cnn1x1"),
        {"W6A2": _bits(2)},
        {f"SNN T={steps}": {"time_steps": steps} for steps in (2, 1)}
        | {
            f"SNN T=1, {target}": {"time_steps": 1, "spike_target": target}
            for target in (0.1, 0.05)
        },
    ),
    "narrow": Group(
        _small("cnn1x1", (32, 64)),
        {f"W6A{bits}": _bits(bits) for bits in (1, 2)},
        {f"SNN T={steps}": {"time_steps": steps} for steps in (1, 2)},
    ),
}  # fmt: skip
"""Groups by name: front, short (for small scenes), hardware, bits and pixels_N are of cnn1x1h,
wide of cnn1x1w, narrow of cnn1x1 with half of its filters."""
CNN = "CNN 32-bit"


def changed(config: RunConfig, options: dict[str, Any]) -> RunConfig:
    """Return a configuration with other values of options, by their names."""
    for option in options_of(RunConfig):
        if option.name in options:
            *parents, name = option.path
            value = options[option.name]
            if parents:
                part = replace(getattr(config, parents[0]), **{name: value})
                config = replace(config, **{parents[0]: part})
            else:
                config = replace(config, **{name: value})
    return config


def command(config: RunConfig) -> str:
    """Return the command whose run trains a row's networks."""
    words = ["snnquant run"]
    plain = RunConfig()
    for option in options_of(RunConfig):
        value = option.value(config)
        if value != option.value(plain) or option.name in ("scene", "seed"):
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
            words.append(f"{option.flag} {shown}")
    return " ".join(words)


def key(scene: str, group: str, row: str, seed: int) -> str:
    """Return the name of a record."""
    return f"{scene}, {group}, {row}, seed {seed}"


def work(job: tuple[str, str, int]) -> None:
    """Train what is missing of a scene, group and seed."""
    scene, group, seed = job
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = GROUPS[group]
    missing = [
        row
        for row in (CNN, *rows.cnns, *rows.snns)
        if key(scene, group, row, seed) not in Records(RESULTS)
    ]
    if not missing:
        return
    config = replace(rows.config, scene=scene, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(config, Path(folder) / "run")
        start = time.process_time()
        stages.train_cnn(run)
        if CNN in missing:
            _add(CNN, group, run, Network.CNN_FP32, start)
        for row, options in (rows.cnns | rows.snns).items():
            if row not in missing:
                continue
            start = time.process_time()
            run.take(changed(config, options))
            for network in (Network.CNN_TWIN, Network.SNN_CONVERTED, Network.SNN_TRAINED):
                run.file(network).unlink(missing_ok=True)
            network = Network.CNN_TWIN if row in rows.cnns else Network.SNN_TRAINED
            try:
                if network is Network.CNN_TWIN:
                    stages.train_twin(run)
                else:
                    stages.convert_cnn(run)
                    stages.train_snn(run)
            except InputError as error:  # no epoch within the target
                print(f"{key(scene, group, row, seed)}: {error}", file=sys.stderr)
            else:
                _add(row, group, run, network, start)


def _add(row: str, group: str, run: Run, network: Network, start: float) -> None:
    seconds = time.process_time() - start
    test = run.samples(run.split.test)
    seen = Observed.of(network, run.load(network), test)
    table = confusion(test.classes.numpy(), seen.seen.logits.argmax(1).numpy(), run.scene.classes)
    chip = find_chip("edge_22nm")
    described = workloads(run, {network: seen})
    layers, behind = seen.layers, seen.layers[1:]
    record: Record = {
        "command": command(run.config),
        "oa": float(table.trace() / table.sum()),
        "seconds": round(seconds, 1),
        "accumulates_per_mac": sum(row.ac if network.spiking else row.mac for row in behind)
        / sum(row.info.mac for row in behind),
    }
    for place, in_map in (("alone_nj", False), ("map_nj", True)):
        found = chip_energies({row: described[network]}, chip, in_map=in_map)
        if found is not None:
            record[place] = {schedule: prices[row] for schedule, prices in found.items()}
    for place, rows in (("alone", layers), ("map", shared_between_windows(layers))):
        for name in TABLES:
            record[f"{place}_{name}_nj"] = COSTS.get(name).of(rows) / 1000
    Records(RESULTS).add(key(run.config.scene, group, row, run.config.seed), record)
    print(f"{key(run.config.scene, group, row, run.config.seed)}: {record}", file=sys.stderr)


def spread(values: Iterable[float], digits: int = 2) -> str:
    """Format mean and standard deviation."""
    found = list(values)
    deviation = statistics.stdev(found) if len(found) > 1 else 0.0
    return f"{statistics.fmean(found):.{digits}f} ± {deviation:.{digits}f}"


def table(scene: str, group: str, seeds: list[int]) -> str:
    """Return the table of the rows that have a record for every seed."""
    records = Records(RESULTS)
    lines = [
        "| network | OA, % | accumulates per MAC | alone, nJ: A | B | C | best | "
        "in a map, nJ: A | B | C | best | compute only, alone | in a map |",
        "|---" * 13 + "|",
    ]
    rows = GROUPS[group]
    for row in (CNN, *rows.cnns, *rows.snns):
        found = [records.get(key(scene, group, row, seed)) for seed in seeds]
        runs = [record for record in found if record]
        if len(runs) < len(seeds):
            continue
        cells = [row, spread(100 * run["oa"] for run in runs)]
        cells.append(spread(run["accumulates_per_mac"] for run in runs))
        for place in ("alone_nj", "map_nj"):
            for schedule in ("events", "time_inner", "dense", "best"):
                energies = [run[place][schedule] for run in runs if place in run]
                cells.append(spread(energies, 1) if energies else "")
        cells += [
            spread((run[f"{place}_horowitz_widths_nj"] for run in runs), 1)
            for place in ("alone", "map")
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def against(scene: str, seeds: list[int]) -> str:
    """Return the table of SNNs over the cheapest CNN of about their accuracy.

    That is a CNN with quantized activations of any group whose mean accuracy is within 0.2 points,
    under its own best schedule; ratios are those of the same seed.
    """
    records = Records(RESULTS)
    runs = {
        (group, row): found
        for group, rows in GROUPS.items()
        for row in (*rows.cnns, *rows.snns)
        if all(found := [records.get(key(scene, group, row, seed)) or {} for seed in seeds])
    }
    lines = ["| SNN | place | cheapest CNN | A | B | C | best |", "|---" * 7 + "|"]
    for (group, row), own in runs.items():
        if row in GROUPS[group].cnns:
            continue
        for place in ("alone_nj", "map_nj"):
            rivals = [
                (statistics.fmean(run[place]["best"] for run in found), name)
                for name, found in runs.items()
                if name[1] in GROUPS[name[0]].cnns and abs(_oa(found) - _oa(own)) <= 0.002
            ]
            cells = [f"{group}: {row}", "alone" if place == "alone_nj" else "in a map"]
            if rivals:
                name = min(rivals)[1]
                cells.append(f"{name[0]}: {name[1]}")
                for schedule in ("events", "time_inner", "dense", "best"):
                    pairs = zip(own, runs[name], strict=True)
                    cells.append(spread(a[place][schedule] / b[place]["best"] for a, b in pairs))
            else:
                cells += ["none", *[""] * 4]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _oa(runs: list[Record]) -> float:
    return statistics.fmean(run["oa"] for run in runs)


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=["indian_pines"])
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[31, 32, 33, 34, 35])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    options = parser.parse_args()
    jobs = [(s, g, seed) for s, g, seed in product(options.scenes, options.groups, options.seeds)]
    with ProcessPoolExecutor(options.jobs) as pool:
        list(pool.map(work, jobs))
    for scene in options.scenes:
        for group in options.groups:
            print(f"\n{scene}, {group}\n\n{table(scene, group, options.seeds)}")
        print(f"\n{scene}, SNN over CNN\n\n{against(scene, options.seeds)}")


if __name__ == "__main__":
    main()
