"""Synthetic scenes of any size: fields of a few materials, seen by an imperfect spectrometer.

A pixel's reflectance is

    r(p, λ) = g(p) · [(1 − m) · s₁(λ) + m · s₂(λ)] + n(p, λ)

with s₁, s₂ the spectra of its own and of the nearest other parcel, m ≤ 1/2 the mixing, which falls
off with the distance to the border between the two, g a smooth illumination, and n sensor noise. A
parcel's spectrum is its class's (a continuum less Gaussian absorption features) with its own
brightness and tilt. All draws come from one seed; another number changes only g, n and the light's
own brightness and tilt.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.scene import Scene

Floats = NDArray[np.float32]

_VERSION = 1
"""Part of the digest: raise it when the same name starts to give other pixels."""
_SPEC = re.compile(r"synthetic:(\d+)x(\d+)x(\d+)(?::(\d+)(?::(\d+))?)?")
_MIN_SHAPE = (8, 8, 4)
_PARCEL_SIDE = 16
_GAIN, _TILT = (0.7, 1.3), (-0.2, 0.2)
"""Brightness of another light in the middle of the spectrum, and its change to either end."""
_MIXING_WIDTH = 1.0
"""Difference of the distances to two parcel centres, in pixels, at which mixing falls to 1/(2e)."""
_UNLABELLED_PARCELS = 0.3
_UNLABELLED_MIXING = 0.35
"""Mixing above which pixels stay unlabelled, as a surveyor would leave the field's edge out."""
_WATER_NM = (1400.0, 1900.0)
_NOISE = (0.005, 0.05)
"""Standard deviation of the noise away from the water bands and at their centres (reflectance)."""
_CHUNK_VALUES = 1 << 22
"""Cube values processed at a time, so that memory beside the cube stays near 100 MB."""
_NAMES = ("Soil", "Corn", "Grass", "Forest", "Wheat", "Asphalt", "Gravel", "Roof")
_COLOURS = (
    *("#8c6d31", "#ffb000", "#7fc97f", "#0b5c2a"),
    *("#f781bf", "#555555", "#9ecae1", "#e41a1c"),
)


@dataclass(frozen=True)
class _Parcels:
    centres: NDArray[np.float64]
    """[P, 2] row and column in pixels."""
    classes: NDArray[np.int64]
    """[P] 0..K-1."""
    labelled: NDArray[np.bool_]
    """[P]."""
    spectra: Floats
    """[P, B] reflectance."""


def synthetic_scene(name: str) -> Scene:
    """Make the scene that a name describes; the same name gives the same scene.

    Bands lie evenly from 400 to 2500 nm. Small scenes have fewer than the 8 classes, whose size
    falls from the first to the last.

    Args:
        name: "synthetic:HxWxB" or "synthetic:HxWxB:SEED", seed 0 otherwise; H and W at least 8
            pixels, B at least 4 bands. "synthetic:HxWxB:SEED:LIGHT" has the fields and labels of
            that seed under another light, by a number from 1; 0 is the light of the seed.

    Returns:
        The scene, its cube in reflectance.

    Raises:
        InputError: The name has another form, or the scene is too small or too large for memory.

    >>> scene = synthetic_scene("synthetic:20x16x8:3")
    >>> scene.cube.shape, scene.classes, scene.class_names[0]
    ((20, 16, 8), 8, 'Soil')
    """
    match = _SPEC.fullmatch(name)
    if match is None:
        raise InputError(
            f"scene: found {name}, expected synthetic:HxWxB or synthetic:HxWxB:SEED[:LIGHT]"
        )
    height, width, bands, seed, light = (int(number or 0) for number in match.groups())
    if any(n < low for n, low in zip((height, width, bands), _MIN_SHAPE, strict=True)):
        raise InputError(f"scene: found {name}, expected at least {'x'.join(map(str, _MIN_SHAPE))}")
    full_name = f"synthetic:{height}x{width}x{bands}:{seed}" + (f":{light}" if light else "")
    wavelengths = np.linspace(400.0, 2500.0, bands)
    random = np.random.default_rng(seed)
    try:
        cube = np.empty((height, width, bands), dtype=np.float32)
        labels = np.empty((height, width), dtype=np.int64)
    except (MemoryError, ValueError) as error:
        raise InputError(f"scene: found {name}, expected one that fits into memory") from error
    parcels = _lay_out(random, height, width, wavelengths)
    if light:
        random = np.random.default_rng((seed, light))
        brightness = random.uniform(*_GAIN) + random.uniform(*_TILT) * _position(wavelengths)
        parcels = replace(parcels, spectra=(parcels.spectra * brightness).astype(np.float32))
    _paint(random, cube, labels, parcels, wavelengths)
    classes = int(parcels.classes.max()) + 1
    return Scene(
        name=full_name,
        cube=cube,
        labels=labels,
        class_names=_NAMES[:classes],
        colours=_COLOURS[:classes],
        wavelengths_nm=wavelengths,
        digest=hashlib.sha256(f"{full_name} version {_VERSION}".encode()).hexdigest(),
    )


