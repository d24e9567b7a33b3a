"""ENVI headers: every statement is used, or it is said why not."""

from __future__ import annotations

import numpy as np
import pytest

from snnquant.errors import InputError
from snnquant.scenes import load_scene
from snnquant.scenes.readers import content_files, read_array, read_header

CUBE = np.random.default_rng(0).integers(0, 9000, (6, 5, 4)).astype(np.int16)


def test_byte_order_is_zero_where_it_is_missing(write_envi, tmp_path):
    write_envi(tmp_path / "a.hdr", CUBE, leave_out=["byte order"])
    np.testing.assert_array_equal(read_array(tmp_path / "a.hdr"), CUBE)


@pytest.mark.parametrize("interleave", ["bsq", "BIL", "bip"])
def test_offset_order_and_interleave_are_heeded(interleave, write_envi, tmp_path):
    write_envi(
        tmp_path / "a.hdr", CUBE, interleave=interleave, order=">", before=bytes(37), data=".dat"
    )
    np.testing.assert_array_equal(read_array(tmp_path / "a.hdr"), CUBE)


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ("ang_rfl_img.hdr", ""),
        ("C.HDR", ".IMG"),
        ("d.hdr", ".bin"),
        ("e.hdr", ".Dat"),
        ("f.hdr", ".reflectance"),
        ("g.pix.hdr", ""),
    ],
)
def test_the_binary_is_found_and_may_be_named_itself(header, data, write_envi, tmp_path):
    binary = write_envi(tmp_path / header, CUBE, data=data)
    for path in (tmp_path / header, binary):
        np.testing.assert_array_equal(read_array(path), CUBE)
        assert content_files(path) == [tmp_path / header, binary]
        assert read_header(path).wavelengths_nm is None


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
def test_letters_of_any_code_page(encoding, write_envi, tmp_path):
    lines = ["description = {", "  Große Wiese, Süd = 1}", "data ignore value = -9"]
    write_envi(tmp_path / "a.hdr", CUBE, lines=lines, encoding=encoding)
    np.testing.assert_array_equal(read_array(tmp_path / "a.hdr"), CUBE)
    assert read_header(tmp_path / "a.hdr").nodata == -9


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        ("Nanometers", (400, 500, 600, 1000)),
        ("nm", (400, 500, 600, 1000)),
        ("Micrometers", (0.4, 0.5, 0.6, 1.0)),
        ("um", (0.4, 0.5, 0.6, 1.0)),
        ("µm", (0.4, 0.5, 0.6, 1.0)),
        ("microns", (0.4, 0.5, 0.6, 1.0)),
        ("Angstroms", (4000, 5000, 6000, 10000)),
        ("Wavenumber", (25000, 20000, 16666.6666667, 10000)),
        ("Unknown", (400, 500, 600, 1000)),
        ("", (0.4, 0.5, 0.6, 1.0)),
    ],
)
def test_wavelengths_become_nanometres(unit, values, write_envi, tmp_path):
    lines = [f"wavelength units = {unit}", f"wavelength = {{{', '.join(map(str, values))}}}"]
    write_envi(tmp_path / "a.hdr", CUBE, lines=lines)
    np.testing.assert_allclose(
        read_header(tmp_path / "a.hdr").wavelengths_nm, [400, 500, 600, 1000], rtol=1e-6
    )


