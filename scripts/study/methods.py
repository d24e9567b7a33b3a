"""Quantization methods side by side: one scene and network, CNN and SNN, over splits and seeds.

    python scripts/study/methods.py [--methods uniform lbw:bits=4,search=exact] [--bits 2 3 4]
        [--splits random blocks] [--seeds 31 32 33] [--scene indian_pines] [--model cnn32h]
        [--jobs 2] [--options "--window 5"] [--list]

The CNN of a seed and split is trained and converted once, kept in runs/methods, and each method
then quantizes both; SNNs of methods whose levels cannot follow a batch norm train without. Under
blocks, whole blocks validate. Results are lines of docs/results/methods, a file per scene and
model, so that a stopped study resumes; `--list` says what is left. A run takes one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from records import Record, Records

RESULTS, BASES = Path("docs/results/methods"), Path("runs/methods")
NETWORKS = {"CNN": "cnn_quantized", "SNN": "snn_trained"}
EFFORTS = ("ace", "acev2", "ns_ace")


class Job(NamedTuple):
    """Method on the networks of a split and seed."""

    split: str
    seed: int
    spec: str


def _main(arguments: argparse.Namespace) -> None:
    specs = arguments.methods or _all_methods(arguments.bits)
    places = [(split, seed) for split in arguments.splits for seed in arguments.seeds]
    jobs = [Job(*place, spec) for place in places for spec in specs]
    records = Records(_file(arguments, "jsonl"))
    missing = [job for job in jobs if _name(arguments, job) not in records]
    clock = _Clock(arguments, jobs, missing)
    print(clock.left(), file=sys.stderr)
    if arguments.list:
        print("\n".join(_name(arguments, job) for job in missing))
        return
    with ThreadPoolExecutor(arguments.jobs) as pool:
        bases = {job[:2]: None for job in missing}
        failed = list(pool.map(lambda place: _base_of(arguments, *place), bases))
        for line in filter(None, failed):
            print(line, file=sys.stderr)
        for line in pool.map(lambda job: _method(arguments, job), missing):
            print(f"{line}\n{clock.left()}", file=sys.stderr)
    records = Records(_file(arguments, "jsonl"))
    found = {job: records.get(_name(arguments, job)) for job in jobs}
    for split in arguments.splits:
        rows = [record for job, record in found.items() if record and job.split == split]
        done = [spec for spec in specs if any(record["spec"] == spec for record in rows)]
        if done:
            print(f"\n{split}\n\n{_table(done, rows)}")
            _plot(done, rows, _file(arguments, "svg", split))
    lacking = sum(record is None for record in found.values())
    if lacking:
        raise SystemExit(f"{lacking} of {len(jobs)} failed, as said above")


class _Clock:
    """Words for what is left, from the seconds that a run has taken."""

    def __init__(self, arguments: argparse.Namespace, jobs: list[Job], missing: list[Job]) -> None:
        self.arguments, self.jobs, self.missing = arguments, jobs, missing

    def left(self) -> str:
        records = Records(_file(self.arguments, "jsonl"))
        found = [records.get(_name(self.arguments, job)) for job in self.jobs]
        done = [record["seconds"] for record in found if record]
        left = len(self.jobs) - len(done)
        line = f"{len(done)} of {len(self.jobs)} done"
        if not left:
            return line
        if not done:
            return f"{line}, {left} left; the first one tells how long each takes"
        hours = left * statistics.fmean(done) / min(left, self.arguments.jobs) / 3600
        return f"{line}, {left} left, about {hours:.1f} h with --jobs {self.arguments.jobs}"


def _all_methods(widths: list[int]) -> list[str]:
    """Return every method at the bits that it takes of `widths`, or at its own."""
    from snnquant.errors import InputError
    from snnquant.quantization import METHODS

    specs = []
    for method in METHODS:
        taken = []
        for bits in widths:
            try:
                method(bits=bits)
            except InputError:
                continue
            taken.append(f"{method.method}:bits={bits}")
        specs += taken or [method.method]
    return specs


def _file(arguments: argparse.Namespace, kind: str, split: str = "") -> Path:
    parts = [Path(arguments.scene).stem, arguments.model, split]
    return RESULTS / f"{'_'.join(filter(None, parts))}.{kind}".replace(":", "_")


def _name(arguments: argparse.Namespace, job: Job) -> str:
    """Return the name of a record; other options are another record."""
    options = f", {arguments.options}" if arguments.options else ""
    return f"{job.split}, {job.spec}, seed {job.seed}{options}"


def _folder(arguments: argparse.Namespace, split: str, seed: int) -> Path:
    """Return the folder of a CNN, which depends on the options."""
    options = hashlib.sha256(arguments.options.encode()).hexdigest()[:8]
    return BASES / f"{_file(arguments, 'jsonl', split).stem}_{seed}_{options}"


def _base_of(arguments: argparse.Namespace, split: str, seed: int) -> str:
    """Train the CNN of a split and seed where its folder lacks it; return what failed."""
    job, folder = Job(split, seed, ""), _folder(arguments, split, seed)
    if (folder / "snn_converted.safetensors").exists():
        return ""
    try:
        with tempfile.TemporaryDirectory(dir=_made(BASES)) as part:
            _child(arguments, "base", job, Path(part) / "run")
            (Path(part) / "run").replace(folder)
    except SystemExit as failure:
        return str(failure)
    return ""


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _method(arguments: argparse.Namespace, job: Job) -> str:
    start = time.monotonic()
    try:
        out = _child(arguments, "method", job, _folder(arguments, job.split, job.seed))
    except SystemExit as failure:  # the other methods go on
        return str(failure)
    record = json.loads(out) | {"seconds": round(time.monotonic() - start, 1)}
    with LOCK:
        Records(_file(arguments, "jsonl")).add(_name(arguments, job), record)
    return f"{_name(arguments, job)}: SNN {100 * record['SNN']['oa']:.2f} %"


LOCK = threading.Lock()


def _child(arguments: argparse.Namespace, what: str, job: Job, folder: Path) -> str:
    """Run one part in a process of its own, so that runs on several cores do not share torch."""
    given = ["--scene", arguments.scene, "--model", arguments.model, "--seeds", str(job.seed)]
    given += ["--splits", job.split, f"--options={arguments.options}"]
    own = [*given, f"--child={what}", f"--folder={folder}"]
    command = [sys.executable, __file__, *own, *(["--methods", job.spec] if job.spec else [])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise SystemExit(f"{job.split}, {job.spec or 'CNN'}, seed {job.seed}: {lines[-1]}")
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
    values = tomllib.loads(write_config(plain))
    values |= {"model": arguments.model, "split": arguments.splits[0]}
    words = shlex.split(arguments.options)
    for flag, value in zip(words[::2], words[1::2], strict=True):
        values[flag.removeprefix("--").replace("-", "_")] = _value(value)
    table = values.pop(name, values)  # uniform's options have no table
    pairs = [pair.partition("=") for pair in fields.split(",") if pair]
    given = {key: _value(value) for key, _, value in pairs}
    if table is values and "bits" in given:  # activations have those of weights unless said
        table["activation_bits"] = min(given["bits"], 8)
    table |= given
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


def _value(text: str) -> Any:
    """Return a value as TOML has it; what is no number, true or false is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _quantized(arguments: argparse.Namespace) -> None:
    """Quantize the CNN and the SNN of a seed by a method; print the record."""
    import shutil

    from snnquant.config import read_config, write_config
    from snnquant.pipeline import stages
    from snnquant.pipeline.evaluation import evaluate
    from snnquant.pipeline.run import Run
    from snnquant.pipeline.run_start import FIGURES, read_figures
    from snnquant.quantization import layer_bits
    from snnquant.stored_networks import Network

    spec = arguments.methods[0]
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copytree(arguments.folder, Path(folder) / "run")
        config, base = _config(arguments, spec), read_config(path / "config.toml")
        model = replace(config.model, spectra=base.model.spectra)
        config = replace(config, model=model, scaling=base.scaling)  # as chosen under blocks
        (path / "config.toml").write_text(write_config(config), encoding="utf-8")
        run = Run.open(path)
        seconds = {}
        for name, stage in (("CNN", stages.quantize_cnn), ("SNN", stages.train_snn)):
            start = time.process_time()
            stage(run)
            seconds[name] = time.process_time() - start
        metrics = evaluate(run).to_dict()
        memory = _with_memory(run)
        figures = read_figures(path / FIGURES)
        record: Record = {"spec": spec, "seed": config.seed, "split": arguments.splits[0]}
        record |= {"options": arguments.options, "chip": config.chip}
        record["snn_batch_norm"] = config.training.snn_batch_norm
        for name, key in NETWORKS.items():
            network = run.load(key).network
            bits = layer_bits(network)
            record[name] = {
                "oa": metrics[key]["oa"],
                "converted_from": metrics["cnn_fp32"]["oa"],
                "bytes": _bytes(network, bits),
                "layer_bits": bits,
                "energy_pj": {t: row[key] for t, row in metrics["energy_pj"].items()},
                "chip_nj": {place: rows[name] for place, rows in memory.items()},
                "effort": {t: row[key] for t, row in metrics.get("effort", {}).items()},
                "operations": metrics["operations"][key],
                "operations_by_width": metrics["operations_by_width"][key],
                "training_bytes": _training_bytes(run, network),
                "training_seconds": seconds[name],
                "training_cost": figures.get(Network(key).stage, {}).get("training_cost"),
            }
    print(json.dumps(record))


