"""Damaged files of every format: read, or refused in one line; never a crash of the process."""

import io
import random
import struct
import warnings
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io
from spectral.io import envi

from snnquant.errors import InputError
from snnquant.scenes.readers import read_array, read_header

CUBE = np.random.default_rng(0).integers(0, 4000, (12, 10, 6)).astype(np.uint16)
FILES_PER_FORMAT = 250
ODD_BYTES = (0, 255, 0x7F, 0x80)


def mat5(**options) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, {"cube": CUBE}, **options)
    return file.getvalue()


def mat73(folder: Path) -> bytes:
    path = folder / "made.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["cube"] = CUBE.T
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    return bytes(content)


def emit(folder: Path) -> bytes:
    path = folder / "made.nc"
    with h5py.File(path, "w") as file:
        file["reflectance"] = CUBE.astype(np.float32)
        file["sensor_band_parameters/wavelengths"] = np.linspace(400, 900, 6)
    return path.read_bytes()


def geotiff(folder: Path) -> bytes:
    path = folder / "made.tif"
    size = {"height": 12, "width": 10, "count": 6, "dtype": "uint16"}
    with (
        warnings.catch_warnings(action="ignore"),
        rasterio.open(path, "w", driver="GTiff", **size) as image,
    ):
        image.write(CUBE.transpose(2, 0, 1))
    return path.read_bytes()


def sound_files(folder: Path) -> dict[str, bytes]:
    """Write the same cube in each format; the names are those to read."""
    np.save(folder / "made.npy", CUBE)
    np.savez_compressed(folder / "made.npz", cube=CUBE)
    envi.save_image(str(folder / "e.hdr"), CUBE, force=True)
    return {
        "a.npy": (folder / "made.npy").read_bytes(),
        "a.npz": (folder / "made.npz").read_bytes(),
        "a.mat": mat5(),
        "b.mat": mat5(do_compression=True),
        "c.mat": mat73(folder),
        "e.hdr": (folder / "e.hdr").read_bytes(),
        "a.tif": geotiff(folder),
        "a.nc": emit(folder),
    }


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Cut a file, change some of its bytes, or put in or take out a few."""
    data = bytearray(content)
    kind, place = rng.random(), rng.randrange(len(data))
    if kind < 0.2:
        return bytes(data[:place])
    if kind < 0.7:
        for _ in range(rng.choice([1, 1, 2, 4, 16])):
            reach = min(len(data), rng.choice([64, 256, 4096, len(data)]))
            data[rng.randrange(reach)] = rng.choice([*ODD_BYTES, rng.randrange(256)])
    elif kind < 0.85:
        data[place:place] = rng.randbytes(rng.choice([1, 2, 8, 64]))
    else:
        del data[place : place + rng.choice([1, 4, 16, 100])]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["a.npy", "a.npz", "a.mat", "b.mat", "c.mat", "e.hdr", "a.tif", "a.nc"]
)
def test_a_damaged_file_is_read_or_refused_in_one_line(name, tmp_path):
    rng = random.Random(f"damage {name}")
    content = sound_files(tmp_path)[name]
    path, refusals = tmp_path / name, []
    path.write_bytes(content)
    np.testing.assert_array_equal(read_array(path), CUBE)
    for _ in range(FILES_PER_FORMAT):
        path.unlink()  # not truncated: a memory map of the last may still be open
        path.write_bytes(damaged(content, rng))
        try:
            read_array(path)
            read_header(path)
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > FILES_PER_FORMAT // 10
    assert all(str(path) in line and "\n" not in line for line in refusals)


@pytest.mark.parametrize("order", ["<", ">"])
def test_values_of_an_unknown_type_do_not_end_the_process(order, tmp_path):
    path = tmp_path / "a.mat"
    content = bytearray(mat5())
    if order == ">":  # a header of the other byte order makes nonsense of every size
        content[124:128] = b"\x01\x00MI"
    else:
        content[content.index(struct.pack("<I", CUBE.nbytes)) - 4] = 0x7F
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"found (values of type 127|an element of \d+ bytes)"):
        read_array(path)


def test_matlab_73_without_the_signature_of_hdf5_is_named(tmp_path):
    content = bytearray(mat73(tmp_path))
    content[512:520] = bytes(8)
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(InputError, match=r"found no HDF5 signature .* MATLAB 7\.3"):
        read_array(tmp_path / "a.mat")


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def one_array(shape: tuple[int, ...], values: bytes, flags: int = 6) -> bytes:
    head = element(6, struct.pack("<II", flags, 0))
    sizes = element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + sizes + element(1, b"cube") + values)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (one_array((4, 5), element(9, bytes(8 * 19))), "152 bytes of cube, expected 160"),
        (one_array((-4, 5), element(9, bytes(160))), r"shape \(-4, 5\)"),
        (one_array((4,), element(9, bytes(32))), r"shape \(4,\)"),
        (one_array((4, 5), element(9, bytes(160)), flags=99), "class 99"),
        (one_array((4, 5), element(9, bytes(160)), flags=0x0806), "complex double values"),
        (one_array((1 << 30, 1 << 20), element(9, bytes(160))), "found 160 bytes"),
        (one_array((4, 5), struct.pack("<II", 9, 160)), "end"),
        (element(14, element(6, bytes(8))), "class 0"),
        (element(9, bytes(64)), "an element of type 9"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_size_in_a_mat_file_is_checked(array, found, compressed, tmp_path):
    if compressed:
        packed = zlib.compress(array)
        array = struct.pack("<II", 15, len(packed)) + packed
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (tmp_path / "a.mat").write_bytes(header + array)
    with pytest.raises(InputError, match=found):
        read_array(tmp_path / "a.mat")


def test_sizes_that_no_compression_reaches_take_no_memory(tmp_path):
    sides = (1 << 15, 1 << 15)
    packed = zlib.compress(one_array(sides, struct.pack("<II", 9, 8 << 30 & 0xFFFFFFFF)))
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (tmp_path / "a.mat").write_bytes(header + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(InputError, match=r"expected"):
        read_array(tmp_path / "a.mat")


def test_a_wrong_checksum_of_compressed_values_is_damage(tmp_path):
    content = bytearray(mat5(do_compression=True))
    content[-1] ^= 1
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(InputError, match="found damage"):
        read_array(tmp_path / "a.mat")


def test_an_uncompressed_mat_file_is_mapped(tmp_path):
    (tmp_path / "a.mat").write_bytes(mat5())
    assert isinstance(read_array(tmp_path / "a.mat"), np.memmap)


@pytest.mark.parametrize("compressed", [False, True])
def test_kinds_and_orders_of_mat_5(compressed, tmp_path):
    path = tmp_path / "a.mat"
    arrays = {
        "b": np.array([[True, False]]),
        "d": np.arange(24.0).reshape(2, 3, 4),
        "e": np.zeros((0, 3)),
        "s": {"x": 1},
        "t": "corn",
        "u": np.array([[7]], np.uint8),
    }
    scipy.io.savemat(path, arrays, do_compression=compressed)
    for name in "bdeu":
        read = read_array(path, name)
        np.testing.assert_array_equal(read, arrays[name])
        assert read.shape == arrays[name].shape
    with pytest.raises(InputError, match="found struct values"):
        read_array(path, "s")
