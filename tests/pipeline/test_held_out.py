"""Networks trained twice: without the validation blocks for choices, and with them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from snnquant.cli import main
from snnquant.config import ConfidenceConfig, ModelConfig, RunConfig, SplitConfig, read_config
from snnquant.pipeline import held_out, readouts
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.held_out import HELD_OUT, held_out_run
from snnquant.pipeline.import_cnn import import_cnn
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import draw_map
from snnquant.pipeline.stages import convert_cnn, quantize_cnn, train_cnn, train_snn, train_twin
from snnquant.report.json_records import to_json
from snnquant.sampling import make_split
from snnquant.scenes import FixedMask
from snnquant.stored_networks import Network

BLOCKS = SplitConfig(protocol="blocks", block_size=8, guard=2)
PARTS = (("cube", "cube"), ("labels", "labels"), ("mask.train", "mask"))
"""Tables of a card, and the files of a test that they name."""
FILES = ("confidence.json", "config.toml", "split.npz")


@pytest.fixture(scope="session")
def blocks(config: RunConfig) -> RunConfig:
    """Options of a run on blocks that takes a few seconds."""
    model = ModelConfig(name="cnn1x1", widths=(6, 8), window=3)
    confidence = ConfidenceConfig(unknown_accuracy=0.5)
    scene = "synthetic:48x48x12"
    return replace(config, scene=scene, model=model, split=BLOCKS, confidence=confidence)


def train_all(run: Run) -> None:
    for stage in (train_cnn, quantize_cnn, convert_cnn, train_twin, train_snn):
        stage(run)


@pytest.fixture(scope="session")
def refitted(blocks: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, to be read and copied, never changed."""
    run = Run.create(blocks, tmp_path_factory.mktemp("held_out") / "run")
    train_all(run)
    evaluate(run)
    return run.path


def inner_of(folder: Path) -> Run:
    return Run.open(folder / HELD_OUT)


