"""Layout and scaling of the pixels that an imported CNN was trained with, found by accuracy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.checkpoints import load_checkpoint
from snnquant.importers.user_code import build_from_code
from snnquant.pipeline.run import Run
from snnquant.scenes import load_scene

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

BANDS, CLASSES, WINDOW = 16, 3, 5
NETS = """
import torch
from torch import nn


class Plane(nn.Module):
    def __init__(self, bands, n_classes, pooled=False):
        super().__init__()
        pool = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.net = nn.Sequential(
            nn.Conv2d(bands, 12, 2), nn.ReLU(), pool, nn.Flatten(),
            nn.Linear(12 * (4 if pooled else 16), n_classes)
        )

    def forward(self, x):
        return self.net(x)


class Pooled(Plane):
    def __init__(self, bands, n_classes):
        super().__init__(bands, n_classes, pooled=True)


class Dense(nn.Module):
    def __init__(self, bands, n_classes):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(bands * 25, 12), nn.ReLU(), nn.Linear(12, n_classes))

    def forward(self, x):
        return self.net(x.flatten(1))


class Spectrum(nn.Module):
    def __init__(self, bands, n_classes):
        super().__init__()
        self.conv = nn.Conv3d(1, 6, (1, 1, 7))
        self.fc = nn.Linear(6 * 25 * (bands - 6), n_classes)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).flatten(1))


class Pair(Plane):
    def forward(self, x):
        logits = self.net(x)
        return logits * 2, x.mean((1, 2, 3)), logits


class Wide(Plane):
    def __init__(self, bands, n_classes):
        super().__init__(bands, n_classes + 1)
"""
Scale = Callable[[np.ndarray], np.ndarray]
View = Callable[[Tensor], Tensor]
LAYOUTS: dict[str, View] = {
    "N, bands, window, window": lambda x: x.permute(0, 3, 1, 2),
    "N, window, window, bands": lambda x: x,
    "N, 1, window, window, bands": lambda x: x[:, None],
    "N, pixels, bands": lambda x: x.flatten(1, 2),
}


def _band_wise(cube: np.ndarray) -> np.ndarray:
    low, high = cube.min((0, 1)), cube.max((0, 1))
    scaled: np.ndarray = (cube - low) / (high - low)
    return scaled


SCALES: dict[str, Scale] = {
    "none": lambda cube: cube,
    "minmax": lambda cube: (cube - cube.min()) / (cube.max() - cube.min()),
    "minmax-band": _band_wise,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nets.py and a scene whose bands have other offsets and spreads."""
    random = np.random.default_rng(0)
    labels = np.zeros((30, 26), np.uint8)
    for k in range(CLASSES):
        labels[1:-1, 1 + 8 * k : 9 + 8 * k] = k + 1
    spectra = random.random((CLASSES + 1, BANDS))
    cube = spectra[labels] + 0.2 * random.standard_normal((*labels.shape, BANDS))
    cube = cube * random.uniform(0.5, 3, BANDS) + random.uniform(-1, 2, BANDS)
    np.save(tmp_path / "cube.npy", cube.astype(np.float32))
    np.save(tmp_path / "labels.npy", labels)
    classes = "".join(f'[[classes]]\nname = "class {k}"\n' for k in range(CLASSES))
    card = '[cube]\nfile = "cube.npy"\n[labels]\nfile = "labels.npy"\n' + classes
    (tmp_path / "card.toml").write_text(card)
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _train(name: str, scale: Scale, view: View, folder: Path, offset: int = 0) -> nn.Module:
    """Train a class of nets.py on the scene's training pixels and write its weights."""
    scene = load_scene(folder / "card.toml")
    torch.manual_seed(0)
    network, _ = build_from_code(str(folder / "nets.py") + f":{name}", BANDS, CLASSES, WINDOW)
    x, y = _patches(scale(scene.cube), scene.labels)
    x, y = view(x), y + offset
    optimiser = torch.optim.Adam(network.parameters(), 0.005)
    network.train()
    for _ in range(120):
        some = torch.randint(len(x), (64,))
        optimiser.zero_grad()
        output: Any = network(x[some])
        logits = output[2] if isinstance(output, tuple) else output
        nn.functional.cross_entropy(logits, y[some]).backward()
        optimiser.step()
    torch.save(network.eval().state_dict(), folder / "w.pt")
    return network


