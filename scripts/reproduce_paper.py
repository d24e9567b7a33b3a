"""The study: every network, split, number of steps and of bits, over seeds, beside the paper.

    python scripts/reproduce_paper.py [--quick] [--scenes pavia_university salinas] [--seeds 5]
    python scripts/reproduce_paper.py --list

Runs `snnquant run` for every row of scripts/study.toml, several at a time, and writes one JSON a
run and a page of tables and plots to docs/results. What is there already, made with the same
configuration, is not run again; a study that was stopped goes on where it was. Runs that differ in
the SNN alone share one 32-bit CNN, which changes no result.
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

from study_page import FIRST_SEED, options_of, typed, write_page

from snnquant.config import RunConfig, options_before, read_config, write_config
from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.scenes import load_scene

SNNQUANT = Path(sys.executable).with_name("snnquant")
WORK = Path("runs/reproduce_paper")
"""Where runs are under way; a run that is done is gone from here."""


@dataclass(frozen=True)
class Job:
    """One run: the options of `snnquant run` that differ from its defaults."""

    options: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, scene: str, seed: int, options: dict[str, Any]) -> Job:
        """A row of the study on a scene with a seed."""
        own = ((k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(options.items()))
        return cls((("scene", scene), *own, ("seed", seed)))

    @property
    def name(self) -> str:
        """A file name that says what the run is."""
        parts = (f"{key}-{_spelt(value)}" for key, value in self.options[1:])
        return "_".join([Path(self.options[0][1]).stem, *parts]).replace(":", "-")

    @property
    def command(self) -> str:
        """What to type for the same figures."""
        return f"snnquant run {typed(dict(self.options))} --json"

    @cached_property
    def config(self) -> str:
        """The whole configuration, defaults included; InputError for an option there is not."""
        return completed("".join(f"{k} = {json.dumps(v)}\n" for k, v in self.options))

    @property
    def cnn(self) -> str:
        """Name of the 32-bit CNN that the run starts from."""
        own = json.dumps(options_before(parsed(self.config), "cnn"))
        return hashlib.sha256(own.encode()).hexdigest()[:16]


def completed(options: str) -> str:
    """A configuration in TOML with today's defaults for the options that it leaves out."""
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
    """The records of the jobs that are done, and how to run the others."""

    def __init__(self, output: Path) -> None:
        self.records = output / "runs"
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self.stopped = threading.Event()

    def done(self, scene: str, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Metrics of a row's runs on a scene, seed by seed as far as they are done."""
        jobs = (Job.of(scene, seed, options) for seed in itertools.count(FIRST_SEED))
        found = itertools.takewhile(bool, map(self.record, jobs))
        return [record["metrics"] for record in found if record]

    def record(self, job: Job) -> dict[str, Any] | None:
        """What a run left, if it is done and was made with the configuration of today."""
        file = self.records / f"{job.name}.json"
        if not file.exists():
            return None
        found: dict[str, Any] = json.loads(file.read_text())
        # An option that came later had no other value then than its default.
        return found if completed(found["config"]) == job.config else None

    def run(self, job: Job) -> None:
        """Run a job to its end and write its record."""
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
        self.records.mkdir(parents=True, exist_ok=True)
        with replacing(self.records / f"{job.name}.json") as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n")
        shutil.rmtree(folder)

    def _call(self, verb: str, folder: Path) -> dict[str, Any]:
        if self.stopped.is_set():
            raise InterruptedError
        # One thread a run: several runs at a time use the cores better than one run can.
        process = subprocess.run(
            [SNNQUANT, verb, "--resume", folder, "--json"],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if process.returncode:
            raise InputError(process.stderr.strip().splitlines()[-1])
        metrics: dict[str, Any] = json.loads(process.stdout)
        return metrics


def run_all(study: Study, left: list[Job], workers: int) -> None:
    """Run what is left, several at a time; say after each how much is left and how long it takes.

    Raises InputError for the first run that fails, when the others under way have ended.
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
    """The tables of a study file; InputError where it is none."""
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
    """The studies of these titles, all without any; InputError for a title that there is not."""
    known = [study["title"] for study in studies]
    for title in titles or []:
        if title not in known:
            raise InputError(f"--studies: found {title!r}, expected of {', '.join(known)}")
    return [study for study in studies if titles is None or study["title"] in titles]


def wanted_jobs(studies: list[Any], scenes: list[str] | None, seeds: int) -> list[Job]:
    """The jobs of the studies on their own scenes, where they can be had, or on these.

    Raises InputError for one of `scenes` that cannot be had.
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
    """Read the options, run what is left, write the page."""
    parser = argparse.ArgumentParser(description="The study behind the figures of snnquant.")
    parser.add_argument("--quick", action="store_true", help="both networks, one seed")
    parser.add_argument("--scenes", nargs="+", help="these instead of the study's own")
    parser.add_argument("--studies", nargs="+", metavar="TITLE", help="these tables alone")
    parser.add_argument(
        "--seeds", type=int, default=5, help=f"seeds from {FIRST_SEED} on (0: page alone)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time")
    parser.add_argument("--study", type=Path, default=Path(__file__).with_name("study.toml"))
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument("--list", action="store_true", help="say what is left and run nothing")
    options = parser.parse_args()
    if options.quick:
        options.studies, options.seeds = ["Both networks"], 1
        options.scenes = options.scenes or ["indian_pines"]
    try:
        for name, value, least in (("seeds", options.seeds, 0), ("jobs", options.jobs, 1)):
            if value < least:
                raise InputError(f"--{name}: found {value}, expected at least {least}")
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
        print("reproduce_paper.py: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
