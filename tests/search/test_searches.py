"""Whole searches: what decides, what is shared, and how a stopped one resumes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pim_sim import Workload, load_chip, price_network
from pim_sim.cluster import with_equal_code
from snnquant.config import RunConfig
from snnquant.errors import InputError
from snnquant.pipeline import stages
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.run import Run
from snnquant.scenes import Scene, load_scene
from snnquant.search import Search, Space, candidate_runs, make_space, search
from snnquant.search.candidate_runs import SCORE_FILE, WORKLOAD_FILE
from snnquant.search.workers import PACKAGES, _elsewhere
from snnquant.training import predict

if TYPE_CHECKING:
    from tests.search.conftest import SearchIn

Results = Callable[[Path], dict[str, bytes]]


def _front(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "front.json").read_text()))


def test_the_front_is_what_no_other_beats(unbroken: Path) -> None:
    front = _front(unbroken)
    first, last = front["rungs"]
    assert [len(rung["scores"]) for rung in (first, last)] == [6, 4]
    assert [rung["share"] for rung in (first, last)] == [0.5, 1.0]
    points = [(entry["energy_nj"], -entry["validation_oa"]) for entry in front["front"]]
    assert points == sorted(points)
    for entry in front["front"]:
        for score in last["scores"]:
            better = score["validation_oa"] >= entry["validation_oa"]
            cheaper = score["energy_nj"] <= entry["energy_nj"]
            assert score["candidate"] == entry["candidate"] or not (better and cheaper)


def test_candidates_that_differ_in_the_snn_share_the_cnn(
    monkeypatch: pytest.MonkeyPatch, search_in: SearchIn, tmp_path: Path, unbroken: Path
) -> None:
    trained: list[str] = []
    train = candidate_runs.train_cnn

    def counted(run: Run) -> None:
        trained.append(run.path.name)
        train(run)

    monkeypatch.setattr(candidate_runs, "train_cnn", counted)
    search_in(tmp_path / "all")
    assert len(trained) == len(set(trained)) == 2  # one per rung
    assert [rung["cnns"] for rung in _front(unbroken)["rungs"]] == [1, 1]
    for folder in (unbroken / "rung_1").iterdir():
        cnns = [path.read_bytes() for path in (unbroken / "cnns").glob("*/cnn.safetensors")]
        assert (folder / "cnn.safetensors").read_bytes() in cnns


def test_the_last_rung_is_what_a_run_does(unbroken: Path, space: Space, tmp_path: Path) -> None:
    entry = _front(unbroken)["front"][0]
    run = Run.create(space.candidates[entry["candidate"] - 1].config, tmp_path / "run")
    for stage in (stages.train_cnn, stages.convert_cnn, stages.train_snn):
        stage(run)
    kept = unbroken / entry["run"]
    for name in ("config.toml", "cnn.safetensors", "snn.safetensors", "history.csv"):
        assert (kept / name).read_bytes() == (run.path / name).read_bytes(), name
    assert evaluate(Run.open(kept)).networks["snn_trained"].oa == entry["test_oa"]


def test_figures_are_those_of_validation_pixels_on_the_chip(unbroken: Path) -> None:
    entry = _front(unbroken)["front"][0]
    run = Run.open(unbroken / entry["run"])
    validation = run.samples(run.split.val)
    network = run.load("snn_trained").network
    right = predict(network, validation.patches, validation.indices).argmax(1) == validation.classes
    assert entry["validation_oa"] == right.double().mean().item()
    workload = Workload.from_json(run.path / WORKLOAD_FILE)
    for price in entry["prices"]:
        found = price_network(workload, load_chip(price["chip"]), schedule=price["schedule"])
        assert price["energy_nj"] == pytest.approx(found.total.energy_pj / 1000)
    assert entry["energy_nj"] == min(price["energy_nj"] for price in entry["prices"])
    assert {price["schedule"] for price in entry["prices"]} == {"best", "dense"}


def test_test_pixels_are_read_at_the_end_and_for_the_front_only(
    monkeypatch: pytest.MonkeyPatch, search_in: SearchIn, tmp_path: Path
) -> None:
    evaluated: list[Path] = []
    samples = Run.samples

    def watched(run: Run, pixels: Any) -> Any:
        assert evaluated or not np.isin(pixels, run.split.test).any()
        return samples(run, pixels)

    def noted(run: Run) -> Any:
        evaluated.append(run.path)
        return evaluate(run)

    monkeypatch.setattr(Run, "samples", watched)
    monkeypatch.setattr(candidate_runs, "evaluate", noted)
    front = search_in(tmp_path / "all")
    assert sorted(evaluated) == sorted(tmp_path / "all" / entry.run for entry in front.front)
    assert search_in(tmp_path / "all") == front
    assert len(evaluated) == len(front.front)


# --- stopping and resuming -----------------------------------------------------------------------


@pytest.mark.parametrize("writes", [1, 9, 34, 55])
def test_a_search_stopped_at_any_file_resumes_to_the_same_bits(
    writes: int,
    monkeypatch: pytest.MonkeyPatch,
    search_in: SearchIn,
    tmp_path: Path,
    unbroken: Path,
    results: Results,
) -> None:
    done = 0
    rename = Path.replace

    def stopped(path: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done == writes:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            search_in(tmp_path / "all")
    search_in(tmp_path / "all")
    assert results(tmp_path / "all") == results(unbroken)


@pytest.mark.slow
def test_processes_make_the_same_bits(
    space: Space, scene: Scene, tmp_path: Path, unbroken: Path, results: Results
) -> None:
    search(space, scene, tmp_path / "all", Search(rungs=2, reduction=2), processes=2)
    assert results(tmp_path / "all") == results(unbroken)


def test_a_job_works_without_its_folder(unbroken: Path, scene: Scene) -> None:
    """As on a machine of a cluster, which gets the files and returns those that it wrote."""
    kept = next((unbroken / "rung_1").iterdir())
    names = ("config.toml", "split.npz", "cnn.safetensors", "history.csv")
    files = {name: (kept / name).read_bytes() for name in names}
    # Rows of the SNN come with its training.
    rows = files["history.csv"].splitlines(keepends=True)
    files["history.csv"] = b"".join(row for row in rows if not row.startswith(b"snn"))
    pricing = candidate_runs.Pricing((load_chip("edge_22nm"),), ("best", "dense"), False)

    def job(folder: Path) -> None:
        candidate_runs.train_candidate(folder, scene, pricing)

    found = _elsewhere(job, files)
    assert "cnn.safetensors" not in found
    for name in ("snn.safetensors", "history.csv", SCORE_FILE, WORKLOAD_FILE):
        assert found[name] == (kept / name).read_bytes(), name
    with pytest.raises(InputError, match="another version of snnquant"):
        with_equal_code("0" * 64, PACKAGES, _elsewhere, job, files)


def test_another_search_in_the_folder_is_refused(
    unbroken: Path, base: RunConfig, scene: Scene, space: Space
) -> None:
    other = make_space(base, {"time_steps": (1, 4), "schedule": ("best", "dense")}, 9)
    for found, settings, name in (
        (other, Search(rungs=2, reduction=2), "candidates"),
        (space, Search(rungs=2, reduction=3), "settings"),
    ):
        with pytest.raises(InputError, match=f"holds a search with another {name}, expected a new"):
            search(found, scene, unbroken, settings, processes=1)


# --- other spaces --------------------------------------------------------------------------------


def test_a_network_whose_windows_share_nothing_is_left_out_in_a_map(
    monkeypatch: pytest.MonkeyPatch, base: RunConfig, scene: Scene, tmp_path: Path
) -> None:
    share = candidate_runs.map_part

    def shared(workload: Workload, space_bits: int) -> tuple[Workload, int]:
        if workload.name.endswith("cnn3d"):
            raise InputError("layer 'conv1': found stride (2, 2), expected 1 in a map")
        return share(workload, space_bits)

    monkeypatch.setattr(candidate_runs, "map_part", shared)
    space = make_space(base, {"model": ("cnn32h", "cnn3d")}, 9)
    front = search(space, scene, tmp_path / "all", Search(rungs=1, in_map=True), processes=1)
    first, second = front.rungs[0].scores
    assert second["candidate"] == 2
    assert second["refused"].startswith("layer 'conv1': found stride")
    assert [entry.candidate for entry in front.front] == [first["candidate"]]


def test_whitened_pixels_pay_for_their_matrix(
    base: RunConfig, scene: Scene, tmp_path: Path
) -> None:
    space = make_space(base, {"scaling": ("standard", "within-class")}, 9)
    search(space, scene, tmp_path / "all", Search(rungs=1), processes=1)
    plain, whitened = (
        Workload.from_json(path / WORKLOAD_FILE)
        for path in sorted((tmp_path / "all" / "rung_1").iterdir())
    )
    assert [layer.name for layer in whitened.layers[1:]] == [layer.name for layer in plain.layers]
    assert whitened.layers[0].macs == scene.bands**2 * base.model.window**2


def test_potentials_of_few_bits_are_priced_as_such(
    base: RunConfig, scene: Scene, tmp_path: Path
) -> None:
    space = make_space(base, {"potential_bits": (8, 32), "leak": ("power-of-two",)}, 9)
    search(space, scene, tmp_path / "all", Search(rungs=1), processes=1)
    narrow, wide = (
        Workload.from_json(path / WORKLOAD_FILE)
        for path in sorted((tmp_path / "all" / "rung_1").iterdir())
    )
    assert {layer.membrane_bits for layer in narrow.layers[:-1]} == {8}
    assert {layer.membrane_bits for layer in wide.layers} == {None}


def test_the_front_end_of_unseen_ground_is_chosen_once_per_cnn(
    base: RunConfig, tmp_path: Path
) -> None:
    split = replace(base.split, protocol="blocks", block_size=4, guard=0)
    config = replace(base, scene="synthetic:48x48x16", split=split)
    space = make_space(config, {"time_steps": (1, 2)}, 9)
    scene = load_scene(config.scene)
    front = search(space, scene, tmp_path / "all", Search(rungs=1), processes=1)
    assert front.rungs[0].cnns == 1
    for entry in front.front:
        run = Run.open(tmp_path / "all" / entry.run)
        assert run.config.scaling.startswith("within-class")
        assert torch.isfinite(run.patches.gather(torch.tensor([0]))).all()
