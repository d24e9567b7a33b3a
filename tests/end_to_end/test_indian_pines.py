"""The main job on real scenes: the command of `make run`, and other scenes where available."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from snnquant.stored_networks import Network

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

pytestmark = pytest.mark.slow

CNNS = {network.value for network in Network if not network.spiking}


@pytest.fixture(scope="module")
def indian_pines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The run of `make run`, which takes minutes."""
    folder = tmp_path_factory.mktemp("indian_pines")
    command = [sys.executable, "-c", "from snnquant.cli import main; main()"]
    done = subprocess.run(
        [*command, "run", "--scene", "indian_pines", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)
    return folder / metrics["run"], metrics


def test_the_snn_is_as_good_as_asked(indian_pines: Any) -> None:
    _, metrics = indian_pines
    assert (metrics["model"]["bits"], metrics["model"]["time_steps"]) == (6, 2)
    assert metrics["snn_trained"]["oa"] >= 0.975
    assert metrics["snn_trained"]["oa"] >= metrics["cnn_fp32"]["oa"] - 0.01


def test_the_snn_costs_less_than_both_cnns(indian_pines: Any) -> None:
    _, metrics = indian_pines
    assert next(iter(metrics["energy_ratio"])) == "horowitz_widths"
    for table, ratios in metrics["energy_ratio"].items():
        assert set(ratios) == CNNS
        assert ratios["cnn_fp32"] > 1
        # At true widths a CNN of few bits everywhere is a rival that need not lose.
        assert ratios["cnn_quantized"] > 1 or table == "horowitz_widths"


def test_neurons_are_neither_silent_nor_always_firing(indian_pines: Any) -> None:
    _, metrics = indian_pines
    assert metrics["spike_rates"]
    assert all(0.001 < rate < 0.5 for rate in metrics["spike_rates"].values())


def test_the_split_is_the_random_one_of_the_literature(indian_pines: Any) -> None:
    _, metrics = indian_pines
    scene, split = metrics["scene"], metrics["split"]
    assert (scene["shape"], scene["labelled"], len(scene["class_names"])) == (
        [145, 145, 200],
        10249,
        16,
    )
    assert split["protocol"] == "random"
    assert split["train"] + split["val"] + split["test"] == 10249
    learnt = split["train"] + split["val"]
    assert learnt == pytest.approx(0.4 * 10249, abs=len(scene["class_names"]))
    assert split["val"] == pytest.approx(0.1 * learnt, abs=len(scene["class_names"]))
    assert split["coordinates_only_oa"] > 0.95  # such a split measures position


def test_the_run_directory_is_whole(indian_pines: Any) -> None:
    folder, metrics = indian_pines
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert np.load(folder / "map.npy").shape == (145, 145)
    page = (folder / "report.html").read_text()
    assert f"{100 * metrics['snn_trained']['oa']:.2f}" in page


@pytest.fixture
def data_folder() -> Path:
    """The folder of scenes that the package does not contain."""
    value = os.environ.get("SNNQUANT_DATA")
    if not value:
        pytest.skip("SNNQUANT_DATA is not set")
    return Path(value)


@pytest.mark.parametrize("scene", ["salinas_a", "pavia_university_subset"])
def test_available_scenes(data_folder: Path, snnquant: Command, tmp_path: Path, scene: str) -> None:
    epochs = ("--cnn-epochs", 6, "--quantized-epochs", 2, "--snn-epochs", 6)
    outcome = snnquant("run", "--scene", scene, *epochs, "--output", tmp_path / "run", "--json")
    assert outcome.code == 0, outcome.err
    metrics = json.loads(outcome.out)
    assert metrics["scene"]["name"] == scene
    assert metrics["snn_trained"]["oa"] > 0.9
