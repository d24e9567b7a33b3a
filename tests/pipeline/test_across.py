"""Scores on another scene: the pixels, classes and bands that count, and its choice."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnquant.cli import main
from snnquant.config import ModelConfig, RunConfig, SplitConfig, TrainingConfig
from snnquant.errors import InputError
from snnquant.pipeline.across import _own_numbers, evaluate_across
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.kept_files import KeptScene
from snnquant.pipeline.run import Run
from snnquant.pipeline.stages import train_cnn
from snnquant.report import RunMetrics
from snnquant.report.across_scenes import AcrossMetrics, across_section
from snnquant.scenes import Scene, load_scene
from snnquant.stored_networks import Network

LEARNS = RunConfig(
    scene="synthetic:24x24x16",
    model=ModelConfig(name="cnn32h", widths=(4, 4, 8, 8), window=3),
    training=TrainingConfig(cnn_epochs=15, quantized_epochs=1),
)
OTHER_LIGHT = "synthetic:24x24x16:0:1"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunMetrics]:
    """A run whose CNN tells classes apart, to be copied, never changed."""
    run = Run.create(LEARNS, tmp_path_factory.mktemp("across") / "run")
    train_cnn(run)
    return run.path, evaluate(run)


@pytest.fixture
def run(trained: tuple[Path, RunMetrics], tmp_path: Path) -> Run:
    """Open a copy of that run."""
    shutil.copytree(trained[0], tmp_path / "run")
    return Run.open(tmp_path / "run")


def unseen_pixels(run: Run, name: str = "other") -> Scene:
    """Return the run's cube as another scene whose labelled pixels are the run's test pixels."""
    labels = np.zeros(run.scene.labels.size, np.int64)
    labels[run.split.test] = run.scene.labels.ravel()[run.split.test]
    return replace(run.scene, name=name, labels=labels.reshape(run.scene.labels.shape), digest=name)


def test_the_test_pixels_as_another_scene_have_the_scores_of_the_run(
    run: Run, trained: tuple[Path, RunMetrics]
) -> None:
    expected, files = trained[1], ("metrics.json", "confidence.json", "config.toml", "split.npz")
    before = {name: (run.path / name).read_bytes() for name in files}
    found = evaluate_across(run, unseen_pixels(run))
    assert expected.networks[Network.CNN_FP32].oa > 0.5
    for network, scores in expected.networks.items():
        other, near = found.networks[network], 2 / len(run.split.test)
        assert scores.smoothed is not None
        assert other.oa == pytest.approx(scores.oa, abs=near)
        assert other.smoothed.oa == pytest.approx(scores.smoothed.oa, abs=near)
    assert expected.controls is not None
    assert (found.controls.lda, found.controls.svm) == (
        expected.controls.lda,
        expected.controls.svm,
    )
    assert before == {name: (run.path / name).read_bytes() for name in files}
    stored = json.loads((run.path / "across_other.json").read_text())
    assert stored == json.loads(json.dumps(found.to_dict()))
    assert AcrossMetrics.from_dict(stored) == found


def test_smoothing_is_that_of_the_run(run: Run) -> None:
    kept = json.loads((run.path / "confidence.json").read_text())
    scene, found = unseen_pixels(run), {}
    for sigma in (0.0, 8.0):
        for entry in kept.values():
            entry["sigma"] = sigma
        (run.path / "confidence.json").write_text(json.dumps(kept))
        found[sigma] = evaluate_across(run, scene).networks[Network.CNN_FP32]
    assert found[0.0].oa == found[8.0].oa == found[0.0].smoothed.oa
    assert found[8.0].smoothed.oa < found[8.0].oa - 0.1


def test_classes_are_matched_by_name_in_any_order_and_others_are_only_counted(run: Run) -> None:
    scene = unseen_pixels(run)
    whole = evaluate_across(run, scene)
    assert whole.left_out == {}
    assert list(whole.scored) == list(run.scene.class_names)
    turned = scene.classes + 1 - scene.labels
    names = [f"{name.upper()} _-" for name in scene.class_names[::-1]]
    names[0], names[3] = "Lava", "Snow"
    other = replace(
        scene,
        labels=np.where(scene.labels, turned, 0),
        class_names=tuple(names),
    )
    found = evaluate_across(run, other)
    counts = np.bincount(other.labels.ravel())
    assert found.left_out == {"Lava": counts[1], "Snow": counts[4]}
    gone = {run.scene.class_names[-1], run.scene.class_names[-4]}
    assert found.scored == {name: n for name, n in whole.scored.items() if name not in gone}
    for network, scores in found.networks.items():
        for name, mine, all_of_them in zip(
            run.scene.class_names,
            scores.class_accuracy,
            whole.networks[network].class_accuracy,
            strict=True,
        ):
            assert mine == (None if name in gone else all_of_them)
    text = " ".join(across_section(found).notes)
    assert f"did not learn: Lava ({counts[1]}), Snow ({counts[4]})" in text


def test_classes_without_a_training_pixel_are_not_scored(run: Run) -> None:
    scene, split = unseen_pixels(run), run.split
    first = run.scene.labels.ravel()[split.train] == 1
    vars(run)["split"] = replace(split, train=split.train[~first])
    found = evaluate_across(run, scene)
    assert found.left_out == {"Soil": (scene.labels == 1).sum()}
    assert list(found.scored) == list(run.scene.class_names[1:])
    assert found.networks[Network.CNN_FP32].class_accuracy[0] is None


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (["corn-no till", "OATS", "Rye"], [1, 2, 0]),
        (["Corn+", "Corn-", "corn", "+"], [3, 4, 0, 5]),
        (["Blé", "BLE\u0301", "-"], [6, 6, 0]),
    ],
)
def test_names_differ_in_case_and_punctuation_only(others: list[str], expected: list[int]) -> None:
    own = ["Corn-notill", "Oats", "Corn+", "Corn-", "+", "blé"]
    assert _own_numbers(own, others).tolist() == expected


def test_pixels_without_data_do_not_count(run: Run) -> None:
    scene = unseen_pixels(run)
    cube, names = scene.cube.copy(), [f"class {k}" for k in range(1, 9)]
    cube[:, ::5] = np.nan
    gaps = Scene.from_arrays(cube, scene.labels, scene.class_names, name="gaps")
    assert not gaps.valid[:, ::5].any()
    found = evaluate_across(run, gaps)
    lost = (scene.labels[:, ::5] > 0).sum()
    assert lost > 0
    assert sum(found.scored.values()) == (scene.labels > 0).sum() - lost
    assert found.networks[Network.CNN_FP32].oa > 0.5
    with pytest.raises(InputError, match=r"found the classes class 1, .* expected some of Soil"):
        evaluate_across(run, replace(scene, class_names=tuple(names)))


def test_bands_are_checked_and_resampled_and_units_are_said(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = evaluate_across(run, unseen_pixels(run)).networks[Network.CNN_FP32].oa
    scene = unseen_pixels(run)
    waves = scene.wavelengths_nm
    assert waves is not None
    turned = replace(scene, cube=scene.cube[..., ::-1].copy(), wavelengths_nm=waves[::-1].copy())
    capsys.readouterr()
    found = evaluate_across(run, turned, resample=True).networks[Network.CNN_FP32].oa
    assert found == pytest.approx(expected, abs=0.05)
    assert "sigma" not in capsys.readouterr().err
    evaluate_across(run, turned)
    assert "scene other: found 2500.0 nm in band 1, expected 400.0" in capsys.readouterr().err
    evaluate_across(run, replace(scene, cube=scene.cube * 10_000))
    assert "scene other: values lie" in capsys.readouterr().err
    few = replace(scene, cube=scene.cube[..., :9], wavelengths_nm=waves[:9])
    with pytest.raises(InputError, match=r"other: found 9 bands, expected the 16 of .*resampl"):
        evaluate_across(run, few)


def test_bands_that_training_left_out_are_left_out_again(run: Run) -> None:
    scene, kept = unseen_pixels(run), np.insert(np.ones(16, bool), [4, 9], False)
    expected = evaluate_across(run, scene).to_dict()
    wide = np.insert(scene.cube, [4, 9], 0.5, axis=2)
    vars(run)["scene"] = replace(run.scene, kept_bands=kept)
    found = evaluate_across(run, replace(scene, cube=wide, wavelengths_nm=None)).to_dict()
    assert found["scene"].pop("shape") != expected["scene"].pop("shape")
    assert found == expected


def write_card(folder: Path, name: str, scene: Scene) -> Path:
    """Write a scene's arrays and its card."""
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{name}_cube.npy", scene.cube)
    np.save(folder / f"{name}_labels.npy", scene.labels.astype(np.uint8))
    classes = "".join(f'[[classes]]\nname = "{entry}"\n' for entry in scene.class_names)
    card = folder / f"{name}.toml"
    card.write_text(
        f'cube = {{file = "{name}_cube.npy"}}\nlabels = {{file = "{name}_labels.npy"}}\n' + classes
    )
    return card


