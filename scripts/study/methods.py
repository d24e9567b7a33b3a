"""Quantization methods side by side: one scene and network, CNN and SNN, over seeds.

    python scripts/study/methods.py [--methods uniform lbw:bits=4,search=exact] [--seeds 31 32 33]
        [--scene indian_pines] [--model cnn32h] [--bits 4] [--jobs 2] [--options "--window 5"]

Every seed's CNN is trained and converted once, and each method then quantizes both; SNNs of methods
whose levels cannot follow a batch norm train without. A training's cost, where its method counts
it, is that of the multiplications of its steps over those of 32 bits. What a method and seed give
is kept in docs/results/methods, a file each, so that a stopped study resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

RESULTS = Path("docs/results/methods")
NETWORKS = {"CNN": "cnn_quantized", "SNN": "snn_trained"}
EFFORTS = ("ace", "acev2", "ns_ace")
Record = dict[str, Any]


def _main(arguments: argparse.Namespace) -> None:
    specs = arguments.methods or _all_methods(arguments.bits)
    jobs = [(seed, spec) for seed in arguments.seeds for spec in specs]
    missing = [job for job in jobs if not _file(arguments, *job).exists()]
    print(f"{len(jobs) - len(missing)} of {len(jobs)} done", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        seeds = sorted({seed for seed, _ in missing})
        bases = {seed: Path(folder) / f"base_{seed}" for seed in seeds}
        list(pool.map(lambda seed: _child(arguments, "base", seed, bases[seed], ""), seeds))
        for done in pool.map(lambda job: _method(arguments, *job, bases[job[0]]), missing):
            print(done, file=sys.stderr)
    files = [_file(arguments, *job) for job in jobs]
    records = [json.loads(file.read_text()) for file in files if file.exists()]
    done = [spec for spec in specs if any(record["spec"] == spec for record in records)]
    if done:
        print(_table(done, records))
        _plot(done, records, RESULTS / f"{_stem(arguments)}.svg")
    if len(records) < len(jobs):
        raise SystemExit(f"{len(jobs) - len(records)} of {len(jobs)} failed, as said above")


def _all_methods(bits: int) -> list[str]:
    from snnquant.quantization import METHODS

    return [f"{name}:bits={bits}" for name in METHODS.names()]


def _stem(arguments: argparse.Namespace) -> str:
    return f"{Path(arguments.scene).stem}_{arguments.model}".replace(":", "_")


def _file(arguments: argparse.Namespace, seed: int, spec: str) -> Path:
    name = spec.translate(str.maketrans(":,=", "___"))
    return RESULTS / f"{_stem(arguments)}_{name}_{seed}.json"


def _method(arguments: argparse.Namespace, seed: int, spec: str, base: Path) -> str:
    file = _file(arguments, seed, spec)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        out = _child(arguments, "method", seed, base, spec)
    except SystemExit as failure:  # the other methods go on
        return str(failure)
    file.write_text(out, encoding="utf-8")
    return f"{spec} seed {seed}: SNN {100 * json.loads(out)['SNN']['oa']:.2f} %"


def _child(arguments: argparse.Namespace, what: str, seed: int, folder: Path, spec: str) -> str:
    """Run one part in a process of its own, so that runs on several cores do not share torch."""
    given = ["--scene", arguments.scene, "--model", arguments.model, "--seeds", str(seed)]
    own = [*given, f"--options={arguments.options}", f"--child={what}", f"--folder={folder}"]
    command = [sys.executable, __file__, *own, *(["--methods", spec] if spec else [])]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{spec or 'CNN'}, seed {seed}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def _base(arguments: argparse.Namespace) -> None:
    """Train the CNN of a seed and convert it."""
    from snnquant.pipeline import stages
    from snnquant.pipeline.run import Run

    run = Run.create(_config(arguments, "uniform:bits=6"), Path(arguments.folder))
    stages.train_cnn(run)
    stages.convert_cnn(run)


def _config(arguments: argparse.Namespace, spec: str) -> Any:
    """Return the options of a run: those of the command line over the defaults."""
    from snnquant.config import RunConfig, TrainingConfig, find_method, read_config, write_config
    from snnquant.errors import InputError

    name, _, fields = spec.partition(":")
    plain = RunConfig(
        scene=arguments.scene,
        seed=arguments.seeds[0],
        quantization=find_method(name)(),
        training=TrainingConfig(snn_batch_norm=False),
    )
    values = tomllib.loads(write_config(plain)) | {"model": arguments.model}
    words = shlex.split(arguments.options)
    for flag, value in zip(words[::2], words[1::2], strict=True):
        values[flag.removeprefix("--").replace("-", "_")] = _value(value)
    table = values.pop(name, values)  # uniform's options have no table
    table |= {key: _value(value) for key, _, value in _pairs(fields)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    if table is not values:
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text("\n".join(lines), encoding="utf-8")
        config = read_config(file)
    try:
        config.quantization.require_channel_scales()
    except InputError:  # batch norm cannot be folded into such levels: trained without
        return config
    return replace(config, training=replace(config.training, snn_batch_norm=True))


def _pairs(fields: str) -> list[tuple[str, str, str]]:
    return [pair.partition("=") for pair in fields.split(",") if pair]


def _value(text: str) -> Any:
    """Return a value as TOML has it; what is no number, true or false is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _quantized(arguments: argparse.Namespace) -> None:
    """Quantize the CNN and the SNN of a seed by a method; print the record."""
    import shutil

    from snnquant.config import write_config
    from snnquant.pipeline import stages
    from snnquant.pipeline.evaluation import evaluate
    from snnquant.pipeline.run import Run
    from snnquant.pipeline.run_start import FIGURES
    from snnquant.quantization import layer_bits
    from snnquant.stored_networks import Network

    spec = arguments.methods[0]
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copytree(arguments.folder, Path(folder) / "run")
        (path / "config.toml").write_text(write_config(_config(arguments, spec)), encoding="utf-8")
        run = Run.open(path)
        seconds = {}
        for name, stage in (("CNN", stages.quantize_cnn), ("SNN", stages.train_snn)):
            start = time.process_time()
            stage(run)
            seconds[name] = time.process_time() - start
        metrics = evaluate(run).to_dict()
        file = path / FIGURES
        figures = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        record: Record = {"spec": spec, "seed": run.config.seed, "options": arguments.options}
        for name, key in NETWORKS.items():
            network = run.load(key).network
            bits = layer_bits(network)
            record["snn_batch_norm"] = run.config.training.snn_batch_norm
            record[name] = {
                "oa": metrics[key]["oa"],
                "converted_from": metrics["cnn_fp32"]["oa"],
                "bytes": _bytes(network, bits),
                "energy_pj": {t: row[key] for t, row in metrics["energy_pj"].items()},
                "effort": {t: row[key] for t, row in metrics.get("effort", {}).items()},
                "operations": metrics["operations"][key],
                "training_bytes": _training_bytes(run, network),
                "training_seconds": seconds[name],
                "training_cost": figures.get(Network(key).stage, {}).get("training_cost"),
            }
    print(json.dumps(record))


