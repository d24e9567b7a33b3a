"""No-data pixels, bad bands and scale factors leave the accuracy on clean pixels as it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from snnquant.config import ModelConfig, RunConfig, TrainingConfig
from snnquant.pipeline import whole_run
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import draw_map
from snnquant.scenes import Scene, load_scene

LEARN = RunConfig(
    model=ModelConfig(name="cnn32h", widths=(4, 8, 16, 16)),
    training=TrainingConfig(cnn_epochs=30, quantized_epochs=2, snn_epochs=20),
)
HALF_A_POINT = 0.005
needs_data = pytest.mark.skipif(
    not os.environ.get("SNNQUANT_DATA"), reason="SNNQUANT_DATA is not set"
)


def stripes() -> tuple[np.ndarray, np.ndarray]:
    """Return a cube of integers and labels in upright stripes, the upper 8 rows unlabelled."""
    random = np.random.default_rng(0)
    labels = np.zeros((30, 30), np.int64)
    labels[8:29, 1:29] = 1 + np.arange(28) // 10
    spectra = random.random((4, 24))
    cube = spectra[labels] + 0.03 * random.standard_normal((30, 30, 24))
    return np.round(10000 * cube).astype(np.int16), labels


def salinas() -> tuple[np.ndarray, np.ndarray]:
    scene = load_scene("salinas_a")
    labels = np.where(np.arange(83)[:, None] < 28, 0, scene.labels)
    numbers, renumbered = np.unique(labels, return_inverse=True)
    assert numbers[0] == 0
    return scene.cube.astype(np.int16), renumbered.reshape(labels.shape)


def accuracy(scene: Scene, folder: Path) -> tuple[Run, dict[str, float]]:
    run = Run.create(LEARN, folder, scene=scene)
    metrics = whole_run.run_all(run)
    return run, {name: metrics.networks[name].oa for name in ("cnn_fp32", "snn_trained")}


@pytest.mark.parametrize(
    "data", [stripes, pytest.param(salinas, marks=[needs_data, pytest.mark.slow])]
)
def test_gaps_bad_bands_and_scales_change_nothing_elsewhere(data, make_scene_files, tmp_path):
    cube, labels = data()
    top = int(np.flatnonzero(labels.any(axis=1))[0])
    edge = np.arange(len(cube)) < top
    clean = make_scene_files("clean", cube, labels)
    run, expected = accuracy(clean, tmp_path / "clean_run")
    gaps, inside = cube.copy(), cube.astype(np.float32)
    gaps[edge] = -9999
    inside[edge] = np.nan
    declared = make_scene_files("edge", gaps, labels, ["data ignore value = -9999"])
    np.testing.assert_array_equal(declared.valid, ~edge[:, None] & np.ones(labels.shape, bool))
    np.testing.assert_array_equal(make_scene_files("nan", inside, labels).cube, declared.cube)
    edged, found = accuracy(declared, tmp_path / "edge_run")
    assert not np.load(edged.path / "map.npy")[edge].any()
    for name, oa in expected.items():
        assert abs(found[name] - oa) <= HALF_A_POINT, name

    noisy = np.insert(cube, [3, 3, 9], 32000, axis=2)
    marks = np.insert(np.ones(cube.shape[2], int), [3, 3, 9], 0)
    bad = make_scene_files("bad", noisy, labels, [f"bbl = {{{', '.join(map(str, marks))}}}"])
    np.testing.assert_array_equal(bad.cube, clean.cube)

    in_file = tmp_path / "clean.hdr"
    scaled = tmp_path / "scaled.hdr"
    scaled.write_text(in_file.read_text() + "reflectance scale factor = 0.1\n")
    (tmp_path / "scaled.img").write_bytes((cube // 10).astype(np.int16).tobytes())
    draw_map(run, file=scaled)
    whole, mapped = np.load(run.path / "map.npy"), np.load(run.path / "map_scaled.npy")
    assert (mapped == whole)[labels > 0].mean() >= 1 - HALF_A_POINT


@pytest.fixture
def make_scene_files(tmp_path, write_envi):
    """Write a cube as ENVI beside a card; return the scene."""

    def build(name: str, cube: np.ndarray, labels: np.ndarray, lines=()) -> Scene:
        write_envi(tmp_path / f"{name}.hdr", cube, lines=lines, interleave="bip")
        np.save(tmp_path / "labels.npy", labels)
        classes = "".join(f'[[classes]]\nname = "class {k}"\n' for k in range(1, labels.max() + 1))
        card = tmp_path / f"{name}.toml"
        card.write_text(f'[cube]\nfile = "{name}.hdr"\n[labels]\nfile = "labels.npy"\n{classes}')
        return load_scene(card)

    return build
