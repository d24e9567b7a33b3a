"""Pictures of a scene for its page: small palette PNGs, and sheets of numbers for the browser."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from snnquant.report.scene_views import Floats, Map, SceneViews
from snnquant.report.value_maps import colour_scale
from snnquant.scenes import Scene
from snnquant.stored_networks import Network

PAGE_BYTES = 4_000_000
"""Size of a page; the cube has what pictures and text leave of it."""
LARGEST = 610 * 340
"""Pixels of a picture; of a larger scene it has every second pixel in both directions, or fewer."""
CUBE_BYTES = 2_200_000
"""Largest size of the cube's PNG; of a larger cube it has every second pixel, or fewer."""
_TEXT_BYTES = 400_000  # what the page has beside pictures, sheet and cube, with room to spare
_SAMPLES = 8_000_000  # values of a cube that are worth compressing, to see how small they become
_ERRORS = (("no label", "#15181d"), ("right", "#8fb8d8"), ("wrong", "#d55e00"))
_ROLES = (
    *(("no label", "#15181d"), ("training", "#0072b2"), ("validation", "#e69f00")),
    *(("test", "#d9d9d9"), ("labelled, in none: guard band", "#cc79a7")),
)


@dataclass(frozen=True)
class Picture:
    """A picture of the scene, one pixel per pixel."""

    key: str
    title: str
    png: str
    """PNG in base64."""
    note: str = ""
    legend: tuple[tuple[str, str], ...] = ()
    """Texts and colours, where they are not the classes."""
    plane: str = ""
    """Plane with the classes by which its pixels are isolated."""
    palette: tuple[str, ...] = ()
    """Colours by number of the plane of its key, which the browser reads from it; empty where
    numbers share a colour."""


@dataclass(frozen=True)
class Sheet:
    """Planes of 8-bit numbers as one grey PNG, in rows of `columns` planes."""

    png: str
    columns: int
    height: int
    width: int
    step: int
    """Every `step`-th pixel of the scene, in both directions."""


def pictures(views: SceneViews) -> list[Picture]:
    """Return the pictures that the views hold the numbers of."""
    scene, step = views.scene, step_of(views.scene)
    palette = ("#000000", *scene.colours)

    def of_classes(key: str, title: str, classes: Map, plane: str, note: str = "") -> Picture:
        png = _palette_png(classes[::step, ::step], _rgb(palette))
        return Picture(key, title, png, note, (), plane, _distinct(palette))

    def of_kinds(key: str, title: str, kinds: Map, legend: Sequence[tuple[str, str]]) -> Picture:
        colours = tuple(colour for _, colour in legend)
        shown = tuple(row for k, row in enumerate(legend) if (kinds == k).any())
        png = _palette_png(kinds[::step, ::step], _rgb(colours))
        return Picture(key, title, png, "", shown, "", _distinct(colours))

    found = []
    if views.classes is not None:
        title = _title(views.main)
        found.append(of_classes("main", title, views.classes, "main"))
    found.append(of_classes("truth", "Ground truth", scene.labels, "truth"))
    cnn = views.maps.get(Network.CNN_FP32)
    if cnn is not None and views.main != Network.CNN_FP32:
        found.append(of_classes("cnn", _title(Network.CNN_FP32), cnn, "cnn"))
    if views.smoothed is not None:
        found.append(of_classes("smoothed", "Smoothed", views.smoothed, "smoothed"))
    if views.known is not None:
        note = "black: confidence too low"
        found.append(of_classes("known", "Unknown left out", views.known, "known", note))
    found.append(_false_colour(scene, step))
    if views.classes is not None:
        wrong = np.where(views.classes == scene.labels, 1, 2)
        errors = np.where(scene.labels > 0, wrong, 0)
        found.append(of_kinds("errors", f"Errors of the {_kind(views.main)}", errors, _ERRORS))
    found.append(of_kinds("split", "Split", views.roles, _ROLES))
    if views.confidence is not None:
        found.append(_of_values("confidence", "Confidence", views.confidence, (0, 1), step))
    if views.steps is not None:
        found.append(of_kinds("steps", "Steps to decide", views.steps, _step_legend(views.steps)))
    if views.distance is not None:
        title = "Distance from the training pixels"
        found.append(_of_values("distance", title, views.distance, (0, 3), step))
    return found