def _with_memory(run: Any) -> dict[str, dict[str, float]]:
    """Return nJ per pixel on the run's chip by the best schedule, of a pixel and in a map."""
    from pim_sim.workload import Workload
    from snnquant.energy import chip_energies, find_chip
    from snnquant.pipeline.prices import WORKLOADS

    files = {name: run.path / WORKLOADS[key] for name, key in NETWORKS.items()}  # type: ignore[index]
    networks = {name: Workload.from_json(file) for name, file in files.items()}
    chip, found = find_chip(run.config.chip), {}
    for place in ("pixel", "map"):
        by_schedule = chip_energies(networks, chip, in_map=place == "map")
        if by_schedule is not None:
            found[place] = by_schedule["best"]
    return found


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
    places = list(records[0]["CNN"]["chip_nj"])
    head = ["method", "network", "seeds", "OA, %", "bytes"]
    head += [
        f"nJ per {place}{' pixel' * (place == 'map')}, {records[0]['chip']}" for place in places
    ]
    head += [f"nJ, {name}" for name in tables] + [f"{name}, 10^6" for name in efforts]
    head += ["training, MB", "training, s", "training cost, %"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for spec in specs:
        for name in NETWORKS:
            rows = [record[name] for record in records if record["spec"] == spec]
            cells = [spec, name, str(len(rows)), _spread([row["oa"] for row in rows], 100)]
            cells.append(f"{statistics.fmean(row['bytes'] for row in rows):,.0f}")
            cells += [_spread([row["chip_nj"][p] for row in rows], 1, 1) for p in places]
            cells += [_spread([row["energy_pj"][t] for row in rows], 1e-3, 1) for t in tables]
            cells += [_spread([row["effort"][t] for row in rows], 1e-6, 1) for t in efforts]
            cells.append(f"{statistics.fmean(row['training_bytes'] for row in rows) / 1e6:.1f}")
            cells.append(f"{statistics.fmean(row['training_seconds'] for row in rows):.0f}")
            costs = [row["training_cost"] for row in rows if row.get("training_cost")]
            cells.append(f"{100 * statistics.fmean(costs):.2f}" if costs else "-")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _plot(specs: list[str], records: list[Record], file: Path) -> None:
    """Draw OA over energy with memory and over bytes, a point per method and network."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "snnquant"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    chip = f"energy per pixel with memory, nJ ({records[0]['chip']})"
    panels = zip(figure.subplots(1, 2, sharey=True), (chip, "bytes of the network"), strict=True)
    for axes, label in panels:
        points = []
        for marker, name in zip("os", NETWORKS, strict=True):
            for number, spec in enumerate(specs):
                rows = [record[name] for record in records if record["spec"] == spec]
                spent = [row["chip_nj"]["pixel"] if label is chip else row["bytes"] for row in rows]
                accuracy = 100 * statistics.fmean(row["oa"] for row in rows)
                points.append((statistics.fmean(spent), accuracy))
                axes.plot(*points[-1], marker, color=f"C{number % 10}", label=f"{name} {spec}")
        front = [p for p in sorted(points) if not any(q[0] <= p[0] and q[1] > p[1] for q in points)]
        axes.step(*zip(*front, strict=True), where="post", color="0.7", zorder=0)
        axes.set(xscale="log", xlabel=label, ylabel="OA, %")
    figure.legend(*axes.get_legend_handles_labels(), fontsize=6, loc="outside right upper")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", help="NAME or NAME:OPTION=VALUE,...; default all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[31, 32, 33])
    parser.add_argument("--splits", nargs="+", default=["random"], help="random, blocks, mask")
    parser.add_argument("--scene", default="indian_pines")
    parser.add_argument("--model", default="cnn32h")
    bits = "bits where --methods is not given, of a method that takes them"
    parser.add_argument("--bits", nargs="+", type=int, default=[4], help=bits)
    parser.add_argument("--options", default="", help="options of snnquant run, each with a value")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a core each")
    parser.add_argument("--list", action="store_true", help="say what is left, run nothing")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    {"base": _base, "method": _quantized}.get(options.child, _main)(options)
