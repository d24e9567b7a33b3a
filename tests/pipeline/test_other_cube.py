"""Maps of other cubes: no-data, scale, bands and order are brought to the training cube's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snnquant.cli import main
from snnquant.config import RunConfig, SplitConfig
from snnquant.errors import InputError
from snnquant.pipeline import stages, whole_run
from snnquant.pipeline.other_cube import Deviation
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import draw_map
from snnquant.sampling import Split
from snnquant.scenes import Scene, load_scene

WAVES = np.linspace(400.0, 2500.0, 16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> Path:
    """A run with a CNN, on bands that a file declares good."""
    run = Run.create(config, tmp_path_factory.mktemp("other") / "run", scene=field())
    stages.train_cnn(run)
    return run.path


def field() -> Scene:
    scene = load_scene("synthetic:24x24x16")
    return replace(scene, wavelengths_nm=WAVES)


@pytest.fixture
def mapped(
    trained: Path,
    write_envi: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[np.ndarray, str]]:
    """Map a cube that an ENVI file holds; return the classes and what was said."""

    def run(cube: np.ndarray, *options: str, **header: object) -> tuple[np.ndarray, str]:
        write_envi(tmp_path / "next.hdr", cube, **header)
        main(
            [
                "map",
                str(trained),
                "--network",
                "cnn_fp32",
                "--cube",
                str(tmp_path / "next.hdr"),
                *options,
            ]
        )
        said = [line for line in capsys.readouterr().err.splitlines() if line[:9] == "snnquant:"]
        return np.load(trained / "map_next.npy"), "\n".join(said)

    return run


@pytest.fixture
def expected(trained: Path) -> np.ndarray:
    draw_map(Run.open(trained), "cnn_fp32")
    return np.load(trained / "map.npy")


def list_of(values: np.ndarray) -> str:
    return f"{{{', '.join(f'{value:.4f}' for value in values)}}}"


def test_the_same_pixels_have_the_same_classes_and_nothing_is_said(mapped, expected):
    found, said = mapped(field().cube)
    np.testing.assert_array_equal(found, expected)
    assert said == ""


def test_a_scale_factor_brings_numbers_to_the_units_of_training(mapped, expected):
    numbers = np.round(field().cube * 10000).astype(np.int16)
    found, said = mapped(numbers, lines=["reflectance scale factor = 10000"])
    assert (found == expected).mean() > 0.97
    assert "values divided by the scale factor 10000" in said
    assert "sigma" not in said


def test_a_factor_that_the_training_cube_was_not_divided_by_is_left(mapped, expected):
    found, said = mapped(field().cube, lines=["reflectance scale factor = 10000"])
    np.testing.assert_array_equal(found, expected)
    assert "not divided by its scale factor 10000" in said


@pytest.mark.parametrize("factor", [10000, 100, 1e-4])
def test_other_units_are_said_with_the_figure(factor, mapped):
    _, said = mapped((field().cube * factor).astype(np.float32))
    sigma, ratio = (float(re.search(p, said)[1]) for p in (r"lie (\S+) sigma", r"are (\S+) times"))
    assert ratio == pytest.approx(factor, rel=0.1)
    assert sigma > 2
    assert said.count("\n") == 0


def test_another_order_of_the_bands_is_said(mapped):
    _, said = mapped(field().cube[:, :, ::-1])
    assert "sigma off those of the training pixels" in said


def test_gaps_are_0_on_the_map_and_others_keep_their_class(mapped, expected):
    cube = field().cube.copy()
    cube[:7] = -9999
    cube[12, 12, 3] = np.nan
    found, said = mapped(cube, lines=["data ignore value = -9999"])
    assert not found[:7].any()
    assert found[12, 12] == 0
    assert "169 of 576 pixels have no data" in said
    clear = expected[8:].copy()  # a window of 3 pixels reaches one row and column
    same = found[8:] == clear
    same[3:6, 11:14] = True
    assert same.all()
    assert (found[7:] > 0).sum() == 17 * 24 - 1


def test_bands_that_training_left_out_are_left_out_again(
    trained, write_envi, tmp_path, expected, mapped
):
    cube = np.insert(field().cube, [4, 9], 0, axis=2)
    marks = np.insert(np.ones(16, int), [4, 9], 0)
    found, said = mapped(cube, lines=[f"bbl = {{{', '.join(map(str, marks))}}}"])
    np.testing.assert_array_equal(found, expected)
    assert "left out the bands 5, 11, bad" in said
    with pytest.raises(SystemExit):
        mapped(cube)


def test_other_wavelengths_are_said_and_resampled_when_asked(mapped, expected, capsys):
    finer = np.linspace(380.0, 2520.0, 90)
    cube = np.stack(
        [np.interp(finer, WAVES, spectrum) for spectrum in field().cube.reshape(-1, 16)]
    ).reshape(24, 24, 90)
    lines = ["wavelength units = Nanometers", f"wavelength = {list_of(finer)}"]
    found, _ = mapped(cube.astype(np.float32), "--resample", lines=lines)
    assert (found == expected).mean() > 0.9
    with pytest.raises(SystemExit):
        mapped(cube.astype(np.float32), lines=lines)
    assert "--resample resamples by wavelength" in capsys.readouterr().err
    shifted = ["wavelength units = Nanometers", f"wavelength = {list_of(WAVES + 100)}"]
    _, said = mapped(field().cube, lines=shifted)
    assert "wavelengths differ by up to 100.0 nm" in said
    turned = ["wavelength units = Nanometers", f"wavelength = {list_of(WAVES[::-1])}"]
    found, said = mapped(field().cube[:, :, ::-1], "--resample", lines=turned)
    assert (found == expected).mean() > 0.95
    assert said == ""


def test_resampling_needs_wavelengths_that_reach(mapped, trained, tmp_path, capsys):
    with pytest.raises(SystemExit):
        mapped(field().cube, "--resample")
    assert "--resample: found no wavelengths in" in capsys.readouterr().err
    near = ["wavelength units = nm", f"wavelength = {list_of(np.linspace(400, 900, 16))}"]
    with pytest.raises(SystemExit):
        mapped(field().cube, "--resample", lines=near)
    assert "--resample: found bands of 400.0 to 900.0 nm" in capsys.readouterr().err
    with pytest.raises(InputError, match="--resample: found no --cube"):
        draw_map(Run.open(trained), "cnn_fp32", resample=True)


def test_a_card_says_how_another_cube_is_read(trained, tmp_path, expected):
    cube = field().cube
    np.save(tmp_path / "flat.npy", (cube * 100).reshape(-1, 16).T)
    (tmp_path / "next.toml").write_text(
        "shape = [24, 24, 16]\n"
        'cube = {file = "flat.npy", layout = "bands pixels", order = "rows", scale = 100}\n'
        'labels = {file = "none.npy"}\nclasses = [{name = "any"}]\n'
    )
    draw_map(Run.open(trained), "cnn_fp32", tmp_path / "next.toml")
    assert (np.load(trained / "map_next.npy") == expected).mean() > 0.97


def test_both_engines_leave_gaps_out(config, tmp_path):
    cube = field().cube.copy()
    cube[:, :5] = np.nan
    labels = np.minimum(field().labels, 4)
    scene = Scene.from_arrays(cube, labels)
    run = Run.create(config, tmp_path / "run", scene=scene)
    whole_run.run_all(run)
    whole = np.load(run.path / "map.npy")
    assert not whole[:, :5].any()
    assert whole[:, 5:].all()
    np.save(tmp_path / "next.npy", cube)
    draw_map(run, file=tmp_path / "next.npy")
    np.testing.assert_array_equal(np.load(run.path / "map_next.npy"), whole)
    draw_map(run, engine="integer")
    integers = np.load(run.path / "map.npy")
    assert not integers[:, :5].any()
    assert (integers == whole).mean() > 0.95
    again = Run.open(run.path).scene
    np.testing.assert_array_equal(again.valid, scene.valid)
    for pixels in (run.split.train, run.split.val, run.split.test):
        assert (pixels % 24 >= 5).all()


def test_pixels_without_data_cannot_be_chosen(config, tmp_path):
    cube = field().cube.copy()
    cube[0, 0] = np.nan
    scene = Scene.from_arrays(cube, field().labels)
    split = Split(np.array([0, 30, 40]), np.array([50]), np.array([60]), "own", 0)
    with pytest.raises(InputError, match="split: found 1 pixels without data"):
        Run.create(config, tmp_path / "run", scene=scene, split=split)


def test_one_class_is_nothing_to_tell_apart(config, tmp_path):
    scene = Scene.from_arrays(field().cube, (field().labels == 1).astype(int))
    with pytest.raises(InputError, match=r"found one class .* expected two or more to tell apart"):
        Run.create(config, tmp_path / "run", scene=scene)


def test_small_classes_are_left_out_when_asked(config, tmp_path, capsys):
    scene = load_scene("synthetic:24x24x16")
    counts = np.bincount(scene.labels.ravel())[1:]
    limit = int(np.sort(counts)[1]) + 1
    options = replace(config, split=SplitConfig(drop_small_classes=limit))
    run = Run.create(options, tmp_path / "run")
    gone = [name for name, count in zip(scene.class_names, counts, strict=True) if count < limit]
    assert run.scene.class_names == tuple(n for n in scene.class_names if n not in gone)
    assert (run.scene.labels > 0).sum() == counts[counts >= limit].sum()
    assert f"left out {', '.join(gone)}: fewer than {limit} pixels" in capsys.readouterr().err
    run.write()
    assert Run.open(run.path).scene.digest == run.scene.digest != scene.digest
    given = Run.create(options, tmp_path / "given", scene=scene)
    given.write()
    assert Run.open(given.path).scene.class_names == run.scene.class_names


def test_a_small_island_of_data_is_mapped(mapped):
    cube = np.full((200, 190, 16), np.nan, np.float32)
    cube[101:103, 101:103] = field().cube[5, 5]
    found, said = mapped(cube)
    assert np.argwhere(found).tolist() == [[101, 101], [101, 102], [102, 101], [102, 102]]
    assert said.count("\n") == 0


@pytest.mark.parametrize("shape", [(500, 4), (500, 3), (40, 1)])
def test_training_pixels_do_not_deviate_from_themselves(shape):
    train = np.random.default_rng(0).normal(5, 1, shape)
    found = Deviation.of(train, train)
    assert found.level == 0
    assert found.ratio == 1
    assert found.shape <= 1
    assert found.in_units


def test_json_stays_json(config, tmp_path, capsys):
    cube = field().cube.copy()
    cube[0] = np.nan
    labels = field().labels.copy()
    Scene.from_arrays(cube, labels).save(tmp_path / "scene.npz")
    capsys.readouterr()
    options = [
        "--cnn-epochs",
        "1",
        "--quantized-epochs",
        "1",
        "--model",
        "cnn32h",
        "--widths",
        "2",
        "2",
        "2",
        "2",
    ]
    main(["train", "--scene", str(tmp_path / "scene.npz"), *options, "--json",
          "--output", str(tmp_path / "run")])  # fmt: skip
    assert json.loads(capsys.readouterr().out)
