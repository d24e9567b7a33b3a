"""Classification maps as pictures, as an array and as an ENVI file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from spectral.io import envi

from snnquant.io import replacing
from snnquant.scenes import Scene
from snnquant.scenes.labels import ClassMap

UNLABELLED = "#000000"
"""Colour of class number 0, in pictures and ENVI files."""

_PANEL = 360  # a small scene is enlarged until its longer side has about this many pixels
_GAP = 16
_LINE = 22
_LEGEND_COLUMN = 240


def write_map(stem: Path, class_map: ClassMap, scene: Scene, *, beside_truth: bool) -> list[Path]:
    """Write a classification map as files whose names start with `stem`.

    STEM.png has one pixel per scene pixel, in the scene's colours (a palette, or RGB above 255
    classes); STEM.npy has the class numbers; STEM.img and STEM.hdr are an ENVI classification with
    names and colours in its header (commas become "-", braces brackets, since ENVI's lists consist
    of them). Every file is written whole or not at all.

    Args:
        stem: Path without suffix.
        class_map: Class numbers [H, W]: 0 unlabelled, k the class `scene.class_names[k - 1]`.
        scene: Scene whose class names, colours and ground truth are used.
        beside_truth: Also write STEM_and_truth.png: the map beside the ground truth, enlarged,
            with a legend. Only for a map of the scene itself.

    Returns:
        The paths of the files.

    Raises:
        InputError: If a file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> from snnquant.scenes import load_scene
    >>> scene = load_scene("synthetic:12x12x8")
    >>> with TemporaryDirectory() as folder:
    ...     files = write_map(Path(folder) / "map", scene.labels, scene, beside_truth=False)
    >>> [file.name for file in files]
    ['map.png', 'map.npy', 'map.img', 'map.hdr']
    """
    palette = np.array(
        [ImageColor.getrgb(colour) for colour in (UNLABELLED, *scene.colours)], np.uint8
    )
    ends = (".png", ".npy", ".img", ".hdr")
    paths = [stem.with_name(stem.name + end) for end in ends]
    picture, array, data, header = paths
    with replacing(picture) as temporary:
        _picture(class_map, palette).save(temporary)
    if beside_truth:
        paths.append(stem.with_name(f"{stem.name}_and_truth.png"))
        with replacing(paths[-1]) as temporary:
            _beside_truth(class_map, palette, scene).save(temporary)
    with replacing(array) as temporary:
        np.save(temporary, class_map)
    # The header is renamed last, so that a new header never stands beside old data.
    with replacing(header) as temporary, replacing(data):
        envi.save_classification(
            str(temporary),
            class_map,
            dtype=class_map.dtype,
            ext=data.suffix,  # beside the temporary header, which is where `replacing` looks
            force=True,
            class_names=["unlabelled", *map(_envi_name, scene.class_names)],
            class_colors=palette.tolist(),
        )
    return paths


def _envi_name(name: str) -> str:
    return name.replace(",", "-").replace("{", "(").replace("}", ")").replace("\n", " ")


def _picture(class_map: ClassMap, palette: NDArray[np.uint8]) -> Image.Image:
    if len(palette) > 256:
        return Image.fromarray(palette[class_map])
    picture = Image.fromarray(class_map.astype(np.uint8, copy=False))
    picture.putpalette(palette.tobytes())
    return picture


def _beside_truth(class_map: ClassMap, palette: NDArray[np.uint8], scene: Scene) -> Image.Image:
    """Draw captions, the two panels and the legend, in dark text on white."""
    scale = max(1, round(_PANEL / max(class_map.shape)))
    height, width = class_map.shape[0] * scale, class_map.shape[1] * scale
    entries = [("unlabelled", UNLABELLED), *zip(scene.class_names, scene.colours, strict=True)]
    page_width = max(2 * width + 3 * _GAP, _LEGEND_COLUMN)
    columns = page_width // _LEGEND_COLUMN
    legend_top = _LINE + height + _GAP
    page_height = legend_top + -(-len(entries) // columns) * _LINE + _GAP
    page = Image.new("RGB", (page_width, page_height), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    panels = (("classification map", class_map), ("ground truth", scene.labels))
    for number, (caption, classes) in enumerate(panels):
        left = _GAP + number * (width + _GAP)
        panel = Image.fromarray(palette[classes]).resize((width, height), Image.Resampling.NEAREST)
        page.paste(panel, (left, _LINE))
        draw.text((left, 2), caption, "#202020", font)
    for number, (name, colour) in enumerate(entries):
        row, column = divmod(number, columns)
        left, top = _GAP + column * _LEGEND_COLUMN, legend_top + row * _LINE
        draw.rectangle((left, top + 2, left + 14, top + 16), colour, "#808080")
        draw.text((left + 22, top), name, "#202020", font)
    return page
