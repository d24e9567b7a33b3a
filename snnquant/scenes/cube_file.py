"""The cube of a card: its file, read as the file's header and the card say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.array_axes import as_image
from snnquant.scenes.card import Card
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.pixels import PixelRules, listed, read_pixels, remark
from snnquant.scenes.readers import CubeHeader, read_array, read_header


@dataclass(frozen=True, eq=False)
class CubeFile:
    """A cube with what is known of its bands."""

    cube: NDArray[np.float32]
    """[H, W, B], finite."""
    valid: NDArray[np.bool_]
    """[H, W]: False where a pixel has no data."""
    kept: NDArray[np.bool_] | None
    """Of the file's bands, True for those of the cube; None: all."""
    nodata: float | None
    wavelengths_nm: NDArray[np.float64] | None
    fwhm_nm: NDArray[np.float64] | None
    default_bands: tuple[int, ...] | None
    geo: Georeference | None
    applied: dict[str, object] = field(default_factory=dict)
    """Rules that changed the values of the file, for the scene's digest."""


def read_cube(card: Card, path: Path) -> CubeFile:
    """Read a card's cube; raise `InputError` that names the file or the card."""
    rules, raw, header = card.cube_rules, open_cube(card, path), cube_header(card, path)
    if raw.ndim != 3 or raw.size == 0:
        raise InputError(
            f"{path}: found a cube of shape {raw.shape}, expected rows x columns x bands"
        )
    if card.shape is not None and raw.shape != card.shape:
        raise InputError(f"{path}: found shape {raw.shape}, expected {card.shape} as the card says")
    kept = _kept_bands(card, path, header, raw.shape[2])
    nodata, scale = header.nodata, header.scale_factor or 1.0
    bands = None if kept.all() else np.flatnonzero(kept)
    found = read_pixels(raw, PixelRules(nodata, scale, bands), str(path))
    if found.empty_bands:
        empty = np.flatnonzero(kept)[list(found.empty_bands)]
        kept[empty] = False
        remark(f"{path}: left out the bands {listed((empty + 1).tolist())}: no pixel has a value")
    applied: dict[str, object] = {} if scale == 1 else {"scale": scale}
    if not kept.all():
        applied["bands"] = np.flatnonzero(kept).tolist()
    if not found.valid.all():
        applied["nodata"] = nodata
    if rules.layout is not None:
        applied["layout"] = [*rules.layout, rules.order]
    waves, widths = _wavelengths(card, header, kept)
    places = (np.cumsum(kept) - 1).tolist()
    shown = header.default_bands
    return CubeFile(
        found.cube,
        found.valid,
        None if kept.all() else kept,
        nodata,
        waves,
        widths,
        tuple(places[b] for b in shown) if shown and all(kept[b] for b in shown) else None,
        header.geo,
        applied,
    )


def open_cube(card: Card, path: Path) -> NDArray[Any]:
    """Return the raw array of a card's cube, its axes in our order."""
    rules = card.cube_rules
    image_axes = card.cube.axes
    if rules.layout is not None and "pixels" not in rules.layout:
        image_axes = " ".join(rules.layout)
    raw = read_array(path, card.cube.variable, image_axes)
    if rules.layout is None or image_axes is not None:
        return raw
    return as_image(raw, rules.layout, card.shape, rules.order, str(path))


def cube_header(card: Card, path: Path) -> CubeHeader:
    """Return what is stated of a card's cube: by the card, else by the file."""
    header, rules = read_header(path, card.cube.variable), card.cube_rules
    if rules.nodata is not None:
        header = replace(header, nodata=rules.nodata)
    if rules.scale is not None:
        header = replace(header, scale_factor=rules.scale)
    return header


def _kept_bands(card: Card, path: Path, header: CubeHeader, bands: int) -> NDArray[np.bool_]:
    """Return the mask of the file's bands to keep: the card's choice, else the header's."""
    choice = card.cube_rules.bands
    if choice is not None:
        return choice.kept(bands, str(card.path))
    return good_bands(header, path, bands)


def good_bands(header: CubeHeader, path: Path, bands: int) -> NDArray[np.bool_]:
    """Return the mask of the bands that a header does not declare bad, and say which it does."""
    good = np.ones(bands, bool)
    if header.good_bands is not None and len(header.good_bands) == bands:
        good = np.array(header.good_bands)
    if not good.all():
        bad = listed((np.flatnonzero(~good) + 1).tolist())
        remark(f"{path}: left out {bands - good.sum()} of {bands} bands, bad in its header: {bad}")
    return good


def _wavelengths(
    card: Card, header: CubeHeader, kept: NDArray[np.bool_]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return centres and widths of the kept bands: the card's, else the header's."""
    waves, bands = card.wavelengths, len(kept)
    if waves is None:
        return of_bands(header.wavelengths_nm, kept), of_bands(header.fwhm_nm, kept)
    if waves.start_nm is not None and waves.stop_nm is not None:
        return np.linspace(waves.start_nm, waves.stop_nm, bands)[kept], None
    values = np.array(waves.values_nm, dtype=np.float64)
    if len(values) == kept.sum():
        return values, None
    if len(values) != bands:
        expected = f"one for each of the {bands} bands"
        if not kept.all():
            expected += f", or of the {kept.sum()} kept"
        raise InputError(
            f"{card.path}: wavelengths.values_nm: found {len(values)} values, expected {expected}"
        )
    return values[kept], None


def of_bands(
    values: tuple[float, ...] | None, kept: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """Return the values of the kept bands; None where they are unknown or not one per band."""
    if values is None or len(values) != len(kept):
        return None
    return np.array(values, dtype=np.float64)[kept]
