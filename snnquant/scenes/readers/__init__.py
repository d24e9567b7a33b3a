"""Arrays from files: one registered reader per format."""

# Imported because that registers their formats.
from snnquant.scenes.readers import envi, geotiff, hdf5, matlab, numpy_files
from snnquant.scenes.readers.formats import (
    READERS,
    CubeHeader,
    Reader,
    choose_variable,
    content_files,
    read_array,
    read_header,
    register_reader,
)

__all__ = [
    "READERS",
    "CubeHeader",
    "Reader",
    "choose_variable",
    "content_files",
    "envi",
    "geotiff",
    "hdf5",
    "matlab",
    "numpy_files",
    "read_array",
    "read_header",
    "register_reader",
]
