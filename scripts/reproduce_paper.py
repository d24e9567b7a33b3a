"""Study over networks, splits, time steps, bits and seeds, beside the paper.

    python scripts/reproduce_paper.py [--quick] [--scenes pavia_university salinas] [--seeds 5]
    python scripts/reproduce_paper.py --list

Runs `snnquant run` for every row of scripts/study/study.toml, several at a time, and writes one
record per run to docs/results/runs.jsonl and a page of tables and plots to docs/results. Runs that
are recorded with the same configuration are not repeated, so a stopped study resumes. Runs that
differ only in the SNN share one 32-bit CNN, which changes no result.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from study.page import FIRST_SEED, options_of, typed, write_page
from study.records import Record, Records

from snnquant.config import (
    RunConfig,
    options_before,
    read_config,
    with_options_of_before,
    write_config,
)
from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.scenes import load_scene

SNNQUANT = Path(sys.executable).with_name("snnquant")
STUDY_FILE = Path(__file__).parent / "study" / "study.toml"
WORK = Path("runs/reproduce_paper")
"""Folder of unfinished runs; finished ones are removed."""


@dataclass(frozen=True)
class Job:
    """Options of `snnquant run` that differ from the defaults: one run."""

    options: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, scene: str, seed: int, options: dict[str, Any]) -> Job:
        """Return the job of a row of the study on a scene with a seed."""
        own = ((k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(options.items()))
        return cls((("scene", scene), *own, ("seed", seed)))

    @property
    def name(self) -> str:
        """The name of the record, made of the options."""
        parts = (f"{key}-{_spelt(value)}" for key, value in self.options[1:])
        return "_".join([Path(self.options[0][1]).stem, *parts]).replace(":", "-")

    @property
    def command(self) -> str:
        """The command that gives the same figures."""
        # The study's options mean what they did before later ones had other defaults: said in full.
        own = dict(self.options)
        return f"snnquant run {typed(own | with_options_of_before(own))} --json"

    @cached_property
    def config(self) -> str:
        """The whole configuration, defaults included; raises `InputError` for an unknown option."""
        return completed("".join(f"{k} = {json.dumps(v)}\n" for k, v in self.options))

    @property
    def cnn(self) -> str:
        """The name of the 32-bit CNN that the run starts from."""
        own = json.dumps(options_before(parsed(self.config), "cnn"))
        return hashlib.sha256(own.encode()).hexdigest()[:16]


def completed(options: str) -> str:
    """Complete a configuration in TOML with today's defaults."""
    return write_config(parsed(options))


