"""HDF5 files: products by their groups, MATLAB's by their marks, others by names."""

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

from snnquant.errors import InputError
from snnquant.scenes import load_scene
from snnquant.scenes.readers import hdf5_check, read_array, read_header

spec = importlib.util.spec_from_file_location(
    "hdf5_files", Path(__file__).with_name("hdf5_files.py")
)
hdf5_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hdf5_files)

NESTED = "HDFEOS/SWATHS/OTHER/Data Fields/VNIR_Cube"


@pytest.fixture
def spectra() -> np.ndarray:
    return np.random.default_rng(2).random((5, 7, 4)).astype(np.float32)


def test_emit_keeps_its_axes_and_says_what_it_holds(spectra, tmp_path):
    hdf5_files.emit(tmp_path / "a.nc", spectra)
    np.testing.assert_array_equal(read_array(tmp_path / "a.nc"), spectra)
    header = read_header(tmp_path / "a.nc")
    assert header.wavelengths_nm == (381.0, 1085.0, 1789.0, 2493.0)
    assert header.good_bands == (True, False, True, True)
    assert header.fwhm_nm == pytest.approx([8.4] * 4)
    assert header.nodata == -9999
    assert header.geo.transform == (0.5, 0.0, 10.0, 0.0, -0.5, 50.0)
    assert header.geo.crs == "EPSG:4326"
    assert header.geo.lookup.shape == (3, 4, 2)
    assert header.geo.lookup[1].tolist() == [[-1, -1], [0, 0], [4, 6], [-1, -1]]
    assert (header.geo.lookup[[0, 2]] == -1).all()


def test_prisma_joins_sorts_and_scales_its_detectors(tmp_path):
    numbers = np.arange(3 * 2 * 7).reshape(3, 2, 7) * 1000 + 500
    numbers[0, 1] = 0  # beside the swath
    vnir, swir = [0.0, 1000.0, 600.0, 400.0], [2400.0, 980.0, 0.0]
    hdf5_files.prisma(tmp_path / "a.he5", numbers, vnir, swir)
    cube, header = read_array(tmp_path / "a.he5"), read_header(tmp_path / "a.he5")
    assert header.wavelengths_nm == (400.0, 600.0, 980.0, 2400.0)
    assert header.fwhm_nm == (10.0, 10.0, 11.0, 11.0)
    expected = numbers[..., [3, 2, 5, 4]] / 65535
    expected[..., 2:] = 0.25 + 0.5 * expected[..., 2:]
    expected[0, 1] = np.nan
    np.testing.assert_allclose(cube, expected, rtol=1e-6)
    assert header.geo.crs == "EPSG:32632"
    assert header.geo.transform == (30.0, 0.0, 500000.0, 0.0, -30.0, 5301000.0)


def test_aviris_has_bands_first(spectra, tmp_path):
    hdf5_files.aviris(tmp_path / "a.nc", spectra)
    np.testing.assert_array_equal(read_array(tmp_path / "a.nc"), spectra)
    header = read_header(tmp_path / "a.nc")
    assert header.wavelengths_nm == (390.0, 1090.0, 1790.0, 2490.0)
    assert (header.nodata, header.geo.crs) == (-9999, "EPSG:32632")
    assert header.geo.transform == (4.0, 0.0, 500000.0, 0.0, -4.0, 5300000.0)


@pytest.mark.parametrize(("framing_rows", "placed"), [(5, True), (9, False)])
def test_tanager_has_bands_first_and_a_mask(spectra, framing_rows, placed, tmp_path):
    hdf5_files.tanager(tmp_path / "a.h5", spectra, framing_rows)
    cube, header = read_array(tmp_path / "a.h5"), read_header(tmp_path / "a.h5")
    assert np.isnan(cube[0, 0]).all()
    np.testing.assert_array_equal(cube[1:], spectra[1:])
    assert header.good_bands == (True, True, False, True)
    assert header.wavelengths_nm[0] == 376.0
    # Only a file on the grid of its framing lies where the framing says.
    assert (header.geo is not None) == placed
    if placed:
        assert header.geo.transform == (30.0, 0.0, 503220.0, 0.0, -30.0, 4410990.0)


def test_a_product_in_a_card_needs_its_file_only(make_card, cube, card_text, tmp_path):
    card = make_card(card_text.replace("cube.npy", "cube.nc"))
    hdf5_files.emit(tmp_path / "cube.nc", cube)
    assert load_scene(card).height == cube.shape[0]


def test_a_variable_of_a_product_that_is_not_its_cube(spectra, tmp_path):
    hdf5_files.emit(tmp_path / "a.nc", spectra)
    assert read_array(tmp_path / "a.nc", "location/glt_x").shape == (3, 4)
    np.testing.assert_array_equal(read_array(tmp_path / "a.nc", "reflectance"), spectra)


