"""The cube of another file, brought to the bands and units of a training scene and compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.inference import Cube
from snnquant.scenes import Scene
from snnquant.scenes.card import Card
from snnquant.scenes.cube_file import cube_header, open_cube
from snnquant.scenes.known import load_card
from snnquant.scenes.locate import obtain_file
from snnquant.scenes.pixels import PixelRules, listed, remark, undeclared_remark
from snnquant.scenes.readers import CubeHeader, read_header

Floats = NDArray[np.float64]

LEVEL, RATIOS, SHAPE = 4.0, (0.05, 5.0), 3.0
"""Bounds beyond which a cube is remarked on. Parts of one scene stay within them: single classes of
Indian Pines, Salinas-A and Pavia University lie up to 2.9 sigma in level and 2.6 in shape."""
UNLIKE, UNLIKE_SHAPE = 0.3, 2.0
"""Correlation below which the bound of the shape is lower; it may be low within a scene, too."""
_SIDE = 64
"""Rows and columns of the sample of pixels that are compared."""
_PIXELS = 4096
"""Pixels that are compared: of training, and of another scene."""


@dataclass(frozen=True)
class Deviation:
    """Distance of a cube's pixels from the training pixels.

    >>> train = np.random.default_rng(0).normal(5, 1, (500, 4))
    >>> round(Deviation.of(train + 3, train).level)
    3
    """

    level: float
    """Median over the bands of the distance between the medians, in standard deviations of the
    training pixels."""
    shape: float
    """Median distance of the spectra from the principal components that hold 99 % of the variance,
    in median distances of the training pixels; brightness set apart where that is nearer."""
    ratio: float
    """Median over the bands of the ratio between the medians."""
    correlation: float
    """Correlation over the bands between the medians; 1 where it says nothing."""

    @classmethod
    def of(cls, pixels: Floats, train: Floats) -> Deviation:
        """Compare pixels [M, B] with training pixels [N, B]."""
        if not len(pixels):  # gaps everywhere that was looked at
            return cls(0.0, 0.0, 1.0, 1.0)
        deviations = train.std(axis=0)
        deviations[deviations == 0] = 1
        middle, own = np.median(train, axis=0), np.median(pixels, axis=0)
        usable = middle != 0
        ratio = float(np.median(own[usable] / middle[usable])) if usable.any() else 1.0
        scores = (train - middle) / deviations
        variances, axes = np.linalg.eigh(scores.T @ scores)
        share = np.cumsum(variances[::-1]) / max(variances.sum(), 1e-300)
        rest = axes[:, : max(len(share) - 1 - int(np.searchsorted(share, 0.99)), 0)]

        def distance(spectra: Floats) -> float:
            rests = ((spectra - middle) / deviations) @ rest
            return float(np.median(np.linalg.norm(rests, axis=1)))

        shape = distance(pixels)
        if ratio > 0:
            shape = min(shape, distance(pixels / ratio))
        level = float(np.median(np.abs(own - middle) / deviations))
        return cls(level, shape / max(distance(train), 1e-12), ratio, _correlation(own, middle))

    @property
    def in_units(self) -> bool:
        """True where the values are about as large as those of the training pixels."""
        low, high = RATIOS
        return self.level <= LEVEL and not (0 < self.ratio < low or self.ratio > high)


def _correlation(first: Floats, second: Floats) -> float:
    if len(first) < 3 or not (np.ptp(first) and np.ptp(second)):
        return 1.0
    return float(np.corrcoef(first, second)[0, 1])


def other_cube(scene: Scene, train: NDArray[np.int64], file: Path, *, resample: bool) -> Cube:
    """Return the cube of a file in the bands and units of a scene; say in which way it differs.

    Args:
        scene: Scene that a network was trained on.
        train: Flat indices of the training pixels.
        file: A file of pixels, or a card (.toml), whose cube is taken as the card says.
        resample: Resample the bands to the scene's wavelengths.

    Returns:
        The cube; nothing but a sample of its pixels is read.

    Raises:
        InputError: The file cannot be read, or its bands do not fit.
    """
    source = _Source.of(file)
    cube, where = source.cube, str(source.path)
    kept, resampling = _bands(scene, source, resample)
    rules = PixelRules(_nodata(scene, source), 1.0, kept, resampling)
    raw = _sample(cube.read_as(rules))
    undeclared_remark(where, float(raw.min(initial=np.inf)), rules)
    reference = _every(scene.cube, train)
    scale = _scale(source, raw, reference)
    _compare(where, Deviation.of(raw / scale, reference))
    return replace(cube.read_as(replace(rules, scale=scale)), geo=source.header.geo)


def cube_of_another(
    scene: Scene, train: NDArray[np.int64], other: Scene, *, resample: bool
) -> Cube:
    """Return the cube of another scene in the bands of a scene; say in which way it differs.

    Args:
        scene: Scene that a network was trained on.
        train: Flat indices of the training pixels.
        other: A scene in the same units; its pixels without data are filled.
        resample: Resample the bands to the first scene's wavelengths.

    Returns:
        The cube, in memory.

    Raises:
        InputError: The bands do not fit.
    """
    cube = Cube.of_scene(other)
    waves, widths = (
        None if values is None else tuple(values.tolist())
        for values in (other.wavelengths_nm, other.fwhm_nm)
    )
    source = _Source(Path(cube.name), cube, CubeHeader(waves, widths), None)
    values = other.cube
    kept, resampling = _bands(scene, source, resample)
    if kept is not None or resampling is not None:
        values, _ = PixelRules(bands=kept, resampling=resampling).pixels(values)
    spectra = _every(values, np.flatnonzero(other.valid))
    _compare(cube.name, Deviation.of(spectra, _every(scene.cube, train)))
    rows, columns, bands = values.shape
    return replace(cube, shape=(rows, columns, bands), open=lambda: values)


def _every(cube: NDArray[np.float32], pixels: NDArray[np.int64]) -> Floats:
    """Return the spectra [N, B] of some of the pixels, flat indices, as evenly spaced as given."""
    few = pixels[:: max(-(-len(pixels) // _PIXELS), 1)]
    return cube.reshape(-1, cube.shape[2])[few].astype(np.float64)


@dataclass(frozen=True)
class _Source:
    path: Path
    cube: Cube
    header: CubeHeader
    card: Card | None

    @classmethod
    def of(cls, file: Path) -> _Source:
        if file.suffix != ".toml":
            return cls(file, Cube.of_file(file), read_header(file), None)
        card = load_card(str(file))
        path, _ = obtain_file(card, card.cube)
        place = path.resolve()  # for workers of a cluster, which are in other folders
        cube = Cube.of_file(path, lambda: open_cube(card, place))
        return cls(path, cube, cube_header(card, path), card)


def _nodata(scene: Scene, source: _Source) -> float | None:
    """Return the file's no-data value, or else that of the training cube's file."""
    return scene.nodata if source.header.nodata is None else source.header.nodata


def _bands(
    scene: Scene, source: _Source, resample: bool
) -> tuple[NDArray[np.intp] | None, NDArray[np.float32] | None]:
    """Return the positions of the file's bands to use, and the weights that resample them."""
    bands, header, where = source.cube.shape[2], source.header, str(source.path)
    good = np.ones(bands, bool) if header.good_bands is None else np.array(header.good_bands)
    chosen = np.arange(bands)
    if resample:
        chosen = np.flatnonzero(good)
    elif scene.kept_bands is not None and len(scene.kept_bands) == bands:
        chosen = np.flatnonzero(scene.kept_bands)
    elif bands != scene.bands and good.sum() == scene.bands:
        chosen = np.flatnonzero(good)
        remark(f"{where}: left out the bands {listed((np.flatnonzero(~good) + 1).tolist())}, bad")
    elif bands != scene.bands:
        hint = " (--resample resamples by wavelength)" if header.wavelengths_nm else ""
        expected = f"expected the {scene.bands} of {scene.name}"
        raise InputError(f"{where}: found {bands} bands, {expected}{hint}")
    own = None if header.wavelengths_nm is None else np.array(header.wavelengths_nm)[chosen]
    if resample:
        widths = None if header.fwhm_nm is None else np.array(header.fwhm_nm)[chosen]
        return chosen, _resampling(scene, where, own, widths)
    _compare_wavelengths(scene, where, own)
    return None if len(chosen) == bands else chosen, None