def parsed(options: str) -> RunConfig:
    """Return the configuration of a TOML text."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text(options)
        return read_config(file)


def _spelt(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


class Study:
    """Records of finished jobs, and the way to run the others."""

    def __init__(self, output: Path) -> None:
        self.records = Records(output / "runs.jsonl")
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self.stopped = threading.Event()

    def done(self, scene: str, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the metrics of a row's finished runs on a scene, in the order of seeds."""
        jobs = (Job.of(scene, seed, options) for seed in itertools.count(FIRST_SEED))
        found = itertools.takewhile(bool, map(self.record, jobs))
        return [record["metrics"] for record in found if record]

    def record(self, job: Job) -> Record | None:
        """Return the record of a run, None if it is missing or of another configuration."""
        found = self.records.get(job.name)
        # An option that came later had no other value then than its default.
        return found if found and completed(found["config"]) == job.config else None

    def run(self, job: Job) -> None:
        """Run a job to its end and add its record."""
        folder, start = WORK / job.name, time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(job.config)
        cnn = WORK / "cnn" / f"{job.cnn}.safetensors"
        with self.locks[job.cnn]:
            if not cnn.exists():
                self._call("train", folder)
                with replacing(cnn) as temporary:
                    shutil.copy(folder / "cnn.safetensors", temporary)
            elif not (folder / "cnn.safetensors").exists():
                shutil.copy(cnn, folder / "cnn.safetensors")
        metrics = self._call("run", folder)
        record = {
            "command": job.command,
            "config": job.config,
            "seconds": round(time.monotonic() - start),
            "metrics": {key: value for key, value in metrics.items() if key != "run"},
        }
        self.records.add(job.name, record)
        shutil.rmtree(folder)

    def _call(self, subcommand: str, folder: Path) -> dict[str, Any]:
        if self.stopped.is_set():
            raise InterruptedError
        # One thread per run: several runs at a time use the cores better than one run can.
        process = subprocess.run(
            [SNNQUANT, subcommand, "--resume", folder, "--json"],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if process.returncode:
            raise InputError(process.stderr.strip().splitlines()[-1])
        metrics: dict[str, Any] = json.loads(process.stdout)
        return metrics


def run_all(study: Study, left: list[Job], workers: int) -> None:
    """Run the jobs, several at a time; print the remaining count and time after each.

    Raises `InputError` for the first run that fails, after the others under way have ended.
    """
    start = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(study.run, job): job for job in left}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                minutes = (time.monotonic() - start) / 60
                print(
                    f"{done}/{len(left)} in {minutes:.0f} min, about "
                    f"{minutes / done * (len(left) - done):.0f} min left: {futures[future].name}",
                    flush=True,
                )
        except BaseException:
            study.stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def read_studies(file: Path) -> list[dict[str, Any]]:
    """Read the tables of a study file; raise `InputError` for any other file."""
    try:
        studies = tomllib.loads(file.read_text(encoding="utf-8"))["study"]
        for study in studies:
            missing = {"title", "text", "scenes", "rows"} - study.keys()
            if missing or not all("label" in row for row in study["rows"]):
                lacks = f"no {sorted(missing)[0]}" if missing else "a row without label"
                raise InputError(f"--study {file}: found {lacks} in a study, expected one")
    except OSError as error:
        raise InputError(f"--study {file}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"--study {file}: not a study in TOML ({error})") from None
    return list(studies)


def choose(studies: list[dict[str, Any]], titles: list[str] | None) -> list[dict[str, Any]]:
    """Select studies by title, all by default; raise `InputError` for an unknown title."""
    known = [study["title"] for study in studies]
    for title in titles or []:
        if title not in known:
            raise InputError(f"--studies: found {title!r}, expected of {', '.join(known)}")
    return [study for study in studies if titles is None or study["title"] in titles]


def wanted_jobs(studies: list[Any], scenes: list[str] | None, seeds: int) -> list[Job]:
    """List the jobs of the studies on `scenes`, or on the available ones of their own.

    Raises `InputError` for an unavailable one of `scenes`.
    """
    present = set()
    for scene in sorted({scene for study in studies for scene in scenes or study["scenes"]}):
        try:
            load_scene(scene)
        except InputError as error:
            if scenes:
                raise
            print(f"{scene} is left out: {error}", file=sys.stderr)
        else:
            present.add(scene)
    # Seeds outermost: a study that is stopped early has every row, with fewer seeds.
    jobs = [
        Job.of(scene, seed, options_of(row))
        for seed in range(FIRST_SEED, FIRST_SEED + seeds)
        for study in studies
        for scene in scenes or study["scenes"]
        for row in study["rows"]
        if scene in present
    ]
    return list(dict.fromkeys(jobs))


def main() -> None:
    """Read the options, run the missing jobs, write the page."""
    parser = argparse.ArgumentParser(description="The study behind the figures of snnquant.")
    parser.add_argument("--quick", action="store_true", help="both networks, one seed")
    parser.add_argument("--scenes", nargs="+", help="replace the scenes of the study")
    parser.add_argument("--studies", nargs="+", metavar="TITLE", help="only these tables")
    parser.add_argument(
        "--seeds", type=int, default=5, help=f"seeds from {FIRST_SEED} on (0: only the page)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at the same time")
    parser.add_argument("--study", type=Path, default=STUDY_FILE)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument("--list", action="store_true", help="list the missing runs and stop")
    options = parser.parse_args()
    if options.quick:
        options.studies, options.seeds = ["Both networks"], 1
        options.scenes = options.scenes or ["indian_pines"]
    try:
        for name, value, minimum in (("seeds", options.seeds, 0), ("jobs", options.jobs, 1)):
            if value < minimum:
                raise InputError(f"--{name}: found {value}, expected at least {minimum}")
        studies = read_studies(options.study)
        chosen = choose(studies, options.studies)
        work = Study(options.output)
        jobs = wanted_jobs(chosen, options.scenes, options.seeds)
        records = {job: work.record(job) for job in jobs}
        left = [job for job, record in records.items() if record is None]
        spent = [record["seconds"] for record in records.values() if record]
        minutes = statistics.fmean(spent or [0]) * len(left) / options.jobs / 60
        estimate = f", about {minutes:.0f} min to go" if spent else ""
        print(f"{len(spent)} of {len(jobs)} runs are done{estimate}", flush=True)
        if options.list:
            print("\n".join(job.command for job in left))
            return
        try:
            run_all(work, left, options.jobs)
        finally:
            for study in studies:
                study["scenes"] = list(dict.fromkeys(study["scenes"] + (options.scenes or [])))
            write_page(options.output, studies, work.done)
    except InputError as error:
        print(f"reproduce_paper.py: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("reproduce_paper.py: stopped; rerun the same command to resume", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
