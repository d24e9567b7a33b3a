"""Figures of a run for papers, drawn by matplotlib (the extra `figures`) at the size in print."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from snnquant.io import replacing, require_extra
from snnquant.report.compared_runs import ChipEnergy
from snnquant.report.compared_tables import number
from snnquant.scenes import Scene

FileFormat = Literal["pdf", "svg", "png"]
_INCH = 2.54
_ROW, _CHARACTER = 0.33, 0.107
"""Height of a row of the legend, and width of a character in it, cm."""
_WHITE, _RIGHT, _WRONG, _TRAINING = "#ffffff", "#c8cdd4", "#d55e00", "#56b4e9"
_PARTS = {"memory": "#0072b2", "compute": "#e69f00", "transfer": "#999999"}
"""Colours that stay apart for colour-blind readers."""
STYLE: dict[str, Any] = {
    "font.size": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 0.9,
    "legend.frameon": False,
    "legend.fontsize": 6,
    "pdf.fonttype": 42,  # TrueType, embedded: text stays text, which journals ask for
    "svg.fonttype": "path",  # outlines: an SVG file cannot count on the reader's fonts
    "svg.hashsalt": "snnquant",  # the same file from the same run
}
_NO_DATES: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
    "png": {"Software": None},
}


@dataclass(frozen=True, eq=False)
class FigureData:
    """Content of a run's figures; what takes computing is computed when a figure asks for it."""

    scene: Scene
    training: NDArray[np.int64]
    """Flat indices of the training and validation pixels."""
    test: NDArray[np.int64]
    """[N] flat indices of the test pixels."""
    classify_test: Callable[[], NDArray[np.int64]]
    """Returns the classes of the test pixels from 0, [N]."""
    classify_scene: Callable[[], NDArray[np.int64]]
    """Returns the class numbers of all pixels from 1, [H, W], 0 where they have no data."""
    energies: Mapping[str, ChipEnergy]
    """Energy on the chip by the name of the network."""

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """Classes of the test pixels from 0, [N]."""
        return self.classify_test()

    @property
    def truth(self) -> NDArray[np.int64]:
        """True classes of the test pixels from 0, [N]."""
        truth: NDArray[np.int64] = self.scene.labels.reshape(-1)[self.test] - 1
        return truth


def write_figure(
    name: str, data: FigureData, path: Path, file_format: FileFormat, *, dpi: int, width_cm: float
) -> None:
    """Write one figure as a file; no display is needed.

    Args:
        name: A key of `FIGURES`.
        data: Content.
        path: File to write, whole or not at all.
        file_format: pdf and svg are vectors; png is a picture.
        dpi: Dots per inch of a picture, and of what is a picture within vectors.
        width_cm: Width in print, in cm; the height follows the content.

    Raises:
        InputError: The extra `figures` is not installed, or the file cannot be written.
    """
    matplotlib, figures, agg = require_extra(
        "figures", "matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"
    )
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
        figure = figures.Figure(layout="constrained")
        agg.FigureCanvasAgg(figure)
        height_cm = FIGURES[name](figure, data, width_cm)
        figure.set_size_inches(width_cm / _INCH, height_cm / _INCH)
        for _ in range(3):  # the layout settles: what an axis leaves free depends on its shape
            figure.draw_without_rendering()
        with replacing(path) as temporary:
            metadata = _NO_DATES[file_format]
            figure.savefig(temporary, format=file_format, dpi=dpi, metadata=metadata)


def _map(figure: Any, data: FigureData, width: float) -> float:
    colours = [_WHITE, *data.scene.colours]
    classes = data.classify_scene()
    entries = dict(zip(data.scene.class_names, data.scene.colours, strict=True))
    return _picture(figure, data.scene, _coloured(classes, colours), entries, width)


def _errors(figure: Any, data: FigureData, width: float) -> float:
    kinds = np.zeros(data.scene.labels.size, np.int64)
    kinds[data.training] = 3
    right = data.answers == data.truth
    kinds[data.test] = np.where(right, 1, 2)
    colours = (_WHITE, _RIGHT, _WRONG, _TRAINING)
    counts = int(right.sum()), int((~right).sum()), len(data.training)
    names = ("right", "wrong", "training and validation")
    entries = {
        f"{name}: {count:,}": colour
        for name, count, colour in zip(names, counts, colours[1:], strict=True)
    }
    picture = _coloured(kinds.reshape(data.scene.labels.shape), colours)
    return _picture(figure, data.scene, picture, entries, width)


def _coloured(classes: NDArray[np.int64], colours: Sequence[str]) -> NDArray[np.uint8]:
    palette = np.array([ImageColor.getrgb(colour) for colour in colours], np.uint8)
    picture: NDArray[np.uint8] = palette[classes]
    return picture


def _picture(
    figure: Any,
    scene: Scene,
    picture: NDArray[np.uint8],
    entries: Mapping[str, str],
    width: float,
) -> float:
    axes = figure.add_subplot()
    metres = None if scene.geo is None else scene.geo.metres_per_pixel()
    side, unit = (metres / 1000, "km") if metres else (1.0, "pixels")
    extent = (0, scene.width * side, scene.height * side, 0)
    axes.imshow(picture, extent=extent, interpolation="none")
    axes.set(xlabel=f"column ({unit})", ylabel=f"row ({unit})")
    rows = _legend(figure, entries, width)
    return (width - 1.2) * scene.height / scene.width + 1.1 + rows * _ROW