def test_widths_follow_the_unit(write_envi, tmp_path):
    lines = ["wavelength units = Micrometers", "wavelength = {.4, .5, .6, 1}"]
    write_envi(tmp_path / "a.hdr", CUBE, lines=[*lines, "fwhm = {.01, .01, .02, .01}"])
    np.testing.assert_allclose(read_header(tmp_path / "a.hdr").fwhm_nm, [10, 10, 20, 10])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("wavelength = {1, 2}", "wavelength: found {1, 2}, expected 4 numbers"),
        ("wavelength = {a, b, c, d}", "wavelength: found {a, b, c, d}, expected 4 numbers"),
        ("wavelength = {0, 1, 2, 3}", "wavelength: found {0, 1, 2, 3}, expected numbers above 0"),
        ("wavelength units = Index\nwavelength = {1, 2, 3, 4}", "wavelength units: found Index"),
        ("wavelength = {1, 2, 3, 4}\nfwhm = {0, 1, 1, 1}", "fwhm: found {0, 1, 1, 1}"),
        ("bbl = {1, 0}", "bbl: found {1, 0}, expected 4 numbers"),
        ("bbl = {0, 0, 0, 0}", "bbl: found {0, 0, 0, 0}, expected a band that is good"),
        ("reflectance scale factor = 0", "reflectance scale factor: found 0, expected a number"),
        ("data ignore value = none", "data ignore value: found none, expected a number"),
    ],
)
def test_a_statement_of_no_use_is_said_once(line, said, write_envi, tmp_path, capsys):
    write_envi(tmp_path / "a.hdr", CUBE, lines=line.split("\n"))
    header = read_header(tmp_path / "a.hdr")
    assert (header.fwhm_nm, header.good_bands) == (None, None)
    assert (header.scale_factor, header.nodata) == (None, None)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_longer_binary_is_said_and_a_shorter_one_refused(write_envi, tmp_path, capsys):
    binary = write_envi(tmp_path / "a.hdr", CUBE, before=bytes(10))
    read_header(tmp_path / "a.hdr")
    assert capsys.readouterr().err == ""
    binary.write_bytes(binary.read_bytes() + bytes(4))
    read_header(tmp_path / "a.hdr")
    assert "found 254 bytes, expected 250 as a.hdr says: longer" in capsys.readouterr().err
    binary.write_bytes(binary.read_bytes()[:249])
    with pytest.raises(InputError, match=r"a\.img is truncated: found 249 bytes, expected 250"):
        read_array(tmp_path / "a.hdr")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leave_out": ["lines"]}, "lines: found nothing, expected an integer of 1 or more"),
        ({"samples": "many"}, "samples: found many, expected an integer"),
        ({"data_type": 7}, "data type: found 7, expected one of 1, 2"),
        ({"interleave_text": "mixed"}, "interleave: found mixed, expected bsq, bil or bip"),
        ({"lines": ["file compression = 1"]}, "found a compressed file"),
        ({"lines": ["major frame offsets = {8, 8}"]}, "major frame offsets: found {8, 8}"),
        ({"lines": ["bbl = {1, 1"]}, "bbl: found no closing brace"),
        ({"file_type": "ENVI Spectral Library"}, "found a spectral library, expected an image"),
    ],
)
def test_a_header_of_no_use_is_one_line(changes, message, write_envi, tmp_path):
    text = changes.pop("interleave_text", None)
    write_envi(tmp_path / "a.hdr", CUBE, **changes)
    if text is not None:
        header = (tmp_path / "a.hdr").read_text()
        (tmp_path / "a.hdr").write_text(header.replace("= bsq", f"= {text}"))
    with pytest.raises(InputError, match=message) as caught:
        read_array(tmp_path / "a.hdr")
    assert "damage" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_esri_header_is_called_by_its_name(tmp_path):
    (tmp_path / "a.hdr").write_text("BYTEORDER I\nLAYOUT BIL\nNROWS 6\nNCOLS 5\nNBANDS 4\n")
    (tmp_path / "a.bil").write_bytes(CUBE.tobytes())
    for name in ("a.hdr", "a.bil"):
        with pytest.raises(InputError, match=r"a\.hdr: found an ESRI header .* expected an ENVI"):
            read_array(tmp_path / name)


@pytest.fixture
def card_of_header(make_card, card_text, write_envi, tmp_path):
    """Write a card of an ENVI cube with more lines in its header, and more keys of [cube]."""

    def build(lines=(), keys="", **more):
        write_envi(tmp_path / "a.hdr", CUBE, lines=lines)
        text = card_text.replace('file = "cube.npy"', f'file = "a.hdr"\n{keys}')
        return make_card(text, **more)

    return build


def test_a_scene_uses_what_the_header_says(card_of_header, capsys):
    lines = [
        "wavelength units = Micrometers",
        "wavelength = {.4, .5, .6, 1}",
        "fwhm = {.01, .01, .02, .01}",
        "bbl = {1, 0, 1, 1}",
        "reflectance scale factor = 10000",
        "default bands = {4, 3, 1}",
    ]
    scene = load_scene(card_of_header(lines))
    np.testing.assert_array_equal(scene.cube, CUBE[:, :, [0, 2, 3]] / np.float32(10000))
    np.testing.assert_allclose(scene.wavelengths_nm, [400, 600, 1000])
    np.testing.assert_allclose(scene.fwhm_nm, [10, 20, 10])
    assert scene.kept_bands.tolist() == [True, False, True, True]
    assert scene.default_bands == (2, 1, 0)
    assert "left out 1 of 4 bands, bad in its header: 2" in capsys.readouterr().err


def test_what_changes_pixels_changes_the_digest(card_of_header):
    digests = {
        load_scene(card_of_header(keys=keys)).digest
        for keys in ("", "scale = 100", 'bands = ["1-3"]', "nodata = 1000000000.0")
    }
    assert len(digests) == 3, "a no-data value that no pixel has changes nothing"


@pytest.mark.parametrize(
    ("bands", "kept"),
    [
        ('["1-2", 4]', [0, 1, 3]),
        ("{exclude = [2]}", [0, 2, 3]),
        ('{keep = ["2-3"]}', [1, 2]),
        ('"all"', [0, 1, 2, 3]),
    ],
)
def test_the_card_beats_the_header(bands, kept, card_of_header):
    lines = ["bbl = {1, 0, 1, 1}", "reflectance scale factor = 10000", "data ignore value = 5"]
    scene = load_scene(card_of_header(lines, f"bands = {bands}\nscale = 1\nnodata = -1"))
    np.testing.assert_array_equal(scene.cube, CUBE[:, :, kept])


def test_a_map_info_is_kept(card_of_header):
    scene = load_scene(card_of_header(["map info = {UTM, 1, 1, 500000, 5.3e6, 30, 30, 32, North}"]))
    assert scene.geo.map_info.startswith("UTM, 1, 1")
