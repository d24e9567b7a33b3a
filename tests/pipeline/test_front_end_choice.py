"""Choice of the spectra and their scaling on held-out blocks."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnquant.config import ModelConfig, RunConfig, SplitConfig, read_config
from snnquant.errors import InputError
from snnquant.pipeline import front_end_choice
from snnquant.pipeline.front_end_choice import (
    MERGED,
    SHRINKAGES,
    SPECTRA,
    _simplest,
    choose_front_end,
)
from snnquant.pipeline.run import Run
from snnquant.pipeline.stages import train_cnn
from snnquant.scenes import Scene, load_scene

BLOCKS = SplitConfig(protocol="blocks", block_size=8, guard=1)
NAMES = [f"within-class:{shrinkage:g}" for shrinkage in SHRINKAGES]
MERGED_NAMES = [f"within-class:{shrinkage:g}" for shrinkage in MERGED]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[0.9, 0.9, 0.9]], 0),
        ([[0.5, 0.6, 0.7], [0.5, 0.6, 0.7]], 0),
        # 0.1 behind in every draw: no spread, no error, so the best it is
        ([[0.5, 0.6, 0.7], [0.6, 0.7, 0.8]], 1),
        # 0.01 behind in the mean, differences of 0.09, -0.03, -0.03: error 0.04
        ([[0.61, 0.73, 0.73], [0.70, 0.70, 0.70]], 0),
        # 0.05 behind, differences of 0.02, 0.05, 0.08: error 0.017
        ([[0.68, 0.65, 0.62], [0.70, 0.70, 0.70]], 1),
        # the first is too far behind, the second within the error of the third
        ([[0.1, 0.1, 0.1], [0.61, 0.73, 0.73], [0.7, 0.7, 0.7]], 1),
        # scores differ much between draws, and the two hardly in any: differences are what count
        ([[0.18, 0.48, 0.88], [0.20, 0.50, 0.90]], 1),
    ],
)
def test_the_simplest_within_a_standard_error_of_the_best_is_taken(
    rows: list[list[float]], expected: int
) -> None:
    assert _simplest(np.array(rows)) == expected


def fields(gains: bool, seed: int = 0, side: int = 48) -> Scene:
    """Build fields of 12 x 12 pixels of three classes, each field with its own light."""
    draw = np.random.default_rng(seed)
    rows, columns = np.indices((side, side)) // 12
    labels = (rows + 2 * columns) % 3 + 1
    shapes = draw.normal(10, 1, (4, 10))
    cube = shapes[labels] + draw.normal(0, 0.3, (side, side, 10))
    if gains:
        cube *= draw.uniform(0.3, 3, (side // 12, side // 12, 1))[rows, columns]
    return Scene.from_arrays(cube.astype(np.float32), labels)


def made(scene: Scene, path: Path, **options: Any) -> Run:
    config = RunConfig(
        **{"split": BLOCKS, "model": ModelConfig(name="cnn32h", window=1), **options}
    )
    return Run.create(config, path, scene=scene)


def test_fields_of_different_light_are_seen_without_their_brightness(tmp_path: Path) -> None:
    run = made(fields(gains=True), tmp_path / "run")
    choose_front_end(run)
    assert run.config.scaling in NAMES
    assert run.config.model.spectra != "raw"
    assert run.normalisation.spectra == run.config.model.spectra
    assert run.normalisation.scaling == run.config.scaling


def test_where_nothing_is_gained_the_simplest_is_taken(tmp_path: Path) -> None:
    run = made(fields(gains=False), tmp_path / "run")
    choose_front_end(run)
    assert (run.config.model.spectra, run.config.scaling) == (SPECTRA[0], NAMES[0])


def test_the_choice_is_that_of_the_best_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def score(run: Run, spectra: str, scaling: str, train: Any, held_out: Any) -> float:
        assert not set(train) & set(held_out)
        assert not set(run.split.test) & {*train, *held_out}
        seen.append((spectra, scaling))
        return float((spectra, scaling) == ("snv", NAMES[1]))

    monkeypatch.setattr(front_end_choice, "_accuracy", score)
    run = made(fields(gains=False), tmp_path / "run")
    choose_front_end(run)
    assert (run.config.model.spectra, run.config.scaling) == ("snv", NAMES[1])
    assert list(dict.fromkeys(seen)) == [(s, n) for s in SPECTRA for n in NAMES]
    assert len(seen) >= 2 * len(SPECTRA) * len(NAMES)


@pytest.mark.parametrize(
    "options",
    [
        {"split": SplitConfig()},
        {"split": replace(BLOCKS, validation="pixels")},
        {"scaling": "standard"},
        {"scaling": "within-class:0.5"},
        {"model": ModelConfig(window=1, components=3)},
    ],
    ids=["random", "pixels", "standard", "within-class", "components"],
)
def test_nothing_is_chosen_where_it_was_said(tmp_path: Path, options: dict[str, Any]) -> None:
    run = made(fields(gains=True), tmp_path / "run", **options)
    before = run.config
    choose_front_end(run)
    assert run.config == before


def test_whitening_that_merges_into_quantized_weights_has_larger_shrinkages(tmp_path: Path) -> None:
    model = ModelConfig(name="cnn1x1", window=1, spectra="snv")
    run = made(fields(gains=True), tmp_path / "run", model=model)
    choose_front_end(run)
    assert run.config.scaling in MERGED_NAMES
    floats = made(fields(gains=True), tmp_path / "floats", model=model, pixel_bits=32)
    choose_front_end(floats)
    assert floats.config.scaling in NAMES


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("cnn1x1h", {}, "within-class:0.3"),
        ("cnn1x1", {"scaling": "within-class"}, "within-class:0.3"),
        ("cnn1x1", {"scaling": "within-class:0.01"}, "within-class:0.01"),
        ("cnn1x1", {"scaling": "standard"}, "standard"),
        ("cnn1x1", {"scaling": "within-class", "pixel_bits": 32}, "within-class"),
        ("cnn1x1", {"pixel_bits": 32}, "auto"),
        ("cnn32h", {}, "auto"),
    ],
)
def test_networks_that_take_whitening_into_their_weights_have_it_by_default(
    tmp_path: Path, name: str, options: dict[str, Any], expected: str
) -> None:
    model = ModelConfig(name=name, window=1)
    run = made(fields(gains=False), tmp_path / "run", model=model, split=SplitConfig(), **options)
    assert run.config.scaling == expected


def test_of_given_spectra_only_the_scaling_is_chosen(tmp_path: Path) -> None:
    run = made(
        fields(gains=True),
        tmp_path / "run",
        model=ModelConfig(name="cnn32h", window=1, spectra="raw"),
    )
    choose_front_end(run)
    assert run.config.model.spectra == "raw"
    assert run.config.scaling in NAMES


def test_pixels_that_are_not_positive_leave_the_logarithm_out(tmp_path: Path) -> None:
    scene = fields(gains=False)
    dark = replace(scene, cube=scene.cube - 20)
    run = made(dark, tmp_path / "run")
    choose_front_end(run)
    assert "log-derivative" not in run.config.model.spectra
    asked = ModelConfig(name="cnn32h", window=1, spectra="log-derivative")
    with pytest.raises(InputError, match=r"^--spectra: found training pixels of mean -"):
        choose_front_end(made(dark, tmp_path / "other", model=asked))


def test_test_pixels_and_their_labels_do_not_decide(tmp_path: Path) -> None:
    scene = fields(gains=True)
    run = made(scene, tmp_path / "run")
    tested = run.split.test
    choose_front_end(run)
    labels, cube = scene.labels.copy(), scene.cube.copy()
    labels.ravel()[tested] = labels.ravel()[tested] % 3 + 1
    cube.reshape(-1, scene.bands)[tested] += 1
    other = made(replace(scene, labels=labels, cube=cube), tmp_path / "other")
    vars(other)["split"] = run.split
    choose_front_end(other)
    assert other.config.model == run.config.model
    assert other.config.scaling == run.config.scaling


def test_few_draws_that_hold_out_anything_are_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One draw has no standard error: the run's own validation pixels decide then."""
    run, calls = made(fields(gains=True), tmp_path / "run"), []
    original = front_end_choice.hold_out_blocks

    def once(scene: Scene, learn: Any, *others: Any) -> Any:
        calls.append(1)
        return original(scene, learn, *others) if len(calls) == 1 else (learn, learn[:0], [])

    monkeypatch.setattr(front_end_choice, "hold_out_blocks", once)
    choose_front_end(run)
    assert run.config.scaling in NAMES
    assert len(calls) == front_end_choice.DRAWS


