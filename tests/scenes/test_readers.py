"""Round trips of every format, and one line for every fault of a file."""

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
from snnquant.scenes.readers import READERS, content_files, read_array, register_reader

DTYPES = ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
FORMATS = ["mat5", "mat73", "npy", "npz", "envi", "geotiff"]


def write(array, folder: Path, form: str) -> tuple[Path, str | None]:
    """Write an array in a format, with its axes and interleaves; return path and variable."""
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
    """Return the array or the message of an `InputError`; other exceptions fail the test."""
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


@pytest.mark.parametrize("form", FORMATS)
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
    with pytest.raises(InputError, match="found char values"):
        read_array(tmp_path / "a.mat", "text")
    with pytest.raises(InputError, match="found cell values"):
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
    with pytest.raises(InputError, match=r"a\.hdr: found no data file beside it"):
        read_array(path)


def test_geotiff_without_rasterio_names_the_extra(tmp_path, monkeypatch):
    path, _ = write(np.ones((4, 5, 6), np.int16), tmp_path, "geotiff")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(InputError, match=r"pip install 'snnquant\[geo\]'"):
        read_array(path)


@pytest.fixture
def register(monkeypatch):
    """Return the decorator of the registry; what it registers is gone after the test."""
    known = {reader.name: reader for reader in READERS}
    monkeypatch.setattr(READERS, "_entries", known)
    return register_reader


def answers(value):
    """Return a reader that finds this value in every file."""
    return lambda path, variable: np.array([[value]])


def test_a_reader_for_the_suffix_goes_before_others_of_the_signature(register, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    (tmp_path / "a.npy").rename(tmp_path / "a.cube")
    register("by suffix", suffixes=(".cube",), signatures=(b"\x93NUMPY",))(answers(1))
    register("later", suffixes=(".other",), signatures=(b"\x93NUMPY",))(answers(2))
    assert read_array(tmp_path / "a.cube") == [[1]]


def test_of_alike_readers_the_last_registered_reads(register, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    register("mine", suffixes=(".npy",), signatures=(b"\x93NUMPY",))(answers(1))
    assert read_array(tmp_path / "a.npy") == [[1]]


def test_a_signature_goes_before_a_suffix(register, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    register("by suffix", suffixes=(".npy", ".txt"))(answers(1))
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), np.zeros((2, 2)))
    (tmp_path / "A.TXT").write_text("anything")
    assert read_array(tmp_path / "A.TXT") == [[1]]


def test_a_signature_may_stand_further_down(register, tmp_path):
    register("deep", signatures=(b"DEEP",), offsets=(0, 5000))(answers(1))
    (tmp_path / "a.bin").write_bytes(b"?" * 5000 + b"DEEP")
    assert read_array(tmp_path / "a.bin") == [[1]]
    (tmp_path / "a.bin").write_bytes(b"?" * 4999 + b"DEEP")
    with pytest.raises(InputError, match=r"found b'\?\?.*expected a file of .* deep"):
        read_array(tmp_path / "a.bin")


def test_a_reader_needs_a_mark_and_a_new_name(register):
    with pytest.raises(InputError, match="'plain': found no mark, expected suffixes or signatures"):
        register("plain")(answers(1))
    with pytest.raises(InputError, match="'ENVI': registered twice"):
        register("ENVI", suffixes=(".hdr",))(answers(1))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("No module named 'tiles'", name="tiles"), "tiles is missing"),
        (KeyError("bands"), r"found damage \(KeyError: 'bands'\), expected a whole mine file"),
        (OSError("line 1\nline 2"), r"found damage \(line 1 line 2\)"),
        (InputError("found 3 axes, expected 2"), "a.txt: found 3 axes, expected 2"),
    ],
)
def test_whatever_a_reader_raises_is_one_line_with_the_file(register, tmp_path, error, message):
    @register("mine", suffixes=(".txt",), files=lambda path: 1 / 0)
    def read(path, variable):
        raise error

    (tmp_path / "a.txt").write_text("anything")
    with pytest.raises(InputError, match=message) as caught:
        read_array(tmp_path / "a.txt")
    assert str(caught.value).startswith(str(tmp_path / "a.txt"))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="found damage"):
        content_files(tmp_path / "a.txt")
