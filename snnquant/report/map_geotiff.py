"""Classification maps as GeoTIFF, at their scene's place on Earth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from snnquant.io import replacing, require_extra
from snnquant.scenes.georeference import Georeference
from snnquant.scenes.labels import ClassMap

ENDS = (".tif", ".tif.aux.xml")


def write_geotiff(
    paths: tuple[Path, Path],
    class_map: ClassMap,
    geo: Georeference,
    names: Sequence[str],
    palette: NDArray[np.uint8],
) -> None:
    """Write a map with its colour table; class names go into the file that GDAL reads beside it.

    Args:
        paths: The GeoTIFF, and its companion with ".aux.xml" added.
        class_map: Class numbers [H, W] of the scene's pixels, 0 unlabelled.
        geo: The scene's place; with a lookup table, the map is drawn on its grid.
        names: Names of the class numbers from 0.
        palette: [names, 3] colours.

    Raises:
        InputError: rasterio is missing, or a file cannot be written.
    """
    rasterio, crs = require_extra("geo", "rasterio", "rasterio.crs")
    image, companion = paths
    on_grid = geo.on_grid(class_map)
    with (
        replacing(image) as temporary,
        rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            height=on_grid.shape[0],
            width=on_grid.shape[1],
            count=1,
            dtype=on_grid.dtype,
            nodata=0,
            compress="deflate",
            crs=None if geo.crs is None else crs.CRS.from_user_input(geo.crs),
            transform=None if geo.transform is None else rasterio.Affine(*geo.transform),
        ) as file,
    ):
        file.write(on_grid, 1)
        file.write_colormap(1, {k: (*map(int, c), 255) for k, c in enumerate(palette)})
        file.update_tags(1, **{f"class_{k}": name for k, name in enumerate(names)})
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    categories = ElementTree.SubElement(band, "CategoryNames")
    for name in names:
        ElementTree.SubElement(categories, "Category").text = name
    with replacing(companion) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8")
