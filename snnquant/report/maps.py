"""Classification maps as pictures, as an array, and as ENVI and GeoTIFF files."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from spectral.io import envi

from snnquant.io import replacing
from snnquant.report.map_geotiff import ENDS, write_geotiff
from snnquant.scenes import Scene
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.labels import ClassMap

UNLABELLED = "#000000"
"""Colour of class number 0, in pictures and ENVI files."""

PANEL = 360  # a small scene is enlarged until its longer side has about this many pixels
GAP = 16
LINE = 22
_LEGEND_COLUMN = 240
INK = "#202020"


def write_map(
    stem: Path,
    class_map: ClassMap,
    scene: Scene,
    *,
    beside_truth: bool,
    geo: Georeference | None = None,
) -> list[Path]:
    """Write a classification map as files whose names start with `stem`.

    STEM.png has one pixel per scene pixel, in the scene's colours (a palette, or RGB above 255
    classes); STEM.npy has the class numbers; STEM.img and STEM.hdr are an ENVI classification with
    names and colours in its header (commas become "-", braces brackets, since ENVI's lists consist
    of them). With a place on Earth, the ENVI header states it, and where rasterio (the extra `geo`)
    is installed, STEM.tif is a GeoTIFF with a colour table, and STEM.tif.aux.xml its class names.
    Every file is written whole or not at all.

    Args:
        stem: Path without suffix.
        class_map: Class numbers [H, W]: 0 unlabelled, k the class `scene.class_names[k - 1]`.
        scene: Scene whose class names, colours and ground truth are used.
        beside_truth: Also write STEM_and_truth.png: the map beside the ground truth, enlarged,
            with a legend, and with a scale bar where the size of a pixel is known. Only for a map
            of the scene itself.
        geo: Place of the map on Earth, if known.

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
            _beside_truth(class_map, palette, scene, geo).save(temporary)
    with replacing(array) as temporary:
        np.save(temporary, class_map)
    names = ["unlabelled", *scene.class_names]
    if geo is not None and geo.transform is not None and importlib.util.find_spec("rasterio"):
        image, companion = (stem.with_name(stem.name + end) for end in ENDS)
        write_geotiff((image, companion), class_map, geo, names, palette)
        paths += [image, companion]
    # The header is renamed last, so that a new header never stands beside old data.
    with replacing(header) as temporary, replacing(data):
        envi.save_classification(
            str(temporary),
            class_map,
            dtype=class_map.dtype,
            ext=data.suffix,  # beside the temporary header, which is where `replacing` looks
            force=True,
            class_names=[_envi_name(name) for name in names],
            class_colors=palette.tolist(),
            metadata={} if geo is None else geo.envi_fields(),
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


def _beside_truth(
    class_map: ClassMap, palette: NDArray[np.uint8], scene: Scene, geo: Georeference | None
) -> Image.Image:
    """Draw captions, the two panels, scale bar and legend, in dark text on white."""
    scale = max(1, round(PANEL / max(class_map.shape)))
    height, width = class_map.shape[0] * scale, class_map.shape[1] * scale
    entries = [("unlabelled", UNLABELLED), *zip(scene.class_names, scene.colours, strict=True)]
    page_width = max(2 * width + 3 * GAP, _LEGEND_COLUMN)
    columns = page_width // _LEGEND_COLUMN
    metres = None if geo is None else geo.metres_per_pixel()
    legend_top = LINE + height + GAP + (LINE if metres else 0)
    page_height = legend_top + -(-len(entries) // columns) * LINE + GAP
    page = Image.new("RGB", (page_width, page_height), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    panels = (("classification map", class_map), ("ground truth", scene.labels))
    for number, (caption, classes) in enumerate(panels):
        left = GAP + number * (width + GAP)
        panel = Image.fromarray(palette[classes]).resize((width, height), Image.Resampling.NEAREST)
        page.paste(panel, (left, LINE))
        draw.text((left, 2), caption, INK, font)
    if metres:
        _scale_bar(draw, font, (GAP, LINE + height + GAP // 2), metres / scale, width)
    for number, (name, colour) in enumerate(entries):
        row, column = divmod(number, columns)
        left, top = GAP + column * _LEGEND_COLUMN, legend_top + row * LINE
        draw.rectangle((left, top + 2, left + 14, top + 16), colour, "#808080")
        draw.text((left + 22, top), name, INK, font)
    return page


def _scale_bar(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    place: tuple[int, int],
    metres_per_dot: float,
    width: int,
) -> None:
    """Draw a bar of a round length, at most half as long as a panel is wide, and its length."""
    length = _round_length(metres_per_dot * width / 2)
    left, top = place
    right, middle = left + round(length / metres_per_dot), top + 8
    draw.line((left, middle, right, middle), INK, 2)
    for end in (left, right):
        draw.line((end, middle - 4, end, middle + 4), INK, 2)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    draw.text((right + 8, top), text, INK, font)


def _round_length(longest: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is not above a length.

    >>> _round_length(740.0), _round_length(1.0), _round_length(0.03)
    (500.0, 1.0, 0.02)
    """
    power = 10.0 ** math.floor(math.log10(longest))
    return next(step * power for step in (5, 2, 1) if step * power <= longest)
