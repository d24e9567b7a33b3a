"""Parts of the page about the scene: pictures, numbers for the browser, spectra, confusion."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from snnquant.report.answer import main_network
from snnquant.report.charts import line_chart
from snnquant.report.class_table import class_rows
from snnquant.report.page_pictures import (
    Picture,
    cube_room,
    cube_sheet,
    pictures,
    planes,
    sheet,
    step_of,
)
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.scene_views import Floats, SceneViews
from snnquant.scenes import Scene
from snnquant.stored_networks import Network

_ROLES = ("no label", "training", "validation", "test", "in none")


def class_parts(metrics: RunMetrics, views: SceneViews | None) -> dict[str, Any]:
    """Return the confusion matrix of the last network and its figures by class."""
    network = main_network(metrics)
    counts = metrics.networks[network].confusion
    names = metrics.scene.class_names
    parts: dict[str, Any] = {
        "main": network.heading,
        "class_names": names,
        "colours": None if views is None else views.scene.colours,
    }
    if counts is None or np.shape(counts) != (len(names), len(names)):
        return parts | {"confusion": None, "class_rows": []}
    matrix = np.array(counts, np.int64)
    return parts | {"confusion": _cells(matrix), "class_rows": class_rows(matrix, names)}


def _cells(matrix: NDArray[np.int64]) -> list[list[dict[str, Any]]]:
    rows = []
    for k, row in enumerate(matrix):
        whole = int(row.sum())
        rows.append(
            [
                {
                    "count": f"{count:,}",
                    "share": f"{count / max(whole, 1):.3f}",
                    "percent": f"{100 * count / max(whole, 1):.1f}",
                    "kind": ("right" if k == column else "wrong") if count else "",
                }
                for column, count in enumerate(row.tolist())
            ]
        )
    return rows


def map_parts(metrics: RunMetrics, views: SceneViews | None) -> dict[str, Any]:
    """Return pictures, legend, spectra and the browser's numbers; no picture without views."""
    if views is None:
        return {"pictures": [], "data": ""}
    scene, drawn = views.scene, pictures(views)
    numbers = _planes(views, drawn)
    texts = [picture.png for picture in drawn]
    texts += [numbers["sheet"]["png"]] if numbers["sheet"] else []
    cube, low, high = cube_sheet(scene, cube_room(texts))
    mean, sd = _class_spectra(views)
    axis, unit = _axis(scene)
    step = step_of(scene)
    size = -(-scene.height // step), -(-scene.width // step)
    counted = scene.labels if views.classes is None else views.classes
    counts = np.bincount(counted.ravel(), minlength=scene.classes + 1)[1:].tolist()
    labelled = np.bincount(scene.labels.ravel(), minlength=scene.classes + 1)[1:].tolist()
    legend = [
        {
            "name": name,
            "colour": colour,
            "count": f"{count:,}",
            "title": f"{count:,} pixels on the map, {truth:,} in the ground truth",
        }
        for name, colour, count, truth in zip(
            scene.class_names, scene.colours, counts, labelled, strict=True
        )
    ]
    series = {
        name: list(zip(axis, mean[k].tolist(), strict=True))
        for k, name in enumerate(scene.class_names)
        if np.isfinite(mean[k]).all()
    }
    colours = dict(zip(scene.class_names, scene.colours, strict=True))
    return {
        "pictures": drawn,
        "picture_size": size,
        "legend": legend,
        "map_note": _coarser("Pictures", step) + _coarser("Spectra", cube.step),
        "spectra": line_chart(
            "Mean spectra of the classes",
            series,
            unit,
            "mean of the training pixels",
            colours=[colours[name] for name in series],
        ),
        "spectra_note": "The spectrum of any pixel beside those of its classes: click it on the "
        "map, in a browser with JavaScript.",
        "data": Markup(
            _json(
                {
                    **_scene_data(views, metrics),
                    **numbers,
                    **{"cube": vars(cube), "low": low, "high": high, "x": axis, "unit": unit},
                    **{"gaps": _gaps(axis), "mean": _rounded(mean), "sd": _rounded(sd)},
                }
            )
        ),
    }


def _scene_data(views: SceneViews, metrics: RunMetrics) -> dict[str, Any]:
    scene, step = views.scene, step_of(views.scene)
    geo = scene.geo
    placed = geo is not None and geo.transform is not None and geo.lookup is None
    return {
        "height": -(-scene.height // step),
        "width": -(-scene.width // step),
        "step": step,
        "names": scene.class_names,
        "colours": scene.colours,
        "main": main_network(metrics).heading,
        "cnn": Network.CNN_FP32.heading,
        "roles": _ROLES,
        "metres": None if geo is None else geo.metres_per_pixel(),
        "transform": geo.transform if geo is not None and placed else None,
        "degrees": geo is not None and (geo.crs or "").startswith(("EPSG:4326", "GEOG")),
        "first": _first(views, step),
    }


def _planes(views: SceneViews, drawn: list[Picture]) -> dict[str, Any]:
    """Return the pictures, and where the browser finds each plane: in one of them, or in a sheet.

    No plane is on the page twice.
    """
    keys = [picture.key for picture in drawn]
    left = "main" if "main" in keys else "truth"
    readable = {picture.key for picture in drawn if picture.palette}
    places: dict[str, int | str] = {}
    stack: list[NDArray[np.uint8]] = []
    known: dict[bytes, int | str] = {}
    for name, plane in planes(views).items():
        content = plane.tobytes()
        if name in readable:
            known.setdefault(content, name)
            places[name] = name
            continue
        if content not in known:
            known[content] = len(stack)
            stack.append(plane)
        places[name] = known[content]
    return {
        "pictures": [
            {"key": p.key, "title": p.title, "plane": p.plane, "palette": p.palette} for p in drawn
        ],
        "left": left,
        "right": "truth" if left == "main" else "colour",
        "planes": places,
        "sheet": vars(sheet(np.stack(stack), step_of(views.scene))) if stack else None,
    }


def _coarser(what: str, step: int) -> str:
    """Return a sentence on a step between pixels; empty where every pixel is there.

    >>> _coarser("Spectra", 3)
    'Spectra are those of one pixel in 3, in both directions. '
    """
    if step == 1:
        return ""
    return f"{what} are those of one pixel in {step}, in both directions. "


def _first(views: SceneViews, step: int) -> list[int]:
    """Return row and column, in the picture, of the pixel that is shown at first: a wrong one."""
    labels, classes = views.scene.labels, views.classes
    chosen = labels > 0
    if classes is not None and ((classes != labels) & chosen).any():
        chosen &= classes != labels
    row, column = np.argwhere(chosen)[0].tolist()
    return [row // step, column // step]


def _class_spectra(views: SceneViews) -> tuple[Floats, Floats]:
    """Return mean and standard deviation [K, B] of the training pixels; NaN for a class of none."""
    scene, train = views.scene, views.split.train
    spectra, labels = scene.cube.reshape(-1, scene.bands)[train], scene.labels.ravel()[train]
    mean = np.full((scene.classes, scene.bands), np.nan)
    sd = mean.copy()
    for k in range(scene.classes):
        own = spectra[labels == k + 1]
        if len(own):
            mean[k], sd[k] = own.mean(0, dtype=np.float64), own.std(0, dtype=np.float64)
    return mean, sd


def _axis(scene: Scene) -> tuple[list[float], str]:
    """Return a number per band and its name: nanometres, or the band of the file from 1."""
    if scene.wavelengths_nm is not None and (np.diff(scene.wavelengths_nm) > 0).all():
        return [round(float(wave), 1) for wave in scene.wavelengths_nm], "wavelength, nm"
    if scene.kept_bands is not None:
        return [float(band + 1) for band in np.flatnonzero(scene.kept_bands)], "band"
    return [float(band + 1) for band in range(scene.bands)], "band"


def _gaps(axis: list[float]) -> list[tuple[int, int]]:
    """Return the bands before and after each gap of the axis, where bands were left out.

    >>> _gaps([1.0, 2.0, 3.0, 9.0, 10.0])
    [(2, 3)]
    """
    steps = np.diff(axis)
    if not len(steps):
        return []
    wide = np.flatnonzero(steps > 2.5 * np.median(steps))
    return [(int(k), int(k) + 1) for k in wide]


def _rounded(values: Floats) -> list[list[float] | None]:
    return [
        [float(f"{value:.4g}") for value in row] if np.isfinite(row).all() else None
        for row in values
    ]


def _json(data: dict[str, Any]) -> str:
    """Return JSON that cannot end the element it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