def _compare_wavelengths(scene: Scene, where: str, own: Floats | None) -> None:
    wanted = scene.wavelengths_nm
    if own is None or wanted is None:
        return
    off = np.abs(own - wanted)
    spacing = float(np.median(np.abs(np.diff(np.sort(wanted))))) if len(wanted) > 1 else np.inf
    if off.max() > max(spacing / 2, 0.5):
        band = int(off.argmax())
        remark(
            f"{where}: found {own[band]:.1f} nm in band {band + 1}, expected {wanted[band]:.1f} nm "
            f"as in training; wavelengths differ by up to {off.max():.1f} nm: --resample resamples "
            "them"
        )


def _resampling(
    scene: Scene, where: str, own: Floats | None, widths: Floats | None
) -> NDArray[np.float32] | None:
    """Return the weights [B, bands of the file]; None where the wavelengths are the scene's."""
    wanted = scene.wavelengths_nm
    if own is None or wanted is None:
        holder = where if own is None else f"scene {scene.name}"
        raise InputError(f"--resample: found no wavelengths in {holder}, expected one per band")
    if len(own) == len(wanted) and np.abs(own - wanted).max() < 0.01:
        return None
    from spectral import BandResampler

    # The resampler takes widths that it is not given from neighbours: both in rising order.
    sources, targets = np.argsort(own), np.argsort(wanted)
    found = BandResampler(
        own[sources],
        wanted[targets],
        None if widths is None else widths[sources],
        None if scene.fwhm_nm is None else scene.fwhm_nm[targets],
    )
    matrix = np.empty((len(wanted), len(own)), np.float32)
    matrix[np.ix_(targets, sources)] = found.matrix
    bare = wanted[~np.isfinite(matrix).all(axis=1)]
    if len(bare):
        reach = f"{own.min():.1f} to {own.max():.1f} nm"
        raise InputError(
            f"--resample: found bands of {reach} in {where}, expected some at {bare[0]:.1f} nm "
            f"({len(bare)} bands of {scene.name} lie between or beyond them)"
        )
    return matrix


