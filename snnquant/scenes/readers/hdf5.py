"""HDF5 files: known products, MATLAB 7.3, and any other by the names of a variable and its axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.scenes.readers.formats import register_reader
from snnquant.scenes.readers.hdf5_check import check_attributes
from snnquant.scenes.readers.header import CubeHeader
from snnquant.scenes.readers.matlab import NUMERIC
from snnquant.scenes.readers.products import product_of, values

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_OFFSETS = (0, 512, 1024, 2048)
_SUFFIXES = (".h5", ".hdf5", ".he5", ".nc", ".mat")
_MATLAB = "MATLAB_class"
_MAX_LISTED = 12
# Names of dimensions in netCDF files, which tell the order of the axes.
_AXES = {
    "row": "y row rows line lines downtrack northing lat latitude",
    "column": "x column columns col cols sample samples crosstrack easting lon longitude",
    "band": "band bands wavelength wavelengths",
}


def read_stored(path: Path, variable: str | None) -> NDArray[Any]:
    """Read an array with its axes as stored (in MATLAB's order of MATLAB's files)."""
    import h5py

    with h5py.File(path) as file:
        check_attributes(file)
        return _in_matlab_order(file, _chosen(path, file, variable))


def hdf5_header(path: Path, variable: str | None) -> CubeHeader:
    """Return the header of a product; of another file only its fill value."""
    import h5py

    with h5py.File(path) as file:
        check_attributes(file)
        product = product_of(file, variable)
        if product is not None:
            return product.header(file)
        fill = _chosen(path, file, variable).attrs.get("_FillValue")
        return CubeHeader(nodata=None if fill is None else float(np.ravel(fill)[0]))


@register_reader(
    "HDF5",
    suffixes=_SUFFIXES,
    signatures=(_SIGNATURE,),
    offsets=_OFFSETS,
    named=True,
    header=hdf5_header,
    stored=read_stored,
)
def read_hdf5(path: Path, variable: str | None) -> NDArray[Any]:
    """Read a product or a variable; see `read_array`."""
    import h5py

    with h5py.File(path) as file:
        check_attributes(file)
        product = product_of(file, variable)
        if product is not None:
            return product.read(file)
        chosen = _chosen(path, file, variable)
        if _by_matlab(file) or chosen.ndim != 3:
            return _in_matlab_order(file, chosen)
        names = _dimensions(chosen)
        order = [_axis(name) for name in names]
        if sorted(order) != sorted(_AXES):
            raise InputError(
                f"{path}: found {chosen.name[1:]} {_described(chosen)}, no MATLAB file; expected "
                'the card to name its axes, for example axes = "row column band"'
            )
        array: NDArray[Any] = np.transpose(values(chosen), [order.index(axis) for axis in _AXES])
        return array


def _by_matlab(file: Any) -> bool:
    with Path(file.filename).open("rb") as raw:
        header = raw.read(6)
    return header == b"MATLAB" or any(_MATLAB in item.attrs for item in file.values())


def _in_matlab_order(file: Any, chosen: Any) -> NDArray[Any]:
    if not _by_matlab(file):
        return values(chosen)
    # Text is stored as 16-bit integers: only this attribute tells it from numbers.
    kind = chosen.attrs.get(_MATLAB, b"double")
    kind = kind.decode("latin-1") if isinstance(kind, bytes) else str(kind)
    if kind not in NUMERIC:
        raise InputError(f"found {kind} values, expected integers or real numbers")
    return np.transpose(values(chosen))  # MATLAB stores columns first


def _chosen(path: Path, file: Any, variable: str | None) -> Any:
    """Return the dataset to read, by its path in the groups."""
    import h5py

    sets: dict[str, Any] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim >= 2 and not name.startswith("#"):
            sets[name] = item

    file.visititems(add)
    if variable is None and len(sets) == 1:
        return next(iter(sets.values()))
    chosen = sets.get((variable or "").strip("/"))
    if chosen is not None:
        return chosen
    reverse = -1 if _by_matlab(file) else 1
    by_size = sorted(sets.items(), key=lambda pair: -pair[1].size)
    listed = [f"{name} {_described(item, reverse)}" for name, item in by_size[:_MAX_LISTED]]
    more = f" and {len(sets) - _MAX_LISTED} more" if len(sets) > _MAX_LISTED else ""
    found = (", ".join(listed) or "no array") + more
    asked = "card to name one as variable" if variable is None else f"variable {variable}"
    raise InputError(f"{path}: found {found}, expected the {asked}")


def _described(item: Any, reverse: int = 1) -> str:
    names = [name for name in _dimensions(item) if name]
    return f"{item.shape[::reverse]}{' [' + ', '.join(names) + ']' if names else ''}"


def _dimensions(item: Any) -> list[str]:
    """Return the names of a netCDF variable's dimensions, empty where it has none."""
    names = []
    for dimension in item.dims:
        scales = [scale.name for scale in dimension.values()]
        names.append((scales[0].rsplit("/", 1)[-1] if scales else dimension.label) or "")
    return names


def _axis(name: str) -> str:
    return next((axis for axis, names in _AXES.items() if name.lower() in names.split()), "")