def _patches(cube: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return patches [N, w, w, B] of the labelled pixels, and their classes from 0."""
    m = WINDOW // 2
    padded = np.pad(cube, ((m, m), (m, m), (0, 0)), mode="reflect")
    x = np.stack([padded[i : i + WINDOW, j : j + WINDOW] for i, j in np.argwhere(labels)])
    return torch.from_numpy(x).float(), torch.from_numpy(labels[labels > 0].astype(int) - 1)


def _accuracy(network: nn.Module, scale: Scale, view: View, run: Run) -> float:
    """Return the accuracy on the run's test pixels in plain torch."""
    x, y = _patches(scale(run.scene.cube), run.scene.labels)
    places = np.flatnonzero(run.scene.labels.reshape(-1))
    test = torch.from_numpy(np.isin(places, run.split.test))
    with torch.no_grad():
        output: Any = network(view(x[test]))
        logits = output[2] if isinstance(output, tuple) else output
        return float((logits[:, -CLASSES:].argmax(1) == y[test]).float().mean())


def _convert(snnquant: Command, name: str, *more: str) -> Any:
    options = ("--architecture", f"nets.py:{name}", "--trust-code", "--scene", "card.toml")
    pixels = ("--pixel-bits", "32")  # as torch has them
    return snnquant("convert", "w.pt", *options, *pixels, "--output", "run", "--json", *more)


@pytest.mark.parametrize("name", ["Plane", "Pooled"])
@pytest.mark.parametrize("scaling", SCALES)
def test_the_scaling_is_found_and_the_accuracy_that_of_torch(
    name: str, scaling: str, here: Path, snnquant: Command
) -> None:
    view = LAYOUTS["N, bands, window, window"]
    network = _train(name, SCALES[scaling], view, here)
    outcome = _convert(snnquant, name)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)["cnn_fp32"]["oa"]
    expected = _accuracy(network, SCALES[scaling], view, Run.open(here / "run"))
    assert expected > 0.8
    assert found == pytest.approx(expected, abs=0.001)
    assert f"pixels scaled as {scaling} (--scaling): right on" in outcome.err
    assert load_checkpoint(here / "run" / "cnn.safetensors").scaling == scaling


def test_a_scaling_that_is_asked_for_stays_and_a_better_one_is_said(
    here: Path, snnquant: Command
) -> None:
    _train("Plane", _band_wise, LAYOUTS["N, bands, window, window"], here)
    outcome = _convert(snnquant, "Plane", "--scaling", "none")
    assert outcome.code == 0, outcome.err
    assert load_checkpoint(here / "run" / "cnn.safetensors").scaling == "none"
    assert "is clearly better than the none asked for" in outcome.err