def _sample(cube: Cube) -> Floats:
    """Return pixels [M, B] with data from evenly spaced rows and columns; M may be 0."""
    height, width, _ = cube.shape
    rows = np.unique(np.linspace(0, height - 1, _SIDE).astype(int))
    columns = np.unique(np.linspace(0, width - 1, _SIDE).astype(int))
    raw = np.stack([cube.open()[row][columns] for row in rows])
    values, valid = cube.rules.pixels(raw)
    return values[valid].astype(np.float64)


def _scale(source: _Source, raw: Floats, reference: Floats) -> float:
    """Return the divisor of the file's values: its scale factor, unless they fit without it."""
    factor = source.header.scale_factor
    if factor is None or factor == 1:
        return 1.0
    by_card = source.card is not None and source.card.cube_rules.scale is not None
    whole, divided = Deviation.of(raw, reference), Deviation.of(raw / factor, reference)
    if len(raw) and not by_card and whole.in_units and whole.level < divided.level:
        remark(
            f"{source.path}: not divided by its scale factor {factor:g}: its numbers are those of "
            "the training pixels"
        )
        return 1.0
    remark(f"{source.path}: values divided by the scale factor {factor:g}")
    return factor


def _compare(where: str, found: Deviation) -> None:
    if not found.in_units:
        remark(
            f"{where}: values lie {found.level:.3g} sigma from the training pixels and are "
            f"{found.ratio:.3g} times as large: are they in the units of the training cube?"
        )
        return
    limit = UNLIKE_SHAPE if found.correlation < UNLIKE else SHAPE
    if found.shape > limit:
        remark(
            f"{where}: spectra lie {found.shape:.3g} sigma off those of the training pixels "
            f"(correlation {found.correlation:.2f}), expected up to {limit:g}: are the bands those "
            "of the training cube, in its order?"
        )
