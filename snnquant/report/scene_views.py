"""Arrays that the page of a run shows of its scene: maps, split, scores, example spikes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from snnquant.sampling import Split
from snnquant.scenes import Scene
from snnquant.stored_networks import Network

Map = NDArray[np.integer]
Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spikes of the SNN: rates by layer and step, and a raster per example pixel."""

    rates: Mapping[str, tuple[float, ...]]
    """Spikes per neuron, one number per step, by LIF layer; a mean over `pixels` test pixels."""
    pixels: int
    """Test pixels of the mean."""
    layer: str
    """LIF layer of the rasters, the last one."""
    rasters: Mapping[int, NDArray[np.bool_]]
    """Spikes [T, neurons] by class number, of one test pixel per class, classified
    rightly where one is."""
    places: Mapping[int, tuple[int, int]]
    """Row and column of that pixel, by class number."""
    potentials: Mapping[int, Floats] = field(default_factory=dict)
    """Potentials [T, neurons] of these neurons at the end of each step, in thresholds, by class
    number; empty for neurons that are no plain LIF."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels that the quantized weights of a layer use."""

    layer: str
    bits: int
    """Bits per weight."""
    codes: NDArray[np.int64]
    """Whole levels in use, rising; 0 is the weight 0."""
    counts: NDArray[np.int64]
    """Weights per level."""


@dataclass(frozen=True, eq=False)
class SceneViews:
    """Maps, split and measurements of a scene; class numbers are 0 for none and k for class k - 1.

    >>> from snnquant.scenes import load_scene
    >>> scene, pixels = load_scene("synthetic:12x12x8"), np.arange(9)
    >>> split = Split(pixels[:3], pixels[3:4], pixels[4:], protocol="random", seed=0)
    >>> views = SceneViews(scene, split, main=Network.CNN_FP32)
    >>> int((views.roles == 1).sum()), views.classes is None
    (3, True)
    """

    scene: Scene
    split: Split
    main: Network
    """Network of the maps below: the last that the run has."""
    maps: Mapping[Network, Map] = field(default_factory=dict)
    """Class numbers [H, W] by network."""
    smoothed: Map | None = None
    """Smoothed class numbers [H, W]; None where nothing is smoothed."""
    known: Map | None = None
    """The same without the pixels that are left unknown; None where all are known."""
    confidence: Floats | None = None
    """Calibrated probability [H, W] of the smoothed class, 0 to 1."""
    best: Map | None = None
    """Class numbers [H, W, 3] of the most probable classes."""
    probabilities: Floats | None = None
    """Their calibrated probabilities [H, W, 3]."""
    by_step: tuple[Map, ...] = ()
    """Class numbers [H, W] of the SNN after 1, 2, ... T steps."""
    distance: Floats | None = None
    """Distance [H, W] of the spectra from the training pixels, 1 typical of them."""
    spikes: Spikes | None = None
    levels: tuple[Levels, ...] = ()
    """Levels of the main network's weights, by layer; empty in floating point."""

    @property
    def classes(self) -> Map | None:
        """Class numbers [H, W] of the main network, if it was run."""
        return self.maps.get(self.main)

    @property
    def roles(self) -> NDArray[np.uint8]:
        """Role [H, W] of pixels: 1 training, 2 validation, 3 test, 4 labelled but in none."""
        shape = self.scene.labels.shape
        roles = np.where(self.scene.labels.ravel() > 0, 4, 0).astype(np.uint8)
        for role, pixels in enumerate((self.split.train, self.split.val, self.split.test), 1):
            roles[pixels] = role
        return roles.reshape(shape)

    @property
    def steps(self) -> NDArray[np.uint8] | None:
        """Step [H, W] from which on the class stays that of the last step; 0 without data."""
        if len(self.by_step) < 2:
            return None
        last = self.by_step[-1]
        steps = np.full(last.shape, len(self.by_step), np.uint8)
        settled = np.ones(last.shape, bool)
        for step in range(len(self.by_step) - 1, 0, -1):
            settled &= self.by_step[step - 1] == last
            steps[settled] = step
        return np.where(last > 0, steps, 0).astype(np.uint8)

    def reliability(self, bins: int = 15) -> list[tuple[float, float, int]]:
        """Return mean confidence, accuracy and number of the test pixels of each bin with any."""
        classes = self.smoothed if self.smoothed is not None else self.classes
        if self.confidence is None or classes is None:
            return []
        confidence = self.confidence.ravel()[self.split.test]
        right = (classes.ravel() == self.scene.labels.ravel())[self.split.test]
        number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
        found = []
        for k in range(bins):
            inside = number == k
            if inside.any():
                means = float(confidence[inside].mean()), float(right[inside].mean())
                found.append((*means, int(inside.sum())))
        return found
