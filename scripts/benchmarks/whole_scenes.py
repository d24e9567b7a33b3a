"""Time and peak memory of `snnquant map` on cubes of 10^4 to 10^8 pixels, in files.

    python scripts/benchmarks/whole_scenes.py [--pixels 10000 100000 1000000] [--engine float]
    python scripts/benchmarks/whole_scenes.py --model cnn1x1 --bands 8 --pixels 10000000 100000000

A network is trained for a minute on a synthetic scene; its pixels, repeated as 16-bit integers,
make the cubes. Every map is its own process with its own peak memory. Writes
docs/results/scenes.md and scenes.json, where the tables of other networks, bands and engines stay.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from snnquant.io import replacing
from snnquant.scenes import Scene, load_scene

PAVIA_BANDS, PAVIA_PIXELS = 103, 207_400
SCALE = 10_000  # reflectance to integers, as sensors' products have it
KEYS = ("model", "bands", "engine")
RESULTS = Path(__file__).parents[2] / "docs" / "results"


def snnquant(*arguments: str) -> tuple[float, float, float]:
    """Run a command; return wall seconds, processor seconds and peak memory in MiB."""
    command = [sys.executable, "-c", "import snnquant.cli; snnquant.cli.main()", *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"snnquant {' '.join(arguments)}: {said}")
    wall = time.perf_counter() - start
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def training_scene(bands: int) -> Scene:
    """Return the scene whose pixels train the network and fill the cubes."""
    return load_scene(f"synthetic:96x96x{bands}")


def write_cube(path: Path, pixels: int, bands: int) -> int:
    """Write a nearly square cube of about `pixels` pixels, row by row; return the exact number."""
    source = np.round(training_scene(bands).cube * SCALE).astype(np.int16)
    height = math.isqrt(pixels)
    width = pixels // height
    across = np.tile(source, (1, -(-width // source.shape[1]), 1))[:, :width]
    header = {"descr": "<i2", "fortran_order": False, "shape": (height, width, bands)}
    # Not through a memory map: a process starts with the peak memory of the one that starts it.
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for row in range(height):
            file.write(across[row % len(across)].tobytes())
    return height * width


def card(folder: Path, bands: int) -> Path:
    """Write the training scene, in the same integers as the cubes; return its card."""
    scene = training_scene(bands)
    np.save(folder / "cube.npy", np.round(scene.cube * SCALE).astype(np.int16))
    np.save(folder / "labels.npy", scene.labels)
    names = "".join(f'[[classes]]\nname = "{name}"\n' for name in scene.class_names)
    text = f'[cube]\nfile = "cube.npy"\n[labels]\nfile = "labels.npy"\n{names}'
    (folder / "field.toml").write_text(text, encoding="utf-8")
    return folder / "field.toml"


def page(tables: list[dict[str, Any]]) -> str:
    """Return the page of docs/results."""
    lines = [
        "# Whole scenes",
        "",
        "The trained SNN, T = 5, 6-bit weights, on bands of 16 bits in a .npy file. Seconds and "
        "memory are those of the whole command, start included; the first map of an installation "
        "also compiles its loops. Seconds of the processor are those that count where other "
        "programs run too.",
    ]
    for table in tables:
        options = " ".join(f"--{name} {table[name]}" for name in KEYS)
        lines += [
            "",
            f"`python scripts/benchmarks/whole_scenes.py {options}`, {table['threads']} threads:",
            "",
            "| pixels | file, MiB | seconds | processor seconds | pixels per processor second "
            "| peak memory, MiB |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['pixels']:,} | {row['file_mib']:,.0f} | {row['seconds']:.1f} "
            f"| {row['processor_seconds']:.1f} | {row['pixels'] / row['processor_seconds']:,.0f} "
            f"| {row['peak_mib']:,.0f} |"
            for row in table["rows"]
        ]
    return "\n".join([*lines, ""])


def publish(table: dict[str, Any]) -> None:
    """Write a table to docs/results in the place of that of the same options, or after all."""
    tables = {as_key(t): t for t in json.loads((RESULTS / "scenes.json").read_text("utf-8"))}
    tables[as_key(table)] = table
    found = list(tables.values())
    texts = {"json": json.dumps(found, indent=2) + "\n", "md": page(found)}
    for end, text in texts.items():
        with replacing(RESULTS / f"scenes.{end}") as temporary:
            temporary.write_text(text, encoding="utf-8")


def as_key(table: dict[str, Any]) -> tuple[Any, ...]:
    """Return the options that tell a table from others."""
    return tuple(table[name] for name in KEYS)


def main() -> None:
    """Train, write cubes, map them, write the page."""
    parser = argparse.ArgumentParser(description="Time and memory of whole scenes.")
    sizes = [10_000, 100_000, PAVIA_PIXELS, 1_000_000, 10_000_000]
    parser.add_argument("--pixels", type=int, nargs="+", default=sizes)
    parser.add_argument("--model", choices=("cnn1x1", "cnn32h", "cnn3d"), default="cnn32h")
    parser.add_argument("--bands", type=int, default=PAVIA_BANDS)
    parser.add_argument("--engine", choices=("integer", "float"), default="integer")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = ("--model", options.model, "--time-steps", "5")
        epochs = ("--cnn-epochs", "3", "--quantized-epochs", "1", "--snn-epochs", "3")
        run, field = folder / "run", card(folder, options.bands)
        snnquant("run", "--scene", str(field), "--output", str(run), *network, *epochs)
        for wanted in options.pixels:
            cube = folder / "large.npy"
            pixels = write_cube(cube, wanted, options.bands)
            wall, processor, peak = snnquant(
                "map", str(run), "--cube", str(cube), "--engine", options.engine
            )
            rows.append(
                {
                    "pixels": pixels,
                    "file_mib": cube.stat().st_size / 2**20,
                    "seconds": wall,
                    "processor_seconds": processor,
                    "pixels_per_second": pixels / wall,
                    "peak_mib": peak,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    options_of = {name: getattr(options, name) for name in KEYS}
    publish({**options_of, "threads": threads, "rows": rows})


if __name__ == "__main__":
    main()