def test_matlab_is_known_by_its_class_or_header(tmp_path):
    array = np.arange(24).reshape(2, 3, 4)
    with h5py.File(tmp_path / "class.mat", "w") as file:
        file["a"] = array.T
        file["a"].attrs["MATLAB_class"] = np.bytes_("double")
    np.testing.assert_array_equal(read_array(tmp_path / "class.mat"), array)


def test_another_file_asks_for_the_axes(spectra, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cube"] = np.moveaxis(spectra, 2, 0)
    with pytest.raises(InputError, match=r'cube \(4, 5, 7\), no MATLAB file.*"row column band"'):
        read_array(tmp_path / "a.h5")
    np.testing.assert_array_equal(read_array(tmp_path / "a.h5", axes="band row column"), spectra)


def test_another_file_lists_its_groups(spectra, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[NESTED] = spectra
        file["HDFEOS/Latitude"] = spectra[..., 0]
    with pytest.raises(InputError, match=r"Fields/VNIR_Cube \(5, 7, 4\), HDFEOS/Latitude \(5, 7\)"):
        read_array(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"Latitude \(5, 7\), expected the variable other"):
        read_array(tmp_path / "a.h5", "other")
    axes = "row column band"
    np.testing.assert_array_equal(read_array(tmp_path / "a.h5", f"/{NESTED}", axes), spectra)
    assert read_array(tmp_path / "a.h5", "HDFEOS/Latitude").shape == (5, 7)


def test_names_of_arrays_stay_on_one_line(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one\nline"] = file["two"] = np.zeros((2, 2))
    with pytest.raises(InputError, match=r"found one\?line \(2, 2\), two"):
        read_array(tmp_path / "a.h5")


def test_long_listings_are_cut(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(20):
            file[f"array {number}"] = np.zeros((2, 2))
    with pytest.raises(InputError, match="and 8 more, expected the card to name one"):
        read_array(tmp_path / "a.h5")


def test_names_of_dimensions_give_the_order(spectra, tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["signal"] = np.moveaxis(spectra, 2, 0)
        file["signal"].attrs["_FillValue"] = np.float32([-1])
        for axis, name in enumerate(["wavelength", "y", "x"]):
            file["signal"].dims[axis].label = name
    np.testing.assert_array_equal(read_array(tmp_path / "a.nc"), spectra)
    assert read_header(tmp_path / "a.nc").nodata == -1


def test_a_card_names_variable_and_axes(make_card, cube, card_text, tmp_path):
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        file[NESTED] = np.moveaxis(cube, 2, 1)
        file["other"] = np.zeros((2, 2))
    text = card_text.replace(
        '"cube.npy"', f'"cube.h5"\nvariable = "{NESTED}"\naxes = "row band column"'
    )
    scene = load_scene(make_card(text))
    np.testing.assert_array_equal(scene.cube, cube)
    assert scene.digest != load_scene(make_card(card_text)).digest


@pytest.mark.parametrize("axes", ["row column", "row row band", "lines samples bands", "band"])
def test_wrong_axes_are_refused(make_card, card_text, axes):
    text = card_text.replace('"cube.npy"', f'"cube.npy"\naxes = "{axes}"')
    with pytest.raises(InputError, match="axes"):
        load_scene(make_card(text))


def test_a_size_without_values_takes_no_memory(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("cube", (1 << 16, 1 << 16, 4), np.float32, chunks=(64, 64, 4))
    with pytest.raises(InputError, match=r"a\.h5: found 0 bytes of cube, expected those of"):
        read_array(tmp_path / "a.h5", axes="row column band")


def test_bands_last_are_not_taken_for_aviris(spectra, tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["reflectance/reflectance"] = spectra
        file["reflectance/wavelength"] = np.arange(spectra.shape[2])
    with pytest.raises(InputError, match="expected the card to name its axes"):
        read_array(tmp_path / "a.nc")


def test_attributes_without_an_end_are_refused(spectra, monkeypatch, tmp_path):
    hdf5_files.aviris(tmp_path / "a.nc", spectra)
    content = bytearray((tmp_path / "a.nc").read_bytes())
    heap = content.index(b"GCOL")
    # The first object of the heap becomes free space of no size, over which readers never get.
    content[heap + 16 : heap + 32] = bytes(16)
    (tmp_path / "a.nc").write_bytes(content)
    monkeypatch.setattr(hdf5_check, "_SECONDS", 3)
    with pytest.raises(InputError, match=r"a\.nc: found (attributes without an end|damage)"):
        read_header(tmp_path / "a.nc")
