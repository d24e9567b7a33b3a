"""Run folders work from any folder, and after the card, the hardware and the scaling are gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from snnquant.cli import main
from snnquant.config import ModelConfig, RunConfig, TrainingConfig
from snnquant.errors import InputError
from snnquant.pipeline.evaluation import energy_by_layer, evaluate
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import draw_map
from snnquant.pipeline.stages import convert_cnn, train_cnn, train_snn
from snnquant.scenes import load_scene

CARD = '[cube]\nfile = "cube.npy"\n[labels]\nfile = "labels.npy"\n'
QUICK = TrainingConfig(cnn_epochs=1, quantized_epochs=1, snn_epochs=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a card, its data, hardware, a scaling, and a run of them; never changed."""
    folder = tmp_path_factory.mktemp("trained")
    scene = load_scene("synthetic:24x24x16")
    data = folder / "data"
    data.mkdir()
    np.save(data / "cube.npy", scene.cube)
    np.save(data / "labels.npy", scene.labels.astype(np.uint8))
    classes = "".join(f'[[classes]]\nname = "{name}"\n' for name in scene.class_names)
    (data / "field.toml").write_text(CARD + classes)
    np.savez(folder / "mine.npz", mean=np.zeros(16), std=np.full(16, 0.5))
    hardware = Path(__file__).parents[2] / "pim_sim" / "hardware" / "technologies"
    shutil.copy(hardware / "charge_28nm.toml", folder / "chip.toml")
    config = RunConfig(
        scene=str(data / "field.toml"),
        hardware=str(folder / "chip.toml"),
        scaling=str(folder / "mine.npz"),
        model=ModelConfig(name="cnn32h", widths=(2, 2, 2, 2)),
        training=QUICK,
    )
    run = Run.create(config, folder / "run")
    for stage in (train_cnn, convert_cnn, train_snn):
        stage(run)
    evaluate(run)
    draw_map(run)
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run in an empty working folder; card, hardware and scaling are left behind."""
    shutil.copytree(trained / "run", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _hide(trained: Path, tmp_path: Path) -> Path:
    """Copy only the data elsewhere, under another folder's name."""
    there = tmp_path / "elsewhere"
    there.mkdir()
    for name in ("cube.npy", "labels.npy"):
        shutil.copy(trained / "data" / name, there)
    return there


def _results(folder: Path) -> dict[str, bytes]:
    names = ("metrics.json", "map.npy", "map.png", "map.img", "map.hdr", "workload.json")
    found = {name: folder / name for name in names}
    return {
        name: path.read_bytes().replace(str(folder).encode(), b"RUN")
        for name, path in found.items()
        if path.exists()
    }


def _without_data(run: Path) -> None:
    """Make the run forget the places that the data of the first run are in."""
    source = json.loads((run / "scene.json").read_text())
    source |= {"folder": "/nowhere/at/all", "relative": "nor/here"}
    (run / "scene.json").write_text(json.dumps(source))


def test_a_moved_run_gives_the_same_bytes(trained: Path, here: Path) -> None:
    there, before = _hide(trained, here), _results(trained / "run")
    assert {"metrics.json", "map.npy", "map.png"} <= set(before)
    moved = here / "moved"
    _without_data(moved)
    for name in before:
        (moved / name).unlink()
    main(["evaluate", "moved", "--scene", str(there), "--device", "cpu"])
    main(["map", "moved", "--device", "cpu"])  # the place is remembered
    found = _results(moved.relative_to(here))
    run = b"moved"
    assert found.keys() == before.keys()
    for name, content in before.items():
        assert found[name].replace(b'"RUN"', b'"' + run + b'"') == content.replace(
            b'"RUN"', b'"' + run + b'"'
        ), name


def test_the_card_lives_in_the_run_with_digests(trained: Path) -> None:
    run = trained / "run"
    assert (run / "card.toml").read_text() == (trained / "data" / "field.toml").read_text()
    source = json.loads((run / "scene.json").read_text())
    assert source["card"] == "field"
    assert set(source["files"]) == {"cube.npy", "labels.npy"}
    assert all(len(digest) == 64 for digest in source["files"].values())
    assert source["digest"] == load_scene(trained / "data" / "field.toml").digest


def test_a_project_that_moves_as_a_whole_needs_no_option(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained, tmp_path / "project")
    source = tmp_path / "project" / "run" / "scene.json"
    values = json.loads(source.read_text()) | {"folder": "/nowhere/at/all"}
    source.write_text(json.dumps(values))
    (tmp_path / "project" / "data" / "field.toml").unlink()
    monkeypatch.chdir(tmp_path)
    run = Run.open(Path("project/run"))
    assert len(energy_by_layer(run)) > 0


def test_missing_data_are_a_line_that_names_the_option(here: Path) -> None:
    _without_data(here / "moved")
    with pytest.raises(InputError, match=r"moved: cube\.npy, labels\.npy: not found .* --scene"):
        Run.open(Path("moved"))


def test_other_data_are_refused(trained: Path, here: Path) -> None:
    there = _hide(trained, here)
    cube = np.load(there / "cube.npy")
    np.save(there / "cube.npy", cube + 1)
    _without_data(here / "moved")
    run = Run.open(Path("moved"), scene=str(there))
    with pytest.raises(InputError, match="made for another scene"):
        run.load("snn_trained")


@pytest.mark.parametrize("subcommand", [["energy"], ["run", "--resume"], ["finetune"]])
def test_every_subcommand_takes_the_place(
    subcommand: list[str], trained: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = _hide(trained, here)
    _without_data(here / "moved")
    main([*subcommand, "moved", "--scene", str(there)])
    assert capsys.readouterr().out


def test_a_run_of_before_cards_were_kept_still_opens(trained: Path, here: Path) -> None:
    for name in ("card.toml", "scene.json", "hardware.toml"):
        (here / "moved" / name).unlink()
    run = Run.open(Path("moved"))
    assert run.scene.name == "field"
    assert run.load("snn_trained").scaling.endswith("mine.npz")