def _step_legend(steps: NDArray[np.uint8]) -> list[tuple[str, str]]:
    last = int(steps.max())
    scale = colour_scale()[np.linspace(30, 255, last).astype(int)]
    rows = [("no data", "#000000")]
    for k, colour in enumerate(scale, 1):
        rows.append((f"{k} step" if k == 1 else f"{k} steps", "#" + bytes(colour).hex()))
    return rows


def planes(views: SceneViews) -> dict[str, NDArray[np.uint8]]:
    """Return planes [h, w] of class numbers, of roles, and of percentages, by name."""
    step = step_of(views.scene)
    if views.scene.classes > 255:
        return {}
    maps: dict[str, Map | None] = {
        **{"main": views.classes, "truth": views.scene.labels, "split": views.roles},
        **{"smoothed": views.smoothed, "known": views.known},
        "cnn": views.maps.get(Network.CNN_FP32),
    }
    if views.best is not None and views.probabilities is not None:
        for k in range(min(3, views.best.shape[2])):
            maps[f"best{k}"] = views.best[..., k]
            maps[f"share{k}"] = np.rint(100 * views.probabilities[..., k]).astype(np.uint8)
    maps |= {f"step{k}": classes for k, classes in enumerate(views.by_step, 1)}
    return {
        name: classes[::step, ::step].astype(np.uint8)
        for name, classes in maps.items()
        if classes is not None
    }


def step_of(scene: Scene) -> int:
    """Return the step between the pixels of a scene's pictures."""
    return math.ceil(math.sqrt(scene.height * scene.width / LARGEST))


def sheet(stack: NDArray[np.uint8], step: int) -> Sheet:
    """Return planes [N, h, w] as one PNG that is about as high as wide.

    >>> sheet(np.zeros((5, 4, 4), np.uint8), step=2).columns
    2
    """
    data, columns = _sheet_png(stack)
    encoded = base64.b64encode(data).decode("ascii")
    return Sheet(encoded, columns, stack.shape[1], stack.shape[2], step)