def test_the_outer_networks_see_the_validation_blocks_and_the_inner_ones_never(
    refitted: Path,
) -> None:
    outer, inner = Run.open(refitted).split, inner_of(refitted).split
    np.testing.assert_array_equal(outer.test, inner.test)
    learn = {*outer.train, *outer.val}
    assert {*inner.train, *inner.val} < learn  # a guard band is left out
    assert not {*inner.train} & {*inner.val}
    assert len({*outer.train} & {*inner.val}) > 0.8 * len(inner.val)
    shape = (48, 48)
    near = np.zeros(shape, bool)
    for row, column in zip(*np.divmod(inner.val, 48), strict=True):
        near[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
    assert not near.ravel()[inner.train].any()
    assert 0.1 < len(inner.val) / len(learn) < 0.5
    # The scene's own rule, by itself: training and validation are all pixels off the test blocks.
    run = Run.open(refitted)
    plain = replace(BLOCKS, validation="pixels")
    assert outer.digest == make_split(run.scene, plain, 3, run.config.seed).digest


def test_blocks_are_held_out_whole_as_those_that_test(refitted: Path) -> None:
    outer, inner = Run.open(refitted).split, inner_of(refitted).split
    block = lambda pixels: {*(pixels // 48 // 8 * 6 + pixels % 48 // 8)}  # noqa: E731
    assert not block(inner.val) & block(inner.train)
    draws = held_out.held_out_draws(Run.open(refitted))
    assert len(draws) == held_out.DRAWS
    np.testing.assert_array_equal(draws[0][1], inner.val)
    assert len({held.tobytes() for _, held in draws}) > 1
    learn = {*outer.train, *outer.val}
    for train, held in draws:
        assert {*train, *held} < learn
        assert not block(held) & block(train)


def test_what_was_held_out_before_stays_held_out(
    refitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(refitted, tmp_path / "run")
    before = inner_of(tmp_path / "run").split
    monkeypatch.setattr(held_out, "held_out_draws", lambda run: [])
    again = held_out_run(Run.open(tmp_path / "run"), Network.CNN_FP32)
    assert again.split.digest == before.digest


def test_the_inner_run_has_the_same_options_except_for_its_split(refitted: Path) -> None:
    outer, inner = (read_config(f / "config.toml") for f in (refitted, refitted / HELD_OUT))
    assert inner.split == replace(outer.split, refit=False, validation_fraction=held_out.FRACTION)
    assert replace(inner, split=outer.split) == outer
    assert outer.scaling.startswith("within-class:")


def test_the_choices_are_those_of_the_inner_run(refitted: Path) -> None:
    outer, inner = Run.open(refitted), inner_of(refitted)
    assert not inner.refits
    vars(inner)["stand_ins"] = readouts._stand_ins(outer)
    for network in Network:
        kept = readouts.kept_readout(outer, network)
        expected, _ = readouts.choose_readout(inner, network)
        assert to_json(kept) == to_json(expected)
    own, _ = readouts._chosen(outer, outer.load(Network.SNN_TRAINED))
    assert to_json(own) != to_json(readouts.kept_readout(outer, Network.SNN_TRAINED))


def test_the_front_end_is_merged_into_the_first_kernel_of_every_network(refitted: Path) -> None:
    """It spans all bands, so that the matrix costs nothing."""
    run, metrics = Run.open(refitted), json.loads((refitted / "metrics.json").read_text())
    assert run.config.scaling.startswith("within-class:")
    assert run.normalisation.components is None
    first, second = 6 * run.config.model.inputs(run.scene.bands), 6 * 8
    classifier = 8 * run.scene.classes
    assert metrics["operations"]["cnn_fp32"]["mac"] == 9 * (first + second) + classifier
    steps = run.config.neuron.time_steps
    assert metrics["operations"]["snn_trained"]["mac"] == 9 * first + steps * classifier


def test_the_map_is_that_of_the_outer_network(refitted: Path, tmp_path: Path) -> None:
    shutil.copytree(refitted, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    draw_map(run)
    by_hand = run.load(Network.SNN_TRAINED)
    with torch.no_grad():
        logits = by_hand.network(run.patches.gather(run.split.test))
    drawn = np.load(run.path / "map.npy").ravel()[run.split.test]
    assert (drawn == logits.argmax(1).numpy() + 1).mean() > 0.99


def test_a_killed_run_that_is_resumed_ends_like_one_that_was_not(
    refitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(refitted, tmp_path / "run")
    folder = tmp_path / "run"
    for file in ("metrics.json", "confidence.json"):
        (folder / file).unlink()
    shutil.rmtree(folder / HELD_OUT)

    class Killed(Exception):
        pass

    def kill(run: Run) -> None:
        raise Killed

    stages = dict(held_out._STAGES)
    stages[Network.SNN_TRAINED] = (train_cnn, convert_cnn, kill)
    monkeypatch.setattr(held_out, "_STAGES", stages)
    with pytest.raises(Killed):
        evaluate(Run.open(folder))
    monkeypatch.undo()
    begun = (folder / HELD_OUT / Network.CNN_FP32.file).stat().st_mtime_ns
    evaluate(Run.open(folder))
    assert (folder / HELD_OUT / Network.CNN_FP32.file).stat().st_mtime_ns == begun
    for file in FILES:
        assert (folder / file).read_bytes() == (refitted / file).read_bytes(), file
    found, expected = (json.loads((f / "metrics.json").read_text()) for f in (folder, refitted))
    for part in (*Network, "calibration", "split", "energy_pj", "spike_rates"):
        assert found[part] == expected[part]
    for network in Network:
        files = [f / HELD_OUT / network.file for f in (folder, refitted)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_without_refit_validation_blocks_stay_out_of_training(
    blocks: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = replace(blocks, split=replace(BLOCKS, refit=False))
    run = Run.create(plain, tmp_path / "run")
    assert not run.refits
    expected = make_split(run.scene, plain.split, 3, plain.seed)
    assert run.split.digest == expected.digest
    train_cnn(run)
    evaluate(run)
    assert not (run.path / HELD_OUT).exists()
    main(["train", "--help"])
    assert "--no-refit" in capsys.readouterr().out


def test_pixels_and_random_splits_do_not_refit(blocks: RunConfig, tmp_path: Path) -> None:
    for split in (SplitConfig(), replace(BLOCKS, validation="pixels")):
        assert not Run.create(replace(blocks, split=split), tmp_path / "run").refits


def test_a_split_given_in_python_is_used_as_it_is(blocks: RunConfig, tmp_path: Path) -> None:
    drawn = Run.create(blocks, tmp_path / "other")
    assert drawn.refits
    split = replace(drawn.split, val=drawn.split.val[::2])
    run = Run.create(blocks, tmp_path / "run", split=split)
    assert not run.refits
    np.testing.assert_array_equal(run.split.val, split.val)
    train_cnn(run)
    readouts.choose_readout(run, Network.CNN_FP32)
    assert not (run.path / HELD_OUT).exists()
    again = Run.open(run.path)
    assert not again.refits
    assert again.split.digest == run.split.digest


def test_an_imported_cnn_is_not_trained_again(
    refitted: Path, blocks: RunConfig, tmp_path: Path
) -> None:
    """Its weights come from elsewhere: validation blocks stay blocks, and nothing is held out."""
    cnn = Run.open(refitted).load(Network.CNN_FP32).network
    torch.save(cnn.state_dict(), tmp_path / "cnn.pt")
    forms = read_config(refitted / "config.toml").model.spectra
    run = Run.create(replace(blocks, model=replace(blocks.model, spectra=forms)), tmp_path / "run")
    import_cnn(run, tmp_path / "cnn.pt")
    assert not run.refits
    assert not Run.open(run.path).config.split.refit
    evaluate(Run.open(run.path))
    assert not (run.path / HELD_OUT).exists()
    assert run.split.digest == make_split(run.scene, run.config.split, 3, run.config.seed).digest


def test_held_out_networks_are_made_once_and_no_further_than_needed(
    blocks: RunConfig, tmp_path: Path
) -> None:
    run = Run.create(blocks, tmp_path / "run")
    train_cnn(run)
    inner = held_out_run(run, "cnn_fp32")
    assert inner.present() == [Network.CNN_FP32]
    written = inner.file("cnn_fp32").stat().st_mtime_ns
    assert held_out_run(run, "cnn_fp32").file("cnn_fp32").stat().st_mtime_ns == written


def test_a_moved_scene_is_found_by_held_out_networks(
    blocks: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    Run.create(blocks, tmp_path / "first").scene.save(tmp_path / "data" / "field.npz")
    options = replace(blocks, scene=str(tmp_path / "data" / "field.npz"))
    run = Run.create(options, tmp_path / "run")
    train_cnn(run)
    (tmp_path / "data").rename(tmp_path / "moved")
    opened = Run.open(run.path, scene=str(tmp_path / "moved"))
    held_out_run(opened, "cnn_fp32")
    evaluate(Run.open(run.path))
    inner = Run.open(run.path / HELD_OUT)
    assert inner.scene.digest == run.scene.digest


def test_held_out_networks_of_a_mask_need_neither_card_nor_old_place(
    blocks: RunConfig, tmp_path: Path
) -> None:
    scene = Run.create(blocks, tmp_path / "first").scene
    data, moved = tmp_path / "data", tmp_path / "moved"
    data.mkdir()
    mask = np.where(np.indices((48, 48)).sum(0) // 8 % 2, scene.labels, 0)
    for name, values in (("cube", scene.cube), ("labels", scene.labels), ("mask", mask)):
        np.save(data / f"{name}.npy", values)
    parts = [f'[{part}]\nfile = "{name}.npy"\n' for part, name in PARTS]
    classes = [f'[[classes]]\nname = "{name}"\n' for name in scene.class_names]
    (data / "field.toml").write_text("\n".join([*parts, *classes]))
    masked = SplitConfig(protocol="mask", block_size=8, guard=1)
    run = Run.create(
        replace(blocks, scene=str(data / "field.toml"), split=masked), tmp_path / "run"
    )
    assert run.refits
    train_cnn(run)
    expected = make_split(
        run.scene, replace(masked, validation="pixels"), 3, 0, FixedMask(mask, None)
    )
    assert run.split.digest == expected.digest
    data.rename(moved)
    (moved / "field.toml").unlink()
    Run.open(run.path, scene=str(moved))
    inner = held_out_run(Run.open(run.path), "cnn_fp32")
    np.testing.assert_array_equal(inner.split.test, run.split.test)
    opened = Run.open(inner.path)
    assert opened.scene.digest == run.scene.digest
    assert opened.split.digest == inner.split.digest