def _bytes(network: Any, bits: dict[str, int]) -> float:
    """Return the bytes of all parameters, quantized weights at their bits and the rest at 32."""
    weights = {name: network.get_submodule(name).weight.numel() for name in bits}
    every = sum(p.numel() for p in network.parameters())
    return (
        sum(n * bits[name] for name, n in weights.items()) + 32 * (every - sum(weights.values()))
    ) / 8


def _training_bytes(run: Any, network: Any) -> int:
    import torch

    from snnquant.training.memory import training_bytes

    samples = run.samples(run.split.train[: run.config.training.batch_size])
    torch.manual_seed(0)
    return training_bytes(network, samples.patches.gather(samples.indices), samples.classes).total


def _spread(values: list[float], scale: float = 1.0, digits: int = 2) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{scale * statistics.fmean(values):.{digits}f} ± {scale * deviation:.{digits}f}"


def _table(specs: list[str], records: list[Record]) -> str:
    """Return the table in Markdown: one row per method and network."""
    tables = list(records[0]["CNN"]["energy_pj"])
    efforts = [name for name in EFFORTS if name in records[0]["CNN"]["effort"]]
    head = ["method", "network", "OA, %", "bytes"]
    head += [f"nJ, {name}" for name in tables] + [f"{name}, 10^6" for name in efforts]
    head += ["training, MB", "training, s", "training cost, %"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for spec in specs:
        for name in NETWORKS:
            rows = [record[name] for record in records if record["spec"] == spec]
            cells = [spec, name, _spread([row["oa"] for row in rows], 100)]
            cells.append(f"{statistics.fmean(row['bytes'] for row in rows):,.0f}")
            cells += [_spread([row["energy_pj"][t] for row in rows], 1e-3, 1) for t in tables]
            cells += [_spread([row["effort"][t] for row in rows], 1e-6, 1) for t in efforts]
            cells.append(f"{statistics.fmean(row['training_bytes'] for row in rows) / 1e6:.1f}")
            cells.append(f"{statistics.fmean(row['training_seconds'] for row in rows):.0f}")
            costs = [row["training_cost"] for row in rows if row.get("training_cost")]
            cells.append(f"{100 * statistics.fmean(costs):.2f}" if costs else "-")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _plot(specs: list[str], records: list[Record], file: Path) -> None:
    """Draw OA over energy, a point per method and network, and the Pareto front."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "snnquant"
    from matplotlib.figure import Figure

    table = next(iter(records[0]["CNN"]["energy_pj"]))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    points = []
    for marker, name in zip("os", NETWORKS, strict=True):
        for number, spec in enumerate(specs):
            rows = [record[name] for record in records if record["spec"] == spec]
            energy = statistics.fmean(row["energy_pj"][table] for row in rows) / 1e3
            accuracy = 100 * statistics.fmean(row["oa"] for row in rows)
            points.append((energy, accuracy))
            axes.plot(energy, accuracy, marker, color=f"C{number % 10}", label=f"{name} {spec}")
    front = [p for p in sorted(points) if not any(q[0] <= p[0] and q[1] > p[1] for q in points)]
    axes.step(*zip(*front, strict=True), where="post", color="0.7", zorder=0)
    axes.set(xscale="log", xlabel=f"energy per pixel, nJ ({table})", ylabel="OA, %")
    axes.legend(fontsize=7, loc="best")
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", help="NAME or NAME:OPTION=VALUE,...; default all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[31, 32, 33])
    parser.add_argument("--scene", default="indian_pines")
    parser.add_argument("--model", default="cnn32h")
    parser.add_argument("--bits", type=int, default=4, help="bits where --methods is not given")
    parser.add_argument("--options", default="", help="options of snnquant run, each with a value")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    {"base": _base, "method": _quantized}.get(options.child, _main)(options)
