"""The scaling that a scene's card names, in runs, files of scenes and the classifier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnquant import SpikingClassifier
from snnquant.config import ModelConfig, RunConfig, TrainingConfig, read_config
from snnquant.errors import InputError
from snnquant.pipeline.run import Run
from snnquant.pipeline.stages import train_cnn
from snnquant.scenes import Scene, load_scene


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card without a scaling, with its data."""
    scene = load_scene("synthetic:24x24x16")
    np.save(tmp_path / "cube.npy", scene.cube)
    np.save(tmp_path / "labels.npy", scene.labels.astype(np.uint8))
    np.savez(tmp_path / "mine.npz", min=np.zeros(1), max=np.full(1, 2.0))
    names = "".join(f'[[classes]]\nname = "{name}"\n' for name in scene.class_names)
    text = f'[cube]\nfile = "cube.npy"\n[labels]\nfile = "labels.npy"\n{names}'
    (tmp_path / "field.toml").write_text(text)
    return tmp_path / "field.toml"


def _with(card: Path, scaling: str) -> RunConfig:
    card.write_text(f'scaling = "{scaling}"\n{card.read_text()}')
    quick = TrainingConfig(cnn_epochs=1, quantized_epochs=1, snn_epochs=1)
    return RunConfig(
        scene=str(card), model=ModelConfig(name="cnn32h", widths=(2, 2, 2, 2)), training=quick
    )


@pytest.mark.parametrize("scaling", ["none", "minmax", "minmax-band", "divide:4", "whiten"])
def test_a_card_names_the_scaling_of_its_runs(scaling: str, card: Path) -> None:
    plain = load_scene(card)
    run = Run.create(_with(card, scaling))
    assert run.config.scaling == run.normalisation.scaling == scaling
    assert run.scene.digest == plain.digest
    expected = Run.create(RunConfig(scaling=scaling), scene=plain).normalisation
    np.testing.assert_array_equal(run.normalisation.mean, expected.mean)
    np.testing.assert_array_equal(run.normalisation.std, expected.std)


def test_the_command_line_beats_the_card(card: Path) -> None:
    config = _with(card, "minmax")
    assert Run.create(replace(config, scaling="standard")).normalisation.scaling == "standard"


def test_auto_in_a_card_says_nothing(card: Path) -> None:
    run = Run.create(_with(card, "auto"))
    assert (run.config.scaling, run.normalisation.scaling) == ("auto", "standard")


def test_a_file_lies_relative_to_the_card_and_is_kept(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _with(card, "mine.npz")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    run = Run.create(config, tmp_path / "run")
    train_cnn(run)
    (tmp_path / "mine.npz").unlink()
    card.unlink()
    again = Run.open(tmp_path / "run")
    np.testing.assert_array_equal(again.normalisation.std, np.full(16, 2, np.float32))
    kept = read_config(tmp_path / "run" / "config.toml").scaling
    assert kept == str(tmp_path / "mine.npz")


def test_a_scene_keeps_it_in_its_file_and_for_the_classifier(card: Path, tmp_path: Path) -> None:
    _with(card, "minmax")
    load_scene(card).save(tmp_path / "saved.npz")
    scene = Scene.load(tmp_path / "saved.npz")
    assert scene.scaling == "minmax"
    folder = tmp_path / "classifier"
    first = SpikingClassifier(run_folder=folder, window=3, cnn_epochs=1, snn_epochs=1).fit(scene)
    assert read_config(folder / "config.toml").scaling == "minmax"
    second = SpikingClassifier(run_folder=folder, window=3, cnn_epochs=1, snn_epochs=1).fit(scene)
    np.testing.assert_array_equal(first.predict(scene), second.predict(scene))


@pytest.mark.parametrize("scaling", ["log", "divide:0", "divide:x"])
def test_a_wrong_scaling_names_the_card(scaling: str, card: Path) -> None:
    with pytest.raises(InputError, match=r"field\.toml: scaling: found '.*', expected auto, stand"):
        Run.create(_with(card, scaling))


def test_a_file_that_does_not_fit_names_the_card(card: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", mean=np.zeros(3), std=np.ones(3))
    config = _with(card, "other.npz")
    with pytest.raises(InputError, match=r"^card field: scaling: .*other\.npz: mean: .*16 finite"):
        Run.create(config)
    (tmp_path / "other.npz").unlink()
    with pytest.raises(InputError, match=r"^card field: scaling: .*other\.npz: No such file"):
        Run.create(config)
