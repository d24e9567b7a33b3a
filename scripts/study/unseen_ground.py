"""Study on ground that no label touches: networks beside controls, bare and smoothed.

    python scripts/study/unseen_ground.py [--rows blocks mask] [--seeds 31 32 33 34 35] [--jobs 2]

Runs `snnquant run` for every row and seed, keeps what each prints in docs/results/unseen_ground, a
file per row and seed, and prints the table of means and standard deviations. Runs whose file exists
are not repeated, so that a stopped study resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

RESULTS = Path("docs/results/unseen_ground")
NETWORK = "--model cnn1x1 --time-steps 2 --cnn-epochs 15 --snn-epochs 20 --pixel-bits 32"
BLOCKS, PAVIA = (
    "--scene indian_pines --split blocks",
    "--scene pavia_university_subset --split blocks",
)
TAUGHT = "--teacher cnn+lda --unlabelled 1"
ROWS = {
    "blocks": f"{BLOCKS} --guard 5 --window 9 {NETWORK}",
    "blocks_5x5": f"{BLOCKS} --guard 5 --window 5 {NETWORK}",
    "blocks_taught": f"{BLOCKS} --guard 5 --window 9 {NETWORK} {TAUGHT}",
    "mask": f"--scene indian_pines --split mask --window 5 {NETWORK}",
    "pavia_blocks": f"{PAVIA} --guard 5 --window 9 {NETWORK}",
    "pavia_blocks_taught": f"{PAVIA} --guard 5 --window 9 {NETWORK} {TAUGHT}",
    "fifty": "--scene indian_pines --train-pixels 50 --guard 3 --window 5 --scaling within-class "
    "--model cnn1x1 --time-steps 2 --cnn-epochs 45 --snn-epochs 60 --pixel-bits 32",
    "random": f"--scene indian_pines --window 5 --scaling within-class {NETWORK}",
}
"""Options of `snnquant run` by row."""


def command(row: str, seed: int) -> str:
    """Return the command that gives a row's figures for a seed."""
    return f"snnquant run {ROWS[row]} --seed {seed} --json"


def result(row: str, seed: int) -> dict[str, Any]:
    """Return the metrics of a row and seed, running it if its file is missing."""
    file = RESULTS / f"{row}_{seed}.json"
    if not file.exists():
        program = Path(sys.executable).with_name("snnquant")
        with tempfile.TemporaryDirectory() as folder:
            arguments = [*command(row, seed).split()[1:], "--output", f"{folder}/run"]
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                [program, *arguments], capture_output=True, text=True, env=environment, check=False
            )
        if done.returncode:
            raise SystemExit(f"{command(row, seed)}: {done.stderr.strip()}")
        metrics = json.loads(done.stdout) | {"command": command(row, seed)}
        metrics.pop("run")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(metrics) + "\n", encoding="utf-8")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def spread(values: list[float]) -> str:
    """Format mean and standard deviation in per cent."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.fmean(values):.1f} ± {100 * deviation:.1f}"


def table_row(row: str, runs: list[dict[str, Any]]) -> list[str]:
    """Return the cells of a row."""
    controls = [spread([run["controls"][name]["oa"] for run in runs]) for name in ("lda", "svm")]
    cells = [row, *controls]
    for name in ("cnn_fp32", "snn_converted", "snn_trained"):
        cells.append(spread([run[name]["oa"] for run in runs]))
    cells.append(spread([run["snn_trained"]["smoothed"]["oa"] for run in runs]))
    above = sum(
        run["snn_trained"]["oa"] > max(run["controls"][name]["oa"] for name in ("lda", "svm"))
        for run in runs
    )
    calibration = [run["calibration"]["snn_trained"] for run in runs]
    half = [
        point["accuracy"]
        for entry in calibration
        for point in entry["selective"]
        if point["coverage"] == 0.5
    ]
    return [
        *cells,
        f"{above} of {len(runs)}",
        spread([entry["ece"] for entry in calibration]),
        spread([entry["ece_smoothed"] for entry in calibration]),
        spread(half),
    ]


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[31, 32, 33, 34, 35])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    options = parser.parse_args()
    jobs = [(row, seed) for row in options.rows for seed in options.seeds]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = dict(zip(jobs, pool.map(lambda job: result(*job), jobs), strict=True))
    headings = "row|LDA|SVM|CNN|SNN converted|SNN|SNN smoothed|SNN above both|ECE|ECE smoothed|"
    print(f"|{headings}OA at 50 %|\n|{'---|' * 11}")
    for row in options.rows:
        cells = table_row(row, [results[row, seed] for seed in options.seeds])
        print(f"|{'|'.join(cells)}|")


if __name__ == "__main__":
    main()