def test_the_folder_keeps_the_choice_and_resumes_with_it(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(
        config,
        scene="synthetic:48x48x12",
        split=BLOCKS,
        model=ModelConfig(name="cnn1x1", widths=(3, 4), window=3),
    )
    said = []
    run = Run.create(options, tmp_path / "run", lambda *line: said.append(line))
    train_cnn(run)
    stored = read_config(tmp_path / "run" / "config.toml")
    assert stored == run.config
    assert stored.scaling in MERGED_NAMES
    assert stored.model.spectra in SPECTRA
    (line,) = [line for line in said if line[0] == "front_end"]
    assert line[3].startswith(f"{stored.model.spectra}, {stored.scaling}: ")
    again = Run.create(options, tmp_path / "again")
    train_cnn(again)
    assert again.file("cnn_fp32").read_bytes() == run.file("cnn_fp32").read_bytes()

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(front_end_choice, "_accuracy", fail)
    run.file("cnn_fp32").unlink()
    resumed = Run.open(tmp_path / "run")
    train_cnn(resumed)
    assert resumed.file("cnn_fp32").read_bytes() == again.file("cnn_fp32").read_bytes()


def test_a_scene_of_one_field_has_a_choice_or_a_line(tmp_path: Path) -> None:
    """Blocks of a synthetic scene's few fields: validation may have to fall back to pixels."""
    scene = load_scene("synthetic:24x24x8")
    run = made(scene, tmp_path / "run")
    choose_front_end(run)
    assert run.config.scaling in NAMES


@pytest.mark.parametrize(
    ("model", "scaling", "option"),
    [
        (ModelConfig(spectra="snv"), "minmax", "--spectra: found snv beside --scaling minmax"),
        (ModelConfig(components=3), "within-class", "--components: found 3 principal components"),
    ],
)
def test_options_that_exclude_each_other_are_refused_before_anything_is_written(
    model, scaling, option, tmp_path
):
    config = RunConfig(scene="synthetic:24x24x16", model=model, scaling=scaling)
    with pytest.raises(InputError, match=re.escape(option)):
        Run.create(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