def _lay_out(
    random: np.random.Generator, height: int, width: int, wavelengths: NDArray[np.float64]
) -> _Parcels:
    """Place parcels on a jittered grid; each class has at least one labelled parcel."""
    classes = min(len(_NAMES), height * width // 32)
    side = min(_PARCEL_SIDE, int(np.sqrt(height * width / (2 * classes))))
    rows, columns = max(2, round(height / side)), max(2, round(width / side))
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
    # A quarter of a cell either way keeps centres half a cell apart, so no parcel is squeezed out.
    jitter = random.uniform(0.25, 0.75, size=(rows, columns, 2))
    centres = (grid + jitter).reshape(-1, 2) * (height / rows, width / columns)
    count = len(centres)
    shares = 1.0 / np.arange(1, classes + 1)
    kinds = random.choice(classes, size=count, p=shares / shares.sum())
    labelled = random.random(count) >= _UNLABELLED_PARCELS
    one_each = random.permutation(count)[:classes]
    kinds[one_each] = np.arange(classes)
    labelled[one_each] = True
    return _Parcels(centres, kinds, labelled, _parcel_spectra(random, kinds, wavelengths))


def _parcel_spectra(
    random: np.random.Generator, kinds: NDArray[np.int64], wavelengths: NDArray[np.float64]
) -> Floats:
    """Return [P, B]: the class's spectrum times the parcel's own brightness and tilt."""
    position = _position(wavelengths)
    spectra = np.empty((int(kinds.max()) + 1, len(wavelengths)))
    for spectrum in spectra:
        level, slope, bend = random.uniform((0.25, -0.1, -0.1), (0.5, 0.1, 0.1))
        spectrum[:] = level + slope * position + bend * position**2
        features = random.integers(3, 7)
        centres = np.concatenate([random.uniform(400.0, 2500.0, features), _WATER_NM])
        widths = random.uniform(20.0, 150.0, len(centres))
        depths = random.uniform(0.05, 0.4, len(centres))
        for centre, spread, depth in zip(centres, widths, depths, strict=True):
            spectrum *= 1 - depth * np.exp(-0.5 * ((wavelengths - centre) / spread) ** 2)
    brightness = random.normal(1.0, 0.04, size=(len(kinds), 1))
    tilt = random.normal(0.0, 0.03, size=(len(kinds), 1))
    return (spectra[kinds] * (brightness + tilt * position)).astype(np.float32)


def _position(wavelengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -1 at 400 nm to 1 at 2500 nm."""
    return (wavelengths - 1450.0) / 1050.0


def _paint(
    random: np.random.Generator,
    cube: Floats,
    labels: NDArray[np.int64],
    parcels: _Parcels,
    wavelengths: NDArray[np.float64],
) -> None:
    """Fill cube and labels in place, some rows at a time."""
    from scipy.spatial import cKDTree

    height, width, bands = cube.shape
    tree = cKDTree(parcels.centres)
    water = np.exp(-0.5 * ((wavelengths[:, None] - _WATER_NM) / 60.0) ** 2).sum(axis=1)
    noise = (_NOISE[0] + (_NOISE[1] - _NOISE[0]) * water).astype(np.float32)
    waves = random.uniform((-3.0, -3.0, 0.0), (3.0, 3.0, 2 * np.pi), size=(4, 3))
    step = max(1, _CHUNK_VALUES // (width * bands))
    for start in range(0, height, step):
        rows = np.arange(start, min(start + step, height))
        points = np.stack(np.meshgrid(rows, np.arange(width), indexing="ij"), axis=-1) + 0.5
        distances, nearest = tree.query(points, k=2)
        own, other = nearest[..., 0], nearest[..., 1]
        mixing = 0.5 * np.exp((distances[..., 0] - distances[..., 1]) / _MIXING_WIDTH)
        light = _illumination(points / (height, width), waves)
        part = cube[rows[0] : rows[-1] + 1]
        random.standard_normal(dtype=np.float32, out=part)
        part *= noise
        for parcel, share in ((own, 1.0 - mixing), (other, mixing)):
            part += (share * light).astype(np.float32)[..., None] * parcels.spectra[parcel]
        known = parcels.labelled[own] & (mixing <= _UNLABELLED_MIXING)
        labels[rows] = np.where(known, parcels.classes[own] + 1, 0)


def _illumination(place: NDArray[np.float64], waves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 0.7 to 1.3: four cosines of up to three periods; `place` is 0..1 each way."""
    phases = 2 * np.pi * (place @ waves[:, :2].T) + waves[:, 2]
    light: NDArray[np.float64] = 1.0 + 0.3 * np.cos(phases).mean(axis=-1)
    return light