def _sheet_png(stack: NDArray[np.uint8]) -> tuple[bytes, int]:
    number, height, width = stack.shape
    columns = max(1, round((number * height / width) ** 0.5))
    rows = -(-number // columns)
    full = np.zeros((rows * columns, height, width), np.uint8)
    full[:number] = stack
    grid = full.reshape(rows, columns, height, width).swapaxes(1, 2)
    return _png(Image.fromarray(grid.reshape(rows * height, columns * width))), columns


def cube_room(texts: Sequence[str]) -> int:
    """Return the bytes of a PNG of the cube on a page of these other pictures, in base64.

    >>> cube_room(["a" * 1000]) == CUBE_BYTES, cube_room(["a" * 3_000_000])
    (True, 450000)
    """
    left = PAGE_BYTES - _TEXT_BYTES - sum(map(len, texts))
    return max(100_000, min(CUBE_BYTES, 3 * left // 4))


def cube_sheet(scene: Scene, room: int = CUBE_BYTES) -> tuple[Sheet, float, float]:
    """Return the cube in 8 bits as a sheet of bands, and the values of 0 and of 255.

    All bands share the scale of the spectrum's picture; it is coarser in space where the sheet
    would exceed `room`, in bytes.
    """
    step = max(1, int(np.ceil((scene.cube.size / _SAMPLES) ** 0.5)))
    low, high = (float(end) for end in np.percentile(scene.cube[::step, ::step], (0.02, 99.98)))
    while True:
        part = (scene.cube[::step, ::step] - low) * np.float32(255 / max(high - low, 1e-12))
        stack = np.moveaxis(np.clip(np.rint(part), 0, 255).astype(np.uint8), 2, 0)
        data, columns = _sheet_png(stack)
        if len(data) <= room or min(part.shape[:2]) == 1:
            break
        step += 1
    encoded = base64.b64encode(data).decode("ascii")
    return Sheet(encoded, columns, stack.shape[1], stack.shape[2], step), low, high


def _false_colour(scene: Scene, step: int) -> Picture:
    bands, note = shown_bands(scene)
    values = scene.cube[::step, ::step][..., list(bands)]
    low, high = np.percentile(values[scene.valid[::step, ::step]], (2, 98), axis=0)
    shares = np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1)
    picture = Image.fromarray(np.rint(255 * shares).astype(np.uint8)).quantize(256)
    return Picture("colour", "False colour", _base64(picture), note, plane="main")


def shown_bands(scene: Scene) -> tuple[tuple[int, int, int], str]:
    """Return the bands, from 0, shown as red, green and blue, and a text that names them.

    >>> from snnquant.scenes import load_scene
    >>> shown_bands(load_scene("synthetic:12x12x8"))[0]
    (2, 1, 0)
    """
    waves, given = scene.wavelengths_nm, scene.default_bands
    if given is not None and len(given) == 3:
        bands = given[0], given[1], given[2]
    elif waves is not None and waves.min() < 700 < 800 < waves.max():
        red, green, blue = (int(np.abs(waves - centre).argmin()) for centre in (860, 650, 550))
        bands = red, green, blue
    else:
        red, green, blue = (int(part * scene.bands) for part in (0.5, 0.25, 0.125))
        bands = red, green, blue
    if waves is not None:
        return bands, "{:.0f}, {:.0f}, {:.0f} nm".format(*(waves[band] for band in bands))
    return bands, "bands {}, {}, {}".format(*(band + 1 for band in bands))


def _of_values(
    key: str, title: str, values: Floats, ends: tuple[float, float], step: int
) -> Picture:
    low, high = ends
    shares = np.clip((values[::step, ::step] - low) / (high - low), 0, 1)
    scale = colour_scale()
    png = _palette_png(np.rint(255 * shares).astype(np.uint8), scale.tolist())
    marks = [(low, 0), ((low + high) / 2, 127), (high, 255)]
    legend = tuple((f"{value:g}", "#" + bytes(scale[at]).hex()) for value, at in marks)
    return Picture(key, title, png, "", legend, "main")


_MEMBRANES = (
    (-1.0, (0, 114, 178)),
    (0.0, (235, 235, 235)),
    (1.0, (230, 159, 0)),
    (2.0, (150, 40, 0)),
)
"""Potentials in thresholds, and their colours."""


def _membrane_colours(potentials: Floats) -> NDArray[np.uint8]:
    at = [value for value, _ in _MEMBRANES]
    channels = [
        np.interp(potentials, at, [colour[channel] for _, colour in _MEMBRANES])
        for channel in range(3)
    ]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def membrane_png(potentials: Floats) -> str:
    """Return potentials [T, neurons] in thresholds as a PNG in base64, a pixel per value."""
    ends = _MEMBRANES[0][0], _MEMBRANES[-1][0]
    palette = _membrane_colours(np.linspace(*ends, 256)).tolist()
    shares = np.clip((potentials - ends[0]) / (ends[1] - ends[0]), 0, 1)
    return _palette_png(np.rint(255 * shares).astype(np.uint8), palette)


def membrane_scale() -> list[tuple[str, str]]:
    """Return texts and colours of the scale of potentials."""
    return [(f"{value:g}", "#" + bytes(colour).hex()) for value, colour in _MEMBRANES]


def _title(network: Network) -> str:
    return network.heading


def _kind(network: Network) -> str:
    return "SNN" if network.spiking else "CNN"


def _distinct(colours: tuple[str, ...]) -> tuple[str, ...]:
    """Return the colours as "#rrggbb"; none where two are alike or a palette has too few."""
    found = tuple("#" + bytes(rgb).hex() for rgb in _rgb(colours))
    return found if len(set(found)) == len(found) <= 256 else ()


def _rgb(colours: Sequence[str]) -> list[tuple[int, ...]]:
    return [ImageColor.getrgb(colour)[:3] for colour in colours]


def _palette_png(numbers: Map, palette: Sequence[Sequence[int]]) -> str:
    colours = np.array(palette, np.uint8)
    if len(colours) > 256:
        return _base64(Image.fromarray(colours[numbers]))
    picture = Image.fromarray(np.ascontiguousarray(numbers.astype(np.uint8)), mode="P")
    picture.putpalette(colours.tobytes())
    return _base64(picture)


def _base64(picture: Image.Image) -> str:
    return base64.b64encode(_png(picture)).decode("ascii")


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()