def _legend(figure: Any, entries: Mapping[str, str], width: float) -> int:
    """Put a legend under the axes; return its rows."""
    (patches,) = require_extra("figures", "matplotlib.patches")
    handles = [
        patches.Patch(facecolor=colour, edgecolor="#606060", linewidth=0.3, label=name)
        for name, colour in entries.items()
    ]
    longest = max(map(len, entries)) * _CHARACTER + 0.75  # cm, with its patch
    columns = max(1, min(len(entries), int(width / longest)))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        handlelength=1,
        handleheight=1,
        columnspacing=1,
    )
    return -(-len(entries) // columns)


def _confusion(figure: Any, data: FigureData, width: float) -> float:
    names = data.scene.class_names
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (data.truth, data.answers), 1)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    numbers, named = range(len(names)), [f"{name}  {n}" for n, name in enumerate(names, 1)]
    share = 0.4 * width / max(map(len, named)) / _CHARACTER  # of 6 pt: names take 2/5 at most
    size = min(7.0 if len(names) <= 10 else 5.5, 6 * share)
    axes.set_xticks(
        numbers, [str(n + 1) for n in numbers], fontsize=min(size, 4.5 if len(names) > 10 else 7.0)
    )
    axes.set_yticks(numbers, named, fontsize=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    matrix = width - max(map(len, named)) * _CHARACTER * size / 6 - 2.0  # cm, beside names and bar
    size = min(size, 0.5 * matrix / len(names) / _INCH * 72)
    for row, column in zip(*np.nonzero(counts), strict=True):
        share = shares[row, column]
        text, colour = f"{share:.0f}" if share >= 1 else "<1", "w" if share > 55 else "k"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the true class (%)")
    return max(matrix + 1.0, 4.5)


def _spectra(figure: Any, data: FigureData, width: float) -> float:
    scene, axes = data.scene, figure.add_subplot()
    waves = scene.wavelengths_nm
    known = np.arange(1.0, scene.bands + 1) if waves is None else waves
    order = np.argsort(known)
    places = known[order].astype(np.float64)
    spectra, labels = scene.cube.reshape(-1, scene.bands)[:, order], scene.labels.reshape(-1)
    gaps = _gaps(places)
    places = np.insert(places, gaps, np.nan)
    entries = dict(zip(scene.class_names, scene.colours, strict=True))
    for label, colour in enumerate(scene.colours, 1):
        own = spectra[labels == label].astype(np.float64)
        mean, spread = (np.insert(v, gaps, np.nan) for v in (own.mean(0), own.std(0)))
        axes.fill_between(places, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)
        axes.plot(places, mean, color=colour)
    axes.set_xlabel("band" if waves is None else "wavelength (nm)")
    axes.set_ylabel("mean ± standard deviation\n(units of the cube)")
    axes.margins(x=0.01)
    return max(0.62 * width, 5.0) + _legend(figure, entries, width) * _ROW


def _gaps(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return positions before which bands are missing, so that no line crosses them.

    >>> _gaps(np.array([400.0, 410.0, 420.0, 500.0, 510.0]))
    array([3])
    """
    steps = np.diff(places)
    if not len(steps):
        return np.zeros(0, np.int64)
    return np.flatnonzero(steps > 3 * np.median(steps)) + 1


def _energy(figure: Any, data: FigureData, width: float) -> float:
    axes, names = figure.add_subplot(), list(data.energies)
    spent = list(data.energies.values())
    bar = 0.8 / len(_PARTS)
    for place, (part, colour) in enumerate(_PARTS.items()):
        places = np.arange(len(names)) + (place - (len(_PARTS) - 1) / 2) * bar
        values = [getattr(energy, f"{part}_nj") for energy in spent]
        axes.bar(places, values, bar, color=colour)
    drawn = [getattr(energy, f"{part}_nj") for energy in spent for part in _PARTS]
    totals = [f"{name}\n{number(energy.total_nj)} nJ" for name, energy in data.energies.items()]
    longest = max(map(len, names))
    tilt = 90 if longest * len(names) * _CHARACTER * 7 / 6 > width - 1.5 else 0
    axes.set_xticks(range(len(names)), totals, rotation=tilt)
    if min(drawn) > 0:
        axes.set_ylim(min(drawn) / 2, 2 * max(drawn))
    axes.set(yscale="log", xlabel=f"chip {spent[0].chip}", ylabel="energy (nJ per pixel)")
    axes.grid(axis="y", linewidth=0.3)
    axes.set_axisbelow(True)
    rows = _legend(figure, _PARTS, width)
    names_height = longest * _CHARACTER * 7 / 6 if tilt else 0.6
    return max(0.5 * width, 4.2) + names_height + 0.4 + rows * _ROW


FIGURES: dict[str, Callable[[Any, FigureData, float], float]] = {
    "map": _map,
    "errors": _errors,
    "confusion": _confusion,
    "spectra": _spectra,
    "energy": _energy,
}
"""Figures by name; each draws itself for a width in cm and returns its height in cm."""


def width_in_cm(text: str) -> float | None:
    """Read a width with its unit: cm, mm, in or pt; None where it is none.

    >>> width_in_cm("8.5cm"), width_in_cm("85 mm"), width_in_cm("8.5")
    (8.5, 8.5, None)
    """
    units = {"cm": 1.0, "mm": 0.1, "in": _INCH, "pt": _INCH / 72}
    factor = units.get(text.strip()[-2:])
    try:
        value = float(text.strip()[:-2])
    except ValueError:
        return None
    return round(value * factor, 6) if factor and math.isfinite(value) else None
