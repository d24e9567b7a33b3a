"""Study of the bits of activations and pixels: CNNs with 6-bit weights on Indian Pines.

    python scripts/study/activation_bits.py [--seeds 21 22 23 24 25] [--jobs 1] [--snn]

Trains the 32-bit CNN of a seed once per width of the pixels, quantizes it in every way of `ROWS`,
as `snnquant train` does with these options; with `--snn` the SNN too, as `snnquant run`. Test
accuracies go to docs/results/activation_bits.jsonl, one line per row and seed. What it holds is not
repeated, so that a stopped study resumes. Prints mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from records import Record, Records

from snnquant.cli.allocator import keep_freed_memory
from snnquant.config import QuantizationConfig, RunConfig
from snnquant.pipeline import stages
from snnquant.pipeline.run import Run
from snnquant.stored_networks import Network
from snnquant.training import predict

RESULTS = Path("docs/results/activation_bits.jsonl")
FLOAT, SNN = "32-bit CNN", "SNN"
ROWS: dict[int, dict[str, QuantizationConfig]] = {
    8: {
        "W6A32": QuantizationConfig(activation_bits=32),
        "W6A6": QuantizationConfig(),
        "W6A3": QuantizationConfig(activation_bits=3),
    },
    32: {"W6A6": QuantizationConfig()},
}
"""Options of quantization by bits of the pixels and name."""


def key(row: str, pixel_bits: int, seed: int) -> str:
    """Return the name of a record."""
    return f"{row}, {pixel_bits}-bit pixels, seed {seed}"


def options_of(row: str, pixel_bits: int, seed: int) -> str:
    """Return the command that gives a record's accuracy."""
    config = ROWS[pixel_bits].get(row, QuantizationConfig())
    words = [f"snnquant {'run' if row == SNN else 'train'} --scene indian_pines --seed {seed}"]
    if pixel_bits != 8:
        words.append(f"--pixel-bits {pixel_bits}")
    if config.activation_bits != config.bits and row not in (SNN, FLOAT):
        words.append(f"--activation-bits {config.activation_bits}")
    if config.activation_quantizer != "lsq":
        words.append(f"--activation-quantizer {config.activation_quantizer}")
    return " ".join(words)


def work(job: tuple[int, int, bool]) -> None:
    """Train what is missing of a seed and a width of the pixels."""
    seed, pixel_bits, with_snn = job
    torch.set_num_threads(1)
    keep_freed_memory()
    wanted = [FLOAT, *ROWS[pixel_bits], *([SNN] if with_snn else [])]
    if all(key(row, pixel_bits, seed) in Records(RESULTS) for row in wanted):
        return
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(seed=seed, pixel_bits=pixel_bits)
        run = Run.create(config, Path(folder) / "run")
        start = time.process_time()
        stages.train_cnn(run)
        _add(FLOAT, run, Network.CNN_FP32, start)
        for row, quantization in ROWS[pixel_bits].items():
            if key(row, pixel_bits, seed) not in Records(RESULTS):
                run.file(Network.CNN_QUANTIZED).unlink(missing_ok=True)
                run.take(replace(config, quantization=quantization))
                start = time.process_time()
                stages.quantize_cnn(run)
                _add(row, run, Network.CNN_QUANTIZED, start)
        if with_snn:
            run.take(config)
            start = time.process_time()
            stages.convert_cnn(run)
            stages.train_snn(run)
            _add(SNN, run, Network.SNN_TRAINED, start)


def _add(row: str, run: Run, network: Network, start: float) -> None:
    seconds = time.process_time() - start
    test, found = run.samples(run.split.test), run.load(network).network
    right = predict(found, test.patches, test.indices).argmax(1) == test.classes
    seed, bits = run.config.seed, run.config.pixel_bits
    record: Record = {"oa": right.double().mean().item(), "seconds": round(seconds, 1)}
    record |= {"pixel_bits": bits, "row": row, "command": options_of(row, bits, seed)}
    Records(RESULTS).add(key(row, bits, seed), record)
    print(f"{key(row, bits, seed)}: {100 * record['oa']:.2f} %, {seconds:.0f} s", file=sys.stderr)


def table(seeds: list[int]) -> str:
    """Return the table of the rows that have a record for every seed."""
    records = Records(RESULTS)
    lines = ["| network | pixels | OA, % | options |", "|---|---|---|---|"]
    for pixel_bits, rows in ROWS.items():
        for row in (FLOAT, *rows, SNN):
            found = [records.get(key(row, pixel_bits, seed)) for seed in seeds]
            values = [100 * record["oa"] for record in found if record]
            if len(values) == len(seeds):
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                words = options_of(row, pixel_bits, 0).partition("--seed 0")[2].strip()
                options = f"`{words}`" if words else ""
                mean = f"{statistics.fmean(values):.2f} ± {spread:.2f}"
                pixels = "float" if pixel_bits == 32 else f"{pixel_bits} bits"
                lines.append(f"| {row} | {pixels} | {mean} | {options} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[21, 22, 23, 24, 25])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--snn", action="store_true", help="train the SNN too")
    options = parser.parse_args()
    jobs = [(seed, bits, options.snn) for seed, bits in product(options.seeds, ROWS)]
    with ProcessPoolExecutor(options.jobs) as pool:
        list(pool.map(work, jobs))
    print(table(options.seeds))


if __name__ == "__main__":
    main()