@pytest.mark.parametrize("limit", [0, 30])
def test_the_runs_own_data_are_told_from_another_scene(limit: int, tmp_path: Path) -> None:
    scene, folder = load_scene("synthetic:24x24x16"), tmp_path / "data"
    card = write_card(folder, "field", scene)
    options = SplitConfig(drop_small_classes=limit)
    run = Run.create(replace(LEARNS, scene=str(card), split=options), tmp_path / "run")
    run.write()
    other = write_card(folder, "light", load_scene(OTHER_LIGHT))
    same_name = write_card(tmp_path / "elsewhere", "field", load_scene(OTHER_LIGHT))
    (folder / "renamed.toml").write_text(card.read_text())
    for place in (folder, card, folder / "renamed.toml"):
        assert KeptScene(run.path, str(place)).other_scene() is None
    for place, name in ((other, "light"), (same_name, "field")):
        found = KeptScene(run.path, str(place)).other_scene()
        assert found is not None
        assert found.name == name
        assert found.digest != run.scene.digest
    with pytest.raises(InputError, match=r"nosuch\.toml: found no such file"):
        KeptScene(run.path, str(folder / "nosuch.toml")).other_scene()


def test_scenes_of_python_have_another_scene_too(tmp_path: Path) -> None:
    run = Run.create(LEARNS, tmp_path / "run", scene=load_scene("synthetic:24x24x16"))
    run.write()
    load_scene(OTHER_LIGHT).save(tmp_path / "light.npz")
    found = KeptScene(run.path, str(tmp_path / "light.npz")).other_scene()
    assert found is not None
    assert found.name == OTHER_LIGHT


