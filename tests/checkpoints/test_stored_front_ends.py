"""Normalisations with a matrix and forms of the spectrum, through a checkpoint and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from snnquant.checkpoints import Checkpoint, load_checkpoint, read_header, save_checkpoint
from snnquant.checkpoints.tensorfile import read_tensors, write_tensors
from snnquant.config import ModelConfig
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.sampling import Normalisation
from snnquant.scenes import Scene

ALL = "raw+snv+log-derivative"


def checkpoint_of_spectra(scene: Scene, spectra: str, scaling: str) -> Checkpoint:
    pixels = np.flatnonzero(scene.labels)
    normalisation = Normalisation.fit(scene, pixels, 0, scaling, spectra)
    config = ModelConfig(name="cnn1x1", window=3, spectra=spectra)
    torch.manual_seed(0)
    network = build_model(config, scene.bands, scene.classes).eval()
    identity = (scene.bands, scene.classes, normalisation, scene.digest, "split")
    return Checkpoint(network, config, *identity)


@pytest.mark.parametrize("scaling", ["standard", "within-class", "within-class:0.01"])
@pytest.mark.parametrize("spectra", ["raw", "snv", "log-derivative", "log-derivative+raw", ALL])
def test_a_normalisation_comes_back_bit_for_bit(
    spectra: str, scaling: str, scene: Scene, tmp_path: Path
) -> None:
    saved, path = checkpoint_of_spectra(scene, spectra, scaling), tmp_path / "network.safetensors"
    save_checkpoint(path, saved)
    before, read = saved.normalisation, load_checkpoint(path)
    after = read.normalisation
    assert (after.spectra, after.scaling, after.floor) == (spectra, before.scaling, before.floor)
    assert before.scaling == {"within-class": "within-class:0.001"}.get(scaling, scaling)
    assert (after.floor > 0) == ("log-derivative" in spectra)
    np.testing.assert_array_equal(after.apply(scene.cube), before.apply(scene.cube))
    values = torch.from_numpy(after.apply(scene.cube[:3, :3]).transpose(2, 0, 1).copy())[None, None]
    with torch.no_grad():
        assert torch.equal(read.network(values), saved.network(values))


@pytest.mark.parametrize(
    "name", ["mean", "components", "floor"], ids=lambda name: f"without its {name}"
)
def test_a_file_without_a_part_of_the_front_end_is_refused(
    name: str, scene: Scene, tmp_path: Path
) -> None:
    path = tmp_path / "network.safetensors"
    save_checkpoint(path, checkpoint_of_spectra(scene, ALL, "within-class"))
    tensors, header = read_tensors(path)
    del tensors[f"normalisation.{name}"]
    write_tensors(path, tensors, header)
    with pytest.raises(InputError, match=r"network\.safetensors") as refusal:
        load_checkpoint(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("bits", [2, 8, 14])
def test_a_grid_of_pixels_comes_back_bit_for_bit(bits: int, scene: Scene, tmp_path: Path) -> None:
    plain = checkpoint_of_spectra(scene, "raw", "within-class")
    pixels = np.flatnonzero(scene.labels)
    saved = replace(plain, normalisation=plain.normalisation.on_grid(scene.cube, pixels, bits))
    path = tmp_path / "network.safetensors"
    save_checkpoint(path, saved)
    read = load_checkpoint(path)
    assert read.grid == saved.grid == read_header(path).grid
    assert read.normalisation.bits == bits
    values = saved.normalisation.apply(scene.cube)
    np.testing.assert_array_equal(read.normalisation.apply(scene.cube), values)


def test_a_file_of_floating_point_pixels_names_no_grid(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_checkpoint(path, checkpoint_of_spectra(scene, "raw", "standard"))
    assert "pixel_grid" not in read_tensors(path)[1]
    assert load_checkpoint(path).grid is None


@pytest.mark.parametrize(
    "grid",
    [{"bits": 99, "step": 0.1, "signed": True}, {"bits": 8, "step": -1, "signed": True}, {"a": 1}],
)
def test_a_grid_that_is_none_is_refused(grid: object, scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_checkpoint(path, checkpoint_of_spectra(scene, "raw", "standard"))
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"pixel_grid": grid})
    with pytest.raises(InputError, match=r"network\.safetensors: header not usable") as refusal:
        load_checkpoint(path)
    assert "\n" not in str(refusal.value)


def test_a_matrix_for_other_forms_is_refused(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_checkpoint(path, checkpoint_of_spectra(scene, ALL, "within-class"))
    tensors, header = read_tensors(path)
    header["model"]["spectra"] = "raw"
    write_tensors(path, tensors, header)
    with pytest.raises(InputError, match=r"bands: found 12, expected one for each of 36 means"):
        load_checkpoint(path)
