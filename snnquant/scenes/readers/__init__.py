"""Arrays from files: one registered reader per format."""

# Imported because that registers their formats.
from snnquant.scenes.readers import (
    enmap,
    envi,
    envi_roi,
    geotiff,
    hdf5,
    matlab,
    numpy_files,
    png,
    polygons,
)
from snnquant.scenes.readers.formats import (
    READERS,
    Reader,
    choose_variable,
    content_files,
    read_array,
    read_header,
    register_reader,
)
from snnquant.scenes.readers.header import CubeHeader

__all__ = [
    "READERS",
    "CubeHeader",
    "Reader",
    "choose_variable",
    "content_files",
    "enmap",
    "envi",
    "envi_roi",
    "geotiff",
    "hdf5",
    "matlab",
    "numpy_files",
    "png",
    "polygons",
    "read_array",
    "read_header",
    "register_reader",
]
