"""A format that the package does not know, read by one file outside of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snnquant.scenes import load_scene

PLUGIN = Path(__file__).with_name("grid_reader.py")
CARD = """
[cube]
file = "cube.grid"

[labels]
file = "labels.grid"

[[classes]]
name = "maize"

[[classes]]
name = "barley"
"""
QUICK = (
    *("--model", "cnn32h", "--widths", "4", "4", "8", "8"),
    *("--cnn-epochs", "1", "--quantized-epochs", "1", "--snn-epochs", "1"),
)


def write_grid(path: Path, array: np.ndarray) -> None:
    path.write_text(f"GRID 1 {array.dtype.str} {' '.join(map(str, array.shape))}")
    array.tofile(path.with_suffix(".raw"))


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a card with a cube and labels in the made-up format."""
    folder = tmp_path_factory.mktemp("field")
    scene = load_scene("synthetic:20x20x8")
    write_grid(folder / "cube.grid", (scene.cube * 1e4).astype(">i2"))
    write_grid(folder / "labels.grid", np.minimum(scene.labels, 2).astype(np.uint8))
    (folder / "card.toml").write_text(CARD)
    return folder


def snnquant(folder: Path, *arguments: str, plugins: str = str(PLUGIN)):
    """Run the command line as a process of its own: plugins load once per process."""
    code = "from snnquant.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | {"SNNQUANT_PLUGINS": plugins},
        capture_output=True,
        text=True,
    )


def test_a_card_may_name_files_of_the_format(field):
    done = snnquant(field, "scenes", "show", "card.toml", "--json")
    assert done.returncode == 0, done.stderr
    pixels = json.loads(done.stdout)["pixels"]
    labels = np.fromfile(field / "labels.raw", np.uint8)
    assert list(pixels.values()) == np.bincount(labels).tolist()


def test_without_the_plugin_the_format_is_unknown(field):
    done = snnquant(field, "scenes", "show", "card.toml", plugins="")
    assert done.returncode == 2
    assert "labels.grid: found b'GRID 1" in done.stderr
    assert "ENVI (.hdr)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_damaged_file_of_the_format_ends_in_one_line(field, tmp_path):
    (tmp_path / "card.toml").write_text(CARD)
    write_grid(tmp_path / "labels.grid", np.ones((4, 4), np.uint8))
    (tmp_path / "labels.raw").write_bytes(b"cut")
    done = snnquant(tmp_path, "scenes", "show", "card.toml")
    assert done.returncode == 2
    assert "labels.grid: found damage" in done.stderr
    assert "expected a whole GRID file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_run_and_a_map_of_another_cube(field):
    done = snnquant(field, "run", "--scene", "card.toml", *QUICK, "--output", "run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    shape = (12, 9, 8)
    write_grid(field / "other.grid", np.random.default_rng(0).integers(0, 9000, shape, np.int16))
    done = snnquant(field, "map", "run", "--cube", "other.grid")
    assert done.returncode == 0, done.stderr
    assert np.load(field / "run" / "map_other.npy").shape == shape[:2]
