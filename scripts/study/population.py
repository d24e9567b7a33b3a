"""Study of populations of output neurons: SNNs of few time steps on Indian Pines.

    python scripts/study/population.py [--seeds 21 22 23] [--sizes 0 1 10] [--steps 1 2]
        [--options "--train-fraction 0.1 --cnn-epochs 30 --snn-epochs 15"]

The CNN of a size is trained once per seed, and its SNN once per number of steps, at 6 bits. Test
accuracies go to docs/results/methods/population.jsonl; what it holds is not repeated, so that a
stopped study resumes. Prints mean and standard deviation over the seeds. Size 0 has no output
neurons: the last spikes are summed with weights.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from snnquant.config import RunConfig, config_from_values
from snnquant.pipeline import stages
from snnquant.pipeline.run import Run
from snnquant.stored_networks import Network
from snnquant.training import predict

sys.path.insert(0, str(Path(__file__).parent))
from records import Record, Records

RESULTS = Path("docs/results/methods/population.jsonl")
OPTIONS = "--train-fraction 0.1 --cnn-epochs 30 --snn-epochs 15"
CNN = "CNN"


def key(row: str, size: int, seed: int, options: argparse.Namespace) -> str:
    """Return the name of a record; a row is the CNN or an SNN by its time steps."""
    return f"{options.scene}, {options.model}, {row}, population {size}, seed {seed}"


def config_of(options: argparse.Namespace, size: int, seed: int) -> RunConfig:
    """Return the options of a run."""
    words = shlex.split(options.options)
    values = {
        flag.removeprefix("--").replace("-", "_"): float(value) if "." in value else int(value)
        for flag, value in zip(words[::2], words[1::2], strict=True)
    }
    own = {"scene": options.scene, "model": options.model, "population": size, "seed": seed}
    return config_from_values({**values, **own})


def study(options: argparse.Namespace, size: int, seed: int) -> None:
    """Train what is missing of a size and a seed."""
    rows = {f"SNN, T = {steps}": steps for steps in options.steps}
    names = {row: key(row, size, seed, options) for row in (CNN, *rows)}
    if all(name in Records(RESULTS) for name in names.values()):
        return
    config = config_of(options, size, seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(config, Path(folder) / "run")
        start = time.process_time()
        stages.train_cnn(run)
        _add(names[CNN], run, Network.CNN_FP32, options, time.process_time() - start)
        for row, steps in rows.items():
            if names[row] in Records(RESULTS):
                continue
            for network in (Network.SNN_CONVERTED, Network.SNN_TRAINED):
                run.file(network).unlink(missing_ok=True)
            run.take(replace(config, neuron=replace(config.neuron, time_steps=steps)))
            start = time.process_time()
            stages.convert_cnn(run)
            stages.train_snn(run)
            _add(names[row], run, Network.SNN_TRAINED, options, time.process_time() - start)


def _add(
    name: str, run: Run, network: Network, options: argparse.Namespace, seconds: float
) -> None:
    test, found = run.samples(run.split.test), run.load(network).network
    right = predict(found, test.patches, test.indices).argmax(1) == test.classes
    record: Record = {"oa": right.double().mean().item(), "seconds": round(seconds, 1)}
    Records(RESULTS).add(name, record | {"options": options.options})
    print(f"{name}: {100 * record['oa']:.2f} %, {seconds:.0f} s", file=sys.stderr)


def table(options: argparse.Namespace) -> str:
    """Return the table of the rows that have a record for every seed."""
    records, rows = Records(RESULTS), [CNN, *(f"SNN, T = {steps}" for steps in options.steps)]
    heads = [f"{size} per class" if size else "none" for size in options.sizes]
    lines = [f"| output neurons | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for row in rows:
        cells = []
        for size in options.sizes:
            found = [records.get(key(row, size, seed, options)) for seed in options.seeds]
            values = [100 * record["oa"] for record in found if record]
            whole = len(values) == len(options.seeds)
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.fmean(values):.2f} ± {spread:.2f}" if whole else "-")
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[21, 22, 23])
    parser.add_argument("--sizes", nargs="+", type=int, default=[0, 1, 10])
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--scene", default="indian_pines")
    parser.add_argument("--model", default="cnn1x1h")
    parser.add_argument("--options", default=OPTIONS, help="options of snnquant run, with a value")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed, size in product(options.seeds, options.sizes):
        study(options, size, seed)
    print(table(options))


if __name__ == "__main__":
    main()