def test_the_command_prints_a_table_or_one_object(
    copied: Callable[[], Run], capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied().path
    main(["evaluate", str(path), "--scene", OTHER_LIGHT])
    text = capsys.readouterr().out
    assert f"Scores on {OTHER_LIGHT} after training on synthetic:24x24x16:0, %" in text
    for label in ("CNN 32-bit", "SNN trained, 6-bit, T = 2", "LDA on spectrum", "SVM on window"):
        (line,) = [line for line in text.splitlines() if label in line]
        assert len(re.findall(r" -?\d+\.\d\d| - ", line + " ")) == 6
    file = path / "across_synthetic_24x24x16_0_1.json"
    assert str(file) in text
    main(["evaluate", str(path), "--scene", OTHER_LIGHT, "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(file.read_text())
    assert set(Network) <= set(printed)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scene", OTHER_LIGHT, "--integers"], "--integers: found another scene"),
        (["--scene", OTHER_LIGHT, "--early-exit"], "--early-exit: found another scene"),
        (["--scene", OTHER_LIGHT, "--smoothing", "0"], "--smoothing: found another scene"),
        (["--scene", OTHER_LIGHT, "--unknown-accuracy", "0"], "--unknown-accuracy: found another"),
        (["--scene", "synthetic:24x24x16"], "the run's own, expected another scene"),
        (["--resample"], "--resample: found no other scene"),
        (["--scene", "synthetic:24x24"], "expected synthetic:HxWxB"),
        (["--scene", "nosuch"], "scene: found nosuch, expected one of"),
    ],
)
def test_what_does_not_fit_is_one_line(
    options: list[str],
    said: str,
    finished: tuple[Path, RunMetrics],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(finished[0].iterdir())
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", str(finished[0]), *options])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert sorted(finished[0].iterdir()) == before
