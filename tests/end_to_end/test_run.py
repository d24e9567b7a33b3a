"""The whole chain on a synthetic scene: its output and files, and its subcommands one by one."""

from __future__ import annotations

import csv
import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from pim_sim.cli import main as pim_sim
from snnquant.checkpoints import load_checkpoint
from snnquant.config import ModelConfig, read_config
from snnquant.models import build_model
from snnquant.sampling import Split
from snnquant.scenes import load_scene
from snnquant.stored_networks import Network

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command, Finished, Results

NETWORKS = tuple(network.value for network in Network)
FILES = {
    *("config.toml", "split.npz", "history.csv", "conversion.json", "metrics.json"),
    *(network.file for network in Network),
    *("workload.json", "report.html"),
    *("workload_cnn.json", "workload_cnn_quantized.json", "workload_cnn_twin.json"),
    *("map.png", "map_and_truth.png", "map.npy", "map.img", "map.hdr"),
    *("map_smoothed.png", "map_smoothed_and_truth.png", "map_smoothed.npy", "map_smoothed.img"),
    *("map_smoothed.hdr", "map_confidence.png", "map_confidence.npy", "map_distance.png"),
    *("map_distance.npy", "confidence.json", "views.npz", "record.json"),
}


# --- what a run prints and leaves ----------------------------------------------------------------


def test_stdout_is_the_one_object_of_metrics_json(finished: Finished) -> None:
    assert finished.outcome.out.count("\n") == 1
    assert finished.metrics == json.loads((finished.folder / "metrics.json").read_text())
    assert finished.metrics["run"] == str(finished.folder)


def test_metrics_hold_the_contract(finished: Finished) -> None:
    metrics = finished.metrics
    assert metrics["schema"] == 1
    for network in NETWORKS:
        assert 0 <= metrics[network]["oa"] <= 1
        assert 0 <= metrics[network]["aa"] <= 1
        assert -1 <= metrics[network]["kappa"] <= 1
        assert len(metrics[network]["class_accuracy"]) == len(metrics["scene"]["class_names"])
        assert set(metrics["operations"][network]) == {"mac", "ac"}
    assert set(metrics["energy_pj"]) == set(metrics["energy_ratio"]) != set()
    for table, energy in metrics["energy_pj"].items():
        assert set(energy) == set(NETWORKS)
        for network, ratio in metrics["energy_ratio"][table].items():
            assert ratio == pytest.approx(energy[network] / energy["snn_trained"])
        cnns = {network.value for network in Network if not network.spiking}
        assert set(metrics["energy_ratio"][table]) == cnns
    assert set(metrics["spike_rates"]) == {"lif1", "lif2"}
    assert all(0 <= rate <= 1 for rate in metrics["spike_rates"].values())
    for quantity in ("energy", "delay", "edp"):
        pim = metrics["pim"][quantity]
        assert pim["saved"] == pytest.approx(1 - 1 / pim["factor"])
    assert {"protocol", "leakage", "coordinates_only_oa"} < set(metrics["split"])
    assert (metrics["model"]["bits"], metrics["model"]["time_steps"]) == (6, 2)


def test_run_directory_holds_only_whole_files(finished: Finished) -> None:
    assert {path.name for path in finished.folder.iterdir()} == FILES


def test_progress_goes_to_stderr(finished: Finished) -> None:
    lines = finished.outcome.err.splitlines()
    for stage in ("cnn: 0/3", "cnn_quantized: 0/2", "conversion: 0/1", "snn: 0/3", "map: 0/576"):
        assert any(line.startswith(stage) for line in lines), stage


def test_scores_can_be_had_from_the_map_and_the_split(finished: Finished) -> None:
    scene = load_scene("synthetic:24x24x16")
    test = Split.load(finished.folder / "split.npz").test
    answers = np.load(finished.folder / "map.npy").reshape(-1)[test]
    right = answers == scene.labels.reshape(-1)[test]
    assert right.mean() == pytest.approx(finished.metrics["snn_trained"]["oa"], abs=1.5 / len(test))


