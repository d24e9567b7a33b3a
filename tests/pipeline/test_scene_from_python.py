"""Runs of scenes and splits made in Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnquant.cli import main
from snnquant.config import RunConfig, SplitConfig
from snnquant.errors import InputError
from snnquant.pipeline import evaluation, stages, whole_run
from snnquant.pipeline.run import Run
from snnquant.report import RunMetrics
from snnquant.sampling import Split, split_without_test
from snnquant.scenes import Scene, load_scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    """The synthetic scene of the finished run, as if a notebook had built it."""
    found = load_scene("synthetic:24x24x16")
    return replace(found, name="my field/2024")


@pytest.fixture
def trained(config: RunConfig, scene: Scene, tmp_path: Path) -> Run:
    run = Run.create(config, tmp_path / "run", scene=scene)
    stages.train_cnn(run)
    return run


def test_a_run_of_a_scene_object_scores_like_that_of_its_name(
    config: RunConfig, scene: Scene, finished: tuple[Path, RunMetrics], tmp_path: Path
) -> None:
    metrics = whole_run.run_all(Run.create(config, tmp_path / "run", scene=scene))
    folder, expected = finished
    assert metrics.networks == expected.networks
    assert metrics.scene == replace(expected.scene, name=scene.name, own=True)
    for name in ("map.npy", "split.npz", "history.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (folder / name).read_bytes()


def test_the_folder_is_all_that_is_needed_later(
    trained: Run, scene: Scene, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert 'scene = "scene.npz"' in (trained.path / "config.toml").read_text()
    moved = trained.path.rename(tmp_path / "moved")
    found = Run.open(moved).scene
    assert (found.name, found.digest) == (scene.name, scene.digest)
    np.testing.assert_array_equal(found.cube, scene.cube)
    main(["evaluate", str(moved), "--json"])
    assert json.loads(capsys.readouterr().out)["scene"]["name"] == scene.name
    main(["map", str(moved), "--network", "cnn_fp32"])
    assert np.load(moved / "map.npy").shape == scene.labels.shape
    for subcommand in ("convert", "finetune"):
        main([subcommand, str(moved)])
    assert (moved / "snn.safetensors").exists()


def test_a_damaged_scene_is_one_line(trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    file = trained.path / "scene.npz"
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(trained.path)])
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert str(file) in line
    assert line.count("\n") == 1
    file.unlink()
    with pytest.raises(InputError, match=r"scene\.npz: "):
        Run.open(trained.path)


def test_nothing_is_written_before_training(
    config: RunConfig, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run.create(config, scene=scene)
    assert list(tmp_path.iterdir()) == []
    assert run.path == Path("runs/my-field-2024-cnn32h-random-seed0")


def test_a_scene_file_where_the_user_works_is_kept_with_the_run(
    config: RunConfig, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--scene scene.npz` means a file beside the user, a run's own means that of the run."""
    monkeypatch.chdir(tmp_path)
    scene.save("scene.npz")
    run = Run.create(replace(config, scene="scene.npz"), Path("run"))
    run.write()
    Path("scene.npz").unlink()
    assert Run.open(Path("run")).scene.digest == scene.digest


def test_a_mask_needs_a_card(config: RunConfig, scene: Scene, tmp_path: Path) -> None:
    masked = replace(config, split=SplitConfig(protocol="mask"))
    with pytest.raises(InputError, match=r"^--split: found mask, .* expected random or blocks$"):
        Run.create(masked, tmp_path / "run", scene=scene)


def own_split(protocol: str, scene: Scene) -> Split:
    labelled = np.flatnonzero(scene.labels)
    return Split(labelled[::3], labelled[1::3], labelled[2::3], protocol, 5)


@pytest.mark.parametrize("protocol", ["every third", "random"])
def test_a_split_made_in_python_is_kept(
    protocol: str, config: RunConfig, scene: Scene, tmp_path: Path
) -> None:
    split = own_split(protocol, scene)
    run = Run.create(config, tmp_path / "run", scene=scene, split=split)
    run.write()
    found = Run.open(tmp_path / "run").split
    np.testing.assert_array_equal(found.test, split.test)
    assert found.digest == run.split.digest
    assert found.protocol.endswith(("every third", "(random)"))


def test_a_split_by_the_configuration_is_still_checked(
    copied: Callable[[], Run], scene: Scene
) -> None:
    run = copied()
    own_split("random", scene).save(run.path / "split.npz")
    with pytest.raises(InputError, match="found a split that scene and options don't give"):
        Run.open(run.path)


def test_an_unknown_network_is_named(copied: Callable[[], Run]) -> None:
    run = copied()
    calls: list[Callable[[str], Any]] = [run.load, run.has, run.file]
    for call in calls:
        with pytest.raises(InputError, match=r"^network: found 'snn', expected one of cnn_fp32, "):
            call("snn")


def test_a_run_without_test_pixels_trains_and_has_no_scores(
    config: RunConfig, scene: Scene, tmp_path: Path
) -> None:
    split = split_without_test(scene, 0.2, seed=0)
    run = Run.create(config, tmp_path / "run", scene=scene, split=split)
    stages.train_cnn(run)
    again = Run.open(tmp_path / "run")
    assert again.split.digest == split.digest
    with pytest.raises(InputError, match=r"run: found no test pixel in its split, expected at "):
        evaluation.evaluate(again)
    assert not (tmp_path / "run" / "metrics.json").exists()
