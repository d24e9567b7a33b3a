"""Every format gives back what was written, and says in one line what is wrong with it."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from spectral.io import envi

from snnquant.errors import InputError
from snnquant.scenes.readers import read_array

DTYPES = ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
FORMATS = ["mat5", "mat73", "npy", "npz", "envi", "geotiff"]


def write(array, folder: Path, form: str) -> tuple[Path, str | None]:
    """Write an array in a format, other axes and interleaves included; path and variable."""
    if form == "mat5":
        path = folder / "a.mat"
        scipy.io.savemat(path, {"a": array, "other": np.zeros((2, 3))}, do_compression=True)
        return path, "a"
    if form == "mat73":
        path = folder / "a73.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            file["a"] = array.T
            file["a"].attrs["MATLAB_class"] = np.bytes_(
                {"float32": "single", "float64": "double"}.get(array.dtype.name, array.dtype.name)
            )
            file["other"] = np.zeros((3, 2))
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file")
        return path, "a"
    if form == "npy":
        path = folder / "a.npy"
        np.save(path, array)
        return path, None
    if form == "npz":
        path = folder / "a.npz"
        np.savez_compressed(path, a=array, other=np.zeros((2, 3)))
        return path, "a"
    if form == "envi":
        path = folder / "a.hdr"
        interleave = ("bil", "bip", "bsq")[array.size % 3]
        envi.save_image(str(path), array, interleave=interleave, ext="dat", force=True)
        return path, None
    path = folder / "a.tif"
    bands = np.moveaxis(np.atleast_3d(array), -1, 0)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=bands.shape[1],
        width=bands.shape[2],
        count=len(bands),
        dtype=bands.dtype,
        transform=rasterio.Affine(2, 0, 500, 0, -2, 900),
    ) as image:
        image.write(bands)
    return path, None


def attempt(path: Path, variable: str | None):
    """The array or the one-line complaint; any other exception fails the test."""
    try:
        return read_array(path, variable), None
    except InputError as error:
        return None, str(error)


def arrays(dimensions: int):
    sides = st.tuples(*[st.integers(2, 7)] * dimensions)
    return st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, sides))


@pytest.mark.parametrize("form", FORMATS)
@settings(deadline=None, max_examples=20)
@given(cube=arrays(3))
def test_a_cube_survives_the_round_trip(form, tmp_path_factory, cube):
    path, variable = write(cube, tmp_path_factory.mktemp("round"), form)
    read = read_array(path, variable)
    np.testing.assert_array_equal(read, cube)
    assert read.dtype.newbyteorder("=") == cube.dtype


@pytest.mark.parametrize("form", FORMATS)
@settings(deadline=None, max_examples=15)
@given(labels=hnp.arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9))))
def test_labels_survive_the_round_trip(form, tmp_path_factory, labels):
    path, variable = write(labels, tmp_path_factory.mktemp("round"), form)
    np.testing.assert_array_equal(read_array(path, variable).reshape(labels.shape), labels)


@pytest.mark.parametrize("form", FORMATS)
@settings(deadline=None, max_examples=40)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_refused_or_whole(form, tmp_path_factory, share):
    cube = np.arange(6 * 5 * 40, dtype=np.int32).reshape(6, 5, 40)
    path, variable = write(cube, tmp_path_factory.mktemp("cut"), form)
    cut = path.with_suffix(".dat") if form == "envi" else path
    cut.write_bytes(cut.read_bytes()[: int(share * cut.stat().st_size)])
    read, complaint = attempt(path, variable)
    if complaint is None:
        np.testing.assert_array_equal(read, cube)
    else:
        assert str(path) in complaint
        assert "\n" not in complaint


@pytest.mark.parametrize("form", ["mat5", "npy", "npz", "envi", "geotiff"])
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_corrupted_file_raises_nothing_but_input_errors(form, tmp_path_factory, data):
    cube = np.arange(4 * 3 * 10, dtype=np.int32).reshape(4, 3, 10)
    path, variable = write(cube, tmp_path_factory.mktemp("corrupt"), form)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    _, complaint = attempt(path, variable)
    assert complaint is None or "\n" not in complaint


@pytest.mark.parametrize("form", ["mat5", "mat73", "npz"])
def test_a_wrong_variable_lists_what_the_file_holds(form, tmp_path):
    path, _ = write(np.ones((4, 5, 6), np.int16), tmp_path, form)
    with pytest.raises(InputError, match=r"a \(4, 5, 6\).*other \(2, 3\).*variable cube"):
        read_array(path, "cube")
    with pytest.raises(InputError, match=r"a \(4, 5, 6\).*expected the card to name one"):
        read_array(path, None)


def test_a_single_array_needs_no_name(tmp_path):
    scipy.io.savemat(tmp_path / "one.mat", {"anything": np.eye(3)})
    np.testing.assert_array_equal(read_array(tmp_path / "one.mat"), np.eye(3))


@pytest.mark.parametrize("form", ["npy", "envi", "geotiff"])
def test_a_name_where_the_format_has_none_is_refused(form, tmp_path):
    path, _ = write(np.ones((4, 5, 6), np.int16), tmp_path, form)
    with pytest.raises(InputError, match="variable cube, expected none"):
        read_array(path, "cube")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.ones((3, 3), np.complex128), "complex128"),
        (np.array([["a", "b"]]), "<U1"),
        (np.ones((3, 3), bool), "bool"),
        (np.array([{}, []], dtype=object), "damage"),
    ],
)
def test_values_that_are_not_real_numbers_are_refused(values, found, tmp_path):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=found):
        read_array(tmp_path / "a.npy")


def test_mat_values_that_are_not_real_numbers_are_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"text": "corn", "cell": np.array([1, "b"], object)})
    with pytest.raises(InputError, match="<U4"):
        read_array(tmp_path / "a.mat", "text")
    with pytest.raises(InputError, match="object"):
        read_array(tmp_path / "a.mat", "cell")


def test_text_in_a_mat_73_file_does_not_pass_for_numbers(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["a"] = np.frombuffer("corn".encode("utf-16-le"), np.uint16).reshape(4, 1)
        file["a"].attrs["MATLAB_class"] = np.bytes_("char")
    with pytest.raises(InputError, match="found char values"):
        read_array(tmp_path / "a.mat")


def test_a_pickle_in_an_archive_is_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "ran", "code"))

    np.savez(tmp_path / "a.npz", a=np.array([Bomb()], dtype=object))
    with pytest.raises(InputError):
        read_array(tmp_path / "a.npz", "a")
    assert not (tmp_path / "ran").exists()


def test_missing_empty_and_unknown_files(tmp_path):
    with pytest.raises(InputError, match=r"none\.mat: cannot be read \(No such file"):
        read_array(tmp_path / "none.mat")
    (tmp_path / "empty.mat").touch()
    with pytest.raises(InputError, match="found an empty file"):
        read_array(tmp_path / "empty.mat")
    (tmp_path / "page.mat").write_text("<!DOCTYPE html>")
    with pytest.raises(InputError, match=r"<!DOCTYP.*expected a file of .* MAT 5 \(\.mat\)"):
        read_array(tmp_path / "page.mat")


def test_an_envi_header_without_its_data(tmp_path):
    path, _ = write(np.ones((4, 5, 6), np.int16), tmp_path, "envi")
    path.with_suffix(".dat").unlink()
    with pytest.raises(InputError, match=r"a\.hdr: found damage.*data file"):
        read_array(path)


def test_geotiff_without_rasterio_names_the_extra(tmp_path, monkeypatch):
    path, _ = write(np.ones((4, 5, 6), np.int16), tmp_path, "geotiff")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(InputError, match=r"pip install 'snnquant\[geo\]'"):
        read_array(path)