def test_history_has_a_row_for_every_epoch(finished: Finished) -> None:
    with (finished.folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    asked = Counter({"cnn": 3, "cnn_quantized": 2, "cnn_twin": 1, "snn": 3})
    assert asked <= Counter(row["stage"] for row in rows)
    assert all(0 <= float(row["validation_accuracy"]) <= 1 for row in rows)


def test_the_report_shows_the_scores(finished: Finished) -> None:
    page = (finished.folder / "report.html").read_text()
    assert f"{100 * finished.metrics['snn_trained']['oa']:.2f}" in page


def test_the_table_ends_with_the_folder(finished: Finished, copy: Path, snnquant: Command) -> None:
    outcome = snnquant("evaluate", copy)
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == f"run: {copy}"
    for network in NETWORKS:
        assert f"{100 * finished.metrics[network]['oa']:.2f}" in outcome.out


# --- seeds and options ---------------------------------------------------------------------------


def test_same_seed_same_bits(
    finished: Finished, snnquant: Command, results: Results, quick: tuple[str, ...], tmp_path: Path
) -> None:
    outcome = snnquant("run", *quick, "--output", tmp_path / "again", "--json")
    assert json.loads(outcome.out) | {"run": ""} == finished.metrics | {"run": ""}
    assert results(tmp_path / "again") == results(finished.folder)


def test_own_config_gives_the_run_again(
    finished: Finished, snnquant: Command, results: Results, tmp_path: Path
) -> None:
    options = ("--config", finished.folder / "config.toml", "--output", tmp_path / "again")
    assert snnquant("run", *options).code == 0
    assert results(tmp_path / "again") == results(finished.folder)


def test_another_seed_differs(
    finished: Finished, snnquant: Command, results: Results, quick: tuple[str, ...], tmp_path: Path
) -> None:
    assert snnquant("run", *quick, "--seed", 1, "--output", tmp_path / "other").code == 0
    ours, others = results(finished.folder), results(tmp_path / "other")
    for name in ("metrics.json", "split.npz", "cnn.safetensors", "snn.safetensors", "history.csv"):
        assert ours[name] != others[name], name


def test_options_beat_the_file_which_beats_defaults(
    snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "options.toml"
    file.write_text("bits = 4\nseed = 3\nwidths = [2, 2]\ncnn_epochs = 9\n")
    folder = tmp_path / "run"
    options = ("--config", file, "--cnn-epochs", 1, "--quantized-epochs", 1, "--bits", 5)
    assert snnquant("train", *quick[:2], *options, "--output", folder).code == 0
    config = read_config(folder / "config.toml")
    assert (config.quantization.bits, config.training.cnn_epochs) == (5, 1)
    assert (config.seed, config.model.widths) == (3, (2, 2))
    assert (config.model.window, config.neuron.time_steps) == (5, 2)
    written = tomllib.loads((folder / "config.toml").read_text())
    assert (written["bits"], written["seed"], written["window"]) == (5, 3, 5)


def test_at_32_bits_nothing_is_quantized(
    snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "float"
    outcome = snnquant("run", *quick, "--bits", 32, "--output", folder)
    assert "SNN trained, 32-bit" in " ".join(outcome.out.replace("\n", " ").split())
    *_, headline, _, _, last = outcome.out.splitlines()
    assert (headline, last.split()[:3]) == ("next:", ["snnquant", "export", str(folder)])
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics.keys() & {"cnn_quantized", "cnn_twin", "rival", "pim"} == set()
    assert not (folder / "cnn_quantized.safetensors").exists()
    assert not (folder / "cnn_twin.safetensors").exists()
    trained = load_checkpoint(folder / "snn.safetensors")
    assert (trained.quantization, trained.bits) == (None, None)
    assert metrics["energy_ratio"]["ace_snn"].keys() == {"cnn_fp32"}


@pytest.mark.parametrize(
    ("trained", "moves"),
    [("both", {"leak", "threshold"}), ("leak", {"leak"}), ("neither", set())],
)
def test_only_what_is_to_be_trained_of_the_neurons_moves(
    trained: str, moves: set[str], snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert snnquant("run", *quick, "--trained-neuron", trained, "--output", folder).code == 0
    before, after = (
        load_checkpoint(folder / f"{name}.safetensors").network.state_dict()
        for name in ("snn_converted", "snn")
    )
    kinds = {
        name.rpartition(".")[2]
        for name in before
        if "lif" in name and not torch.equal(before[name], after[name])
    }
    assert kinds == moves
    assert not torch.equal(before["layers.conv1.bias"], after["layers.conv1.bias"])


def test_a_random_start_forgets_the_converted_cnn(
    snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    """With a rate too small to matter, thresholds are 1 and the weights are not the CNN's."""
    folder = tmp_path / "run"
    options = ("--bits", 32, "--snn-start", "random", "--output", folder)
    assert snnquant("train", *quick, *options).code == 0
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(text.replace("0.002", "1e-30"))
    for subcommand in ("convert", "finetune"):
        assert snnquant(subcommand, folder).code == 0
    cnn, snn = (
        load_checkpoint(folder / f"{name}.safetensors").network.state_dict()
        for name in ("cnn", "snn")
    )
    assert {float(snn[name]) for name in snn if "lif" in name} == {1.0}
    assert not torch.allclose(cnn["conv1.weight"], snn["layers.conv1.weight"], atol=1e-3)


def test_a_penalty_on_spikes_saves_accumulates(
    snnquant: Command, quick: tuple[str, ...], finished: Finished, tmp_path: Path
) -> None:
    folder = tmp_path / "frugal"
    options = ("--spike-penalty", 2, "--snn-epochs", 12, "--output", folder, "--json")
    outcome = snnquant("run", *quick[:-2], *options)
    spent = json.loads(outcome.out)["operations"]["snn_trained"]
    usual = finished.metrics["operations"]["snn_trained"]
    assert spent["ac"] < 0.8 * usual["ac"]
    assert spent["mac"] == usual["mac"]


def test_default_folder_is_named_for_the_run_and_never_reused(
    snnquant: Command, quick: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert snnquant("train", *quick).code == 0
    name = "synthetic-24x24x16-cnn1x1-random-seed0"
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {name, f"{name}-2"}


def test_blocks_leave_no_training_pixel_in_a_test_window(
    snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    options = ("--split", "blocks", "--block-size", 4, "--window", 3)
    folder = tmp_path / "run"
    outcome = snnquant("run", *quick, *options, "--output", folder, "--json")
    assert outcome.code == 0, outcome.err
    split = json.loads(outcome.out)["split"]
    assert (split["protocol"], split["leakage"]) == ("blocks", 0)
    assert 0 <= split["coordinates_only_oa"] <= 1
    assert f"{100 * split['coordinates_only_oa']:.2f}" in (folder / "report.html").read_text()


# --- the subcommands one by one ------------------------------------------------------------------


def test_subcommands_in_turn_end_like_a_run(
    finished: Finished, snnquant: Command, results: Results, quick: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "steps"
    trained = json.loads(snnquant("train", *quick, "--output", folder, "--json").out)
    assert {network for network in NETWORKS if network in trained} == {"cnn_fp32", "cnn_quantized"}
    outcome = snnquant("convert", folder)
    assert outcome.code == 0
    converted = json.loads((folder / "metrics.json").read_text())
    assert set(NETWORKS) - set(converted) == {"cnn_twin", "snn_trained"}
    tuned = json.loads(snnquant("finetune", folder, "--json").out)
    assert json.loads(snnquant("evaluate", folder, "--json").out) == tuned
    assert tuned | {"run": ""} == finished.metrics | {"run": ""}
    assert snnquant("map", folder).out == f"{folder / 'map.png'}\n"
    assert results(folder) == results(finished.folder)


def test_energy_by_layer_adds_up_to_the_metrics(finished: Finished, snnquant: Command) -> None:
    rows = json.loads(snnquant("energy", finished.folder, "--json").out)
    prices = [
        (quantity, table, price)
        for quantity in ("energy_pj", "effort")
        for table, price in finished.metrics[quantity].items()
    ]
    for quantity, table, price in prices:
        for network in NETWORKS:
            own = [row for row in rows if row["network"] == network]
            spent = sum(row[quantity][table] for row in own)
            assert spent == pytest.approx(price[network])
            assert [row["layer"] for row in own] == ["conv1", "conv2", "classifier"]
    shown = snnquant("energy", finished.folder)
    assert shown.code == 0
    assert "conv2" in shown.out


def test_map_of_another_network(copy: Path, snnquant: Command) -> None:
    before = np.load(copy / "map.npy")
    assert snnquant("map", copy, "--network", "cnn_fp32").code == 0
    assert before.shape == np.load(copy / "map.npy").shape == (24, 24)
    assert (before != np.load(copy / "map.npy")).any()


def test_pim_sim_prices_the_run_alike(
    finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    pim_sim(["run", "--run", str(finished.folder), "--json"])
    ratio = json.loads(capsys.readouterr().out)["ratio"]
    for quantity in ("energy", "delay", "edp"):
        assert ratio[quantity] == finished.metrics["pim"][quantity]


# --- imported CNNs -------------------------------------------------------------------------------


def test_convert_a_checkpoint(
    finished: Finished, snnquant: Command, results: Results, quick: tuple[str, ...], tmp_path: Path
) -> None:
    file = finished.folder / "cnn.safetensors"
    outcome = snnquant("convert", file, *quick, "--output", tmp_path / "run", "--json")
    assert "another split" not in outcome.err
    metrics = json.loads(outcome.out)
    for network in ("cnn_fp32", "snn_converted"):
        assert metrics[network] == finished.metrics[network]
        name = {"cnn_fp32": "cnn.safetensors"}.get(network, f"{network}.safetensors")
        assert results(tmp_path / "run")[name] == results(finished.folder)[name]


def test_converted_checkpoint_keeps_its_normalisation(
    finished: Finished, snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    file = finished.folder / "cnn.safetensors"
    options = (*quick, "--seed", 1, "--output", tmp_path / "run", "--json")
    outcome = snnquant("convert", file, *options)
    assert "trained on another split" in outcome.err
    again = snnquant("evaluate", tmp_path / "run", "--json")
    converted = json.loads(outcome.out)
    assert set(converted) - set(json.loads(again.out)) == {"conversion"}
    assert json.loads(again.out).items() <= converted.items()
    theirs = load_checkpoint(tmp_path / "run" / "snn_converted.safetensors").normalisation
    np.testing.assert_array_equal(theirs.mean, load_checkpoint(file).normalisation.mean)


def test_convert_a_state_dict(
    finished: Finished, snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    cnn = load_checkpoint(finished.folder / "cnn.safetensors").network
    torch.save(cnn.state_dict(), tmp_path / "cnn.pt")
    outcome = snnquant(
        "convert",
        tmp_path / "cnn.pt",
        *quick,
        "--scaling",
        "standard",
        "--output",
        tmp_path / "run",
        "--json",
    )
    assert "normalisation are unknown" in outcome.err
    metrics = json.loads(outcome.out)
    for network in ("cnn_fp32", "snn_converted"):  # same split, so the same normalisation
        assert metrics[network] == finished.metrics[network]


def test_convert_a_state_dict_with_batch_norm(
    snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    scene = load_scene("synthetic:24x24x16")
    model = ModelConfig(widths=(8, 8))
    cnn = build_model(model, scene.bands, scene.classes, batch_norm=True)
    patches = torch.randn(64, 1, scene.bands, 5, 5)
    for _ in range(3):
        cnn(patches)  # running statistics of their own
    torch.save(cnn.state_dict(), tmp_path / "cnn.pt")
    outcome = snnquant("convert", tmp_path / "cnn.pt", *quick, "--output", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    folded = load_checkpoint(tmp_path / "run" / "cnn.safetensors").network
    torch.testing.assert_close(folded(patches), cnn.eval()(patches))


def test_resume_a_conversion(
    finished: Finished, snnquant: Command, quick: tuple[str, ...], tmp_path: Path
) -> None:
    file = finished.folder / "cnn.safetensors"
    folder = tmp_path / "run"
    assert snnquant("convert", file, *quick, "--output", folder).code == 0
    (folder / "snn_converted.safetensors").unlink()
    outcome = snnquant("convert", file, "--resume", folder, "--json")
    assert json.loads(outcome.out)["snn_converted"] == finished.metrics["snn_converted"]
