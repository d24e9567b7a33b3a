"""Arrays from files: one registered reader per format."""

# Imported because that registers their formats.
from snnquant.scenes.readers import envi, geotiff, matlab, numpy_files
from snnquant.scenes.readers.formats import (
    READERS,
    Reader,
    choose_variable,
    content_files,
    read_array,
    register_reader,
)

__all__ = [
    "READERS",
    "Reader",
    "choose_variable",
    "content_files",
    "envi",
    "geotiff",
    "matlab",
    "numpy_files",
    "read_array",
    "register_reader",
]