def test_a_file_of_a_scaling(here: Path, snnquant: Command) -> None:
    scene = load_scene(here / "card.toml")
    low, high = scene.cube.min((0, 1)), scene.cube.max((0, 1))
    np.savez(here / "own.npz", min=low, max=high)
    view = LAYOUTS["N, bands, window, window"]
    network = _train("Plane", _band_wise, view, here)
    outcome = _convert(snnquant, "Plane", "--scaling", "own.npz")
    assert outcome.code == 0, outcome.err
    (here / "own.npz").unlink()
    run = Run.open(here / "run")
    found = json.loads(outcome.out)["cnn_fp32"]["oa"]
    assert found == pytest.approx(_accuracy(network, _band_wise, view, run), abs=0.001)
    np.testing.assert_allclose(run.scaled("own.npz").mean, low)


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        ("bands", "--scaling: found 'bands', expected auto, standard"),
        ("divide:0", "--scaling: found 'divide:0'"),
        ("missing.npz", "--scaling: missing.npz: No such file"),
        ("short.npz", "mean: found float64 of shape (3,), expected 16 finite numbers"),
        ("other.npz", "found a, expected mean and std, or min and max"),
        ("flat.npz", "found a band without any spread"),
    ],
)
def test_wrong_scalings_are_one_line(
    scaling: str, words: str, here: Path, snnquant: Command
) -> None:
    np.savez(here / "short.npz", mean=np.zeros(3), std=np.ones(3))
    np.savez(here / "other.npz", a=np.zeros(3))
    np.savez(here / "flat.npz", mean=np.zeros(16), std=np.zeros(16))
    outcome = snnquant("train", "--scene", "card.toml", "--scaling", scaling)
    assert outcome.code == 2
    assert words in outcome.err.splitlines()[-1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_where_several_layouts_fit_accuracy_decides(
    layout: str, here: Path, snnquant: Command
) -> None:
    """A network that flattens its input takes any layout."""
    network = _train("Dense", _band_wise, LAYOUTS[layout], here)
    outcome = _convert(snnquant, "Dense", "--scaling", "minmax-band")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)["cnn_fp32"]["oa"]
    expected = _accuracy(network, _band_wise, LAYOUTS[layout], Run.open(here / "run"))
    assert found == pytest.approx(expected, abs=0.001)
    assert "(--layout)" in outcome.err


def test_bands_last_after_an_axis_of_one(here: Path, snnquant: Command) -> None:
    layout = "N, 1, window, window, bands"
    network = _train("Spectrum", _band_wise, LAYOUTS[layout], here)
    for option in ((), ("--layout", "N,1,h,w,B")):
        outcome = _convert(snnquant, "Spectrum", "--scaling", "minmax-band", *option)
        assert outcome.code == 0, outcome.err
        assert f"takes patches as [{layout}]" in outcome.err
        run = Run.open(here / "run")
        found = json.loads(outcome.out)["cnn_fp32"]["oa"]
        expected = _accuracy(network, _band_wise, LAYOUTS[layout], run)
        assert found == pytest.approx(expected, abs=0.001)
        (here / "run").rename(here / f"run{len(option)}")
    wrong = _convert(snnquant, "Spectrum", "--layout", "N,h,B")
    assert wrong.code == 2
    assert "--layout: found 'N,h,B'" in wrong.err.splitlines()[-1]


def test_an_output_for_unlabelled_pixels_is_left_out(here: Path, snnquant: Command) -> None:
    view = LAYOUTS["N, bands, window, window"]
    network = _train("Wide", _band_wise, view, here, offset=1)
    outcome = _convert(snnquant, "Wide")
    assert outcome.code == 0, outcome.err
    assert "4 outputs for 3 classes: the first, for unlabelled pixels" in outcome.err
    found = json.loads(outcome.out)
    expected = _accuracy(network, _band_wise, view, Run.open(here / "run"))
    assert found["cnn_fp32"]["oa"] == pytest.approx(expected, abs=0.001)
    assert [layer["name"] for layer in found["model"]["layers"]] == ["net_0", "net_4"]


def test_one_of_several_results_is_taken_when_asked_for(here: Path, snnquant: Command) -> None:
    view = LAYOUTS["N, bands, window, window"]
    network = _train("Pair", _band_wise, view, here)
    refused = _convert(snnquant, "Pair")
    assert refused.code == 2
    line = refused.err.splitlines()[-1]
    assert "found a tuple of shapes (3, 3), (3,), (3, 3), expected one tensor of logits" in line
    assert "--logits 0 takes that of shape (3, 3)" in line
    outcome = _convert(snnquant, "Pair", "--logits", "2")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)["cnn_fp32"]["oa"]
    expected = _accuracy(network, _band_wise, view, Run.open(here / "run"))
    assert found == pytest.approx(expected, abs=0.001)
