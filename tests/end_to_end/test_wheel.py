"""The wheel in its own environment, away from the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
Command = Callable[..., str]


def _run(*command: object, cwd: Path = ROOT) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    arguments = [str(argument) for argument in command]
    done = subprocess.run(
        arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
    reach = [*pip, "--retries", "1", "--dest", str(folder / "reach"), "hatchling"]
    done = subprocess.run(reach, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no package index can be reached ({done.stderr.strip().splitlines()[-1]})")
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Run a command of the clean environment in an empty folder; returns its output."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "venv")
    programs = folder / "venv" / "bin"
    pip = (sys.executable, "-m", "pip", "--python", programs / "python")
    # What is not compiled now is when it is imported; most of it never is.
    options = ("--quiet", "--no-compile", "--constraint", ROOT / "constraints.txt")
    _run(*pip, "install", *options, wheel, cwd=folder)

    def run(program: str, *arguments: object) -> str:
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        return _run(programs / program, *arguments, cwd=elsewhere)

    return run


def _data_files() -> set[str]:
    """List the files that belong into the wheel beside the code."""
    packages = [ROOT / "snnquant", ROOT / "pim_sim"]
    files = [path for package in packages for path in package.rglob("*") if path.is_file()]
    data = {
        str(path.relative_to(ROOT))
        for path in files
        if path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    return data | {f"snnquant/datasets/{card.name}" for card in (ROOT / "datasets").glob("*.toml")}


def test_wheel_holds_cards_tables_and_hardware_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        assert "License-Expression: Apache-2.0" in archive.read(metadata).decode()
    assert {name.split("/")[0] for name in names} == {"snnquant", "pim_sim"}
    assert "snnquant/datasets/indian_pines.toml" in names
    assert "pim_sim/hardware/technologies/sram_65nm.toml" in names
    assert {"snnquant/py.typed", "snnquant/energy/tables/horowitz.toml"} <= names
    assert _data_files() <= names


def test_the_code_is_that_of_the_wheel(installed: Command) -> None:
    code = "import snnquant, pim_sim; print(snnquant.__file__, pim_sim.__file__)"
    for file in installed("python", "-c", code).split():
        assert "site-packages" in file
        assert not Path(file).is_relative_to(ROOT)


def test_help_of_both_commands(installed: Command) -> None:
    assert "Usage: snnquant COMMAND" in installed("snnquant", "--help")
    assert "Usage: pim-sim COMMAND" in installed("pim-sim", "--help")


def test_scenes_are_in_the_wheel(installed: Command) -> None:
    known = {card.stem for card in (ROOT / "datasets").glob("*.toml")}
    scenes = json.loads(installed("snnquant", "scenes", "--json"))["scenes"]
    assert {scene["name"] for scene in scenes} == known
    table = installed("snnquant", "scenes")
    assert all(name in table for name in known)
    card = installed("snnquant", "scenes", "show", "indian_pines")
    assert "Soybean-mintill" in card
    assert "2455" in card  # its pixels: the labels came with a dependency


def test_hardware_and_costs_are_in_the_wheel(installed: Command) -> None:
    listing = installed("pim-sim", "hardware", "list")
    for file in (ROOT / "pim_sim" / "hardware" / "technologies").glob("*.toml"):
        assert file.stem in listing
    code = "from snnquant.energy import load_costs; print(*(c.name for c in load_costs()))"
    tables = (ROOT / "snnquant" / "energy" / "tables").glob("*.toml")
    assert set(installed("python", "-c", code).split()) > {file.stem for file in tables}


def test_the_quickstart_of_the_readme(installed: Command, tmp_path: Path) -> None:
    """Arrays in, map out, in an environment of the wheel only."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    quickstart = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert quickstart, "README.md: no block of Python"
    assert "SpikingClassifier" in quickstart[1]
    script = tmp_path / "quickstart.py"
    script.write_text(quickstart[1], encoding="utf-8")
    installed("python", script)


def test_a_run_needs_nothing_but_the_wheel(installed: Command, quick: tuple[str, ...]) -> None:
    metrics = json.loads(installed("snnquant", "run", *quick, "--json"))
    assert "snn_trained" in metrics
    ratio = json.loads(installed("pim-sim", "run", "--run", metrics["run"], "--json"))["ratio"]
    assert ratio["energy"] == metrics["pim"]["energy"]
