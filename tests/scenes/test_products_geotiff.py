"""EnMAP and DESIS (XML and GeoTIFF), and cubes in one file per band such as Hyperion's."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from snnquant.errors import InputError
from snnquant.scenes import load_scene
from snnquant.scenes.readers import content_files, read_array, read_header

ENMAP = "ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z"
DESIS = "DESIS-HSI-L2A-DT0335360064_005-20190605T125330-V0210"
BANDS = (423.03, 428.8, 2445.5)


def write_image(path: Path, numbers: np.ndarray, **options) -> None:
    planes = np.moveaxis(np.atleast_3d(numbers), 2, 0)
    size = {"count": len(planes), "height": planes.shape[1], "width": planes.shape[2]}
    options |= {"crs": "EPSG:32633", "transform": rasterio.Affine(30, 0, 4e5, 0, -30, 5.8e6)}
    with rasterio.open(path, "w", driver="GTiff", dtype=planes.dtype, **size, **options) as image:
        image.write(planes)


def enmap_xml(expected: str = "") -> str:
    bands = "".join(
        f'<bandID number="{number}"><wavelengthCenterOfBand>{centre}</wavelengthCenterOfBand>'
        f"<FWHMOfBand>{6 + number}</FWHMOfBand><GainOfBand>0.0001</GainOfBand>"
        "<OffsetOfBand>0</OffsetOfBand></bandID>"
        for number, centre in enumerate(BANDS, start=1)
    )
    lists = f"<expectedChannelsList>{expected}</expectedChannelsList>" if expected else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<level_X><specific>'
        f"<bandCharacterisation>{bands}</bandCharacterisation><vnirProductQuality>{lists}"
        "</vnirProductQuality></specific></level_X>"
    )


def desis_xml() -> str:
    bands = "".join(
        f"<band><bandNumber>{number}</bandNumber><wavelengthWidthOfBand>3.5"
        f"</wavelengthWidthOfBand><wavelengthCenterOfBand>{centre}</wavelengthCenterOfBand>"
        "<gainOfBand>0.0001</gainOfBand><offsetOfBand>0</offsetOfBand></band>"
        for number, centre in enumerate(BANDS, start=1)
    )
    return f'<?xml version="1.0"?><hsi_doc xmlns="urn:desis"><specific>{bands}</specific></hsi_doc>'


@pytest.fixture
def numbers() -> np.ndarray:
    return np.random.default_rng(4).integers(-32768, 9000, (5, 6, 3)).astype(np.int16)


@pytest.mark.parametrize(("ends", "xml"), [(("-METADATA.XML", "-SPECTRAL_IMAGE.TIF"), "")])
@pytest.mark.parametrize("named", [0, 1])
def test_enmap_by_either_of_its_files(numbers, ends, xml, named, tmp_path):
    paths = [tmp_path / f"{ENMAP}{end}" for end in ends]
    paths[0].write_text(enmap_xml(expected="1,3"))
    write_image(paths[1], numbers)
    np.testing.assert_array_equal(read_array(paths[named]), numbers)
    header = read_header(paths[named])
    assert header.wavelengths_nm == BANDS
    assert header.fwhm_nm == (7, 8, 9)
    assert header.good_bands == (True, False, True)
    assert (header.nodata, header.scale_factor) == (-32768, 10000)
    assert content_files(paths[named]) == paths[::-1]


def test_desis_has_other_names_and_lower_case(numbers, tmp_path):
    path = tmp_path / f"{DESIS}-METADATA.xml"
    path.write_text(desis_xml())
    write_image(tmp_path / f"{DESIS}-SPECTRAL_IMAGE.tif", numbers, nodata=-1)
    header = read_header(path)
    assert header.wavelengths_nm == BANDS
    assert header.fwhm_nm == (3.5, 3.5, 3.5)
    assert header.good_bands is None
    assert header.scale_factor == 10000


@pytest.mark.parametrize("cog", ["", "_COG"])
@pytest.mark.parametrize("described", [True, False])
def test_background_in_enmaps_classes_has_no_data(cog, described, tmp_path):
    numbers = np.random.default_rng(5).integers(1, 9000, (5, 6, 3)).astype(np.int16)
    classes = np.random.default_rng(6).integers(1, 4, (5, 6)).astype(np.uint8)
    path = tmp_path / f"{ENMAP}-SPECTRAL_IMAGE{cog}.TIF"
    write_image(path, numbers)
    write_image(tmp_path / f"{ENMAP}-QL_QUALITY_CLASSES{cog}.TIF", classes)
    for layer in ("QUALITY_CLOUD", "QUALITY_CLOUDSHADOW", "QUALITY_HAZE", "PIXELMASK"):
        write_image(tmp_path / f"{ENMAP}-QL_{layer}{cog}.TIF", np.ones((5, 6), np.uint8))
    if described:
        (tmp_path / f"{ENMAP}-METADATA.XML").write_text(enmap_xml())
    assert read_header(path).nodata == -32768
    found = read_array(path)
    assert (found[classes == 3] == -32768).all()
    np.testing.assert_array_equal(found[classes != 3], numbers[classes != 3])
    assert len(content_files(path)) == 2 + described


def test_background_is_masked_in_the_scene(make_card, card_text, labels, tmp_path, capsys):
    classes = np.ones((6, 5), np.uint8)
    classes[:, 0] = 3
    cube = np.random.default_rng(7).integers(1, 9000, (6, 5, 3)).astype(np.int16)
    write_image(tmp_path / f"{ENMAP}-SPECTRAL_IMAGE.TIF", cube)
    write_image(tmp_path / f"{ENMAP}-QL_QUALITY_CLASSES.TIF", classes)
    (tmp_path / f"{ENMAP}-METADATA.XML").write_text(enmap_xml())
    scene = load_scene(make_card(card_text.replace("cube.npy", f"{ENMAP}-METADATA.XML")))
    np.testing.assert_array_equal(scene.valid, classes == 1)
    np.testing.assert_allclose(scene.cube[classes == 1], cube[classes == 1] / 1e4)
    lost = np.count_nonzero(labels[:, 0])
    assert "6 of 30 pixels have no data" in capsys.readouterr().err
    assert np.count_nonzero(scene.labels) == np.count_nonzero(labels) - lost


def test_desis_quality_layers_take_no_pixel_out(numbers, tmp_path):
    path = tmp_path / f"{DESIS}-METADATA.xml"
    path.write_text(desis_xml())
    write_image(tmp_path / f"{DESIS}-SPECTRAL_IMAGE.tif", numbers)
    write_image(tmp_path / f"{DESIS}-QL_QUALITY-2.tif", np.full((5, 6, 10), 3, np.uint8))
    np.testing.assert_array_equal(read_array(path), numbers)
    assert len(content_files(path)) == 2


def test_classes_of_another_size_are_refused(numbers, tmp_path):
    path = tmp_path / f"{ENMAP}-SPECTRAL_IMAGE.TIF"
    write_image(path, numbers)
    write_image(tmp_path / f"{ENMAP}-QL_QUALITY_CLASSES.TIF", np.ones((4, 6), np.uint8))
    with pytest.raises(InputError, match=r"CLASSES\.TIF: found 4 x 6 pixels, expected 5 x 6 as in"):
        read_array(path)


def test_an_image_without_its_description_is_a_geotiff(numbers, tmp_path):
    write_image(tmp_path / f"{ENMAP}-SPECTRAL_IMAGE.TIF", numbers)
    path = tmp_path / f"{ENMAP}-SPECTRAL_IMAGE.TIF"
    np.testing.assert_array_equal(read_array(path), numbers)
    assert read_header(path).scale_factor is None
    assert content_files(path) == [path]


def test_a_geotiff_of_any_name_is_read(numbers, tmp_path):
    write_image(tmp_path / "image.dat", numbers)
    np.testing.assert_array_equal(read_array(tmp_path / "image.dat"), numbers)


def test_a_description_without_its_image_is_refused(tmp_path):
    path = tmp_path / f"{ENMAP}-METADATA.XML"
    path.write_text(enmap_xml())
    with pytest.raises(InputError, match=r"found no ENMAP01.*-SPECTRAL_IMAGE.TIF beside it"):
        read_array(path)


def test_a_damaged_description_is_one_line(numbers, tmp_path):
    path = tmp_path / f"{ENMAP}-METADATA.XML"
    path.write_text(enmap_xml()[:-30])
    write_image(tmp_path / f"{ENMAP}-SPECTRAL_IMAGE.TIF", numbers)
    with pytest.raises(InputError, match="found damage"):
        read_header(path)


def hyperion(folder: Path, numbers: np.ndarray, bands: list[int]) -> list[str]:
    names = [f"EO1H1910262013202110K2_B{band:03d}_L1T.TIF" for band in bands]
    for index, name in enumerate(names):
        write_image(folder / name, numbers[..., index])
    return names


def test_hyperion_as_a_pattern_has_its_wavelengths(numbers, tmp_path):
    hyperion(tmp_path, numbers, [9, 77, 224])
    path = tmp_path / "EO1H*_B*_L1T.TIF"
    np.testing.assert_array_equal(read_array(path), numbers)
    header = read_header(path)
    # The published centres are 436.99, 912.45 and 2395.50 nm.
    assert header.wavelengths_nm == pytest.approx((436.99, 912.45, 2395.50), abs=0.03)
    assert header.good_bands == (True, True, True)
    assert len(content_files(path)) == 3


def test_uncalibrated_bands_of_hyperion_are_bad(numbers, tmp_path):
    hyperion(tmp_path, numbers, [7, 8, 225])
    assert read_header(tmp_path / "EO1H*.TIF").good_bands == (False, True, False)


def test_a_pattern_sorts_by_number(numbers, tmp_path):
    for band, index in ((2, 0), (10, 1), (11, 2)):
        np.save(tmp_path / f"b{band}.npy", numbers[..., index])
    np.testing.assert_array_equal(read_array(tmp_path / "b*.npy"), numbers)
    assert read_header(tmp_path / "b*.npy").wavelengths_nm is None


@pytest.mark.parametrize("folder", ["", "bands/"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_card_lists_one_file_per_band(make_card, cube, card_text, folder, listed, tmp_path):
    (tmp_path / "bands").mkdir()
    names = [f"{folder}b{index}.npy" for index in range(cube.shape[2])]
    order = [2, 0, 1, 3] if listed else [0, 1, 2, 3]
    value = str([names[index] for index in order]) if listed else f'"{folder}b?.npy"'
    card = make_card(card_text.replace('"cube.npy"', value))
    for index, name in enumerate(names):
        np.save(tmp_path / name, cube[..., index])
    np.testing.assert_array_equal(load_scene(card).cube, cube[..., order])


def test_bands_that_do_not_fit_are_refused(make_card, card_text, tmp_path):
    np.save(tmp_path / "b1.npy", np.zeros((4, 4)))
    np.save(tmp_path / "b2.npy", np.zeros((4, 5)))
    with pytest.raises(InputError, match=r"b2\.npy: found .*\(4, 5\), expected one band of"):
        read_array(tmp_path / "b*.npy")
    with pytest.raises(InputError, match="found no such files, expected one per band"):
        read_array(tmp_path / "c*.npy")
    with pytest.raises(InputError, match="names of files in one folder"):
        load_scene(make_card(card_text.replace('"cube.npy"', '["a/1.npy", "b/1.npy"]')))
    with pytest.raises(InputError, match="not found"):
        load_scene(make_card(card_text.replace('"cube.npy"', '["b1.npy", "b9.npy"]')))
