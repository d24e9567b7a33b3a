"""The converter laws beside the rows of the ADC survey."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from pim_sim.cli import main
from pim_sim.errors import InputError
from pim_sim.hardware import load_hardware
from pim_sim.technology import accelergy_energy_pj, typical_energy_pj
from pim_sim.validation import check_survey

HEADER = "year,technology_um,sndr_plot_db,fs_nyquist_hz,energy_per_conversion_pj\n"


def converter(enob: float, energy: object, year: int = 2012) -> str:
    return f"{year},0.065,{6.02 * enob + 1.76},1e8,{energy}\n"


def survey(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "survey.csv"
    path.write_text(header + "".join(rows))
    return path


def test_rows_are_counted_by_band_and_measured_against_the_laws(tmp_path: Path) -> None:
    low, typical, high = (
        typical_energy_pj(8, 1e8, 65, percentile=p, year=2012) for p in (10, 50, 90)
    )
    four = typical_energy_pj(4, 1e8, 65, year=2012)
    rows = check_survey(
        survey(
            tmp_path,
            converter(8, typical),
            converter(8, typical * 4),
            converter(8, typical / 4),
            converter(8, high * 1.01),
            converter(8, low * 1.01),
            converter(4, four),
            converter(8, ""),  # no energy: not a row
        )
    )
    by_band = {row.enob: row for row in rows}
    assert list(by_band) == ["0 to 5", "7 to 9", "all"]
    assert [row.converters for row in rows] == [1, 5, 6]
    assert by_band["0 to 5"].typical_factor == pytest.approx(1)
    misses = 4 * 4 * (high * 1.01 / typical) * (typical / (low * 1.01))
    assert by_band["7 to 9"].typical_factor == pytest.approx(misses ** (1 / 5))
    inside = 2 + (typical * 4 <= high) + (typical / 4 >= low)
    assert by_band["7 to 9"].inside == pytest.approx(inside / 5)


def test_the_bound_is_below_a_large_energy_and_above_a_tiny_one(tmp_path: Path) -> None:
    rows = check_survey(survey(tmp_path, converter(8, 1e6), converter(8, 1e-6)))
    assert [row.above_bound for row in rows] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("year,fs\n", "2012,1\n", "no column"),
        (HEADER, "2012,0.065,abc,1e8,3\n", "not the ADC survey's CSV"),
        (HEADER, "2012,0.065,50,1e8\n", "no converter"),
        (HEADER, "", "no converter"),
    ],
)
def test_a_file_that_is_no_survey_is_refused(
    header: str, row: str, words: str, tmp_path: Path
) -> None:
    path = survey(tmp_path, row, header=header)
    with pytest.raises(InputError, match=words) as caught:
        check_survey(path)
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(InputError, match="cannot be read"):
        check_survey(tmp_path / "none.csv")


def test_the_survey_itself_lies_mostly_inside_the_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "SNNQUANT_DATA" not in os.environ:
        pytest.skip("SNNQUANT_DATA is not set: no ADC survey to compare with")
    path = Path(os.environ["SNNQUANT_DATA"]) / "adc_survey_1997_2017.csv"
    main(["validate", "--adc-survey", str(path), "--json"])
    *bands, everything = json.loads(capsys.readouterr().out)["adc_survey"]
    assert sum(row["converters"] for row in bands) == everything["converters"] > 400
    assert 0.7 < everything["inside"] < 0.95
    assert everything["above_bound"] > 0.8
    main(["validate", "--adc-survey", str(path)])
    assert f"{everything['inside']:.0%}" in capsys.readouterr().out


def test_converter_that_resolves_nothing_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A converter of 1 dB has effective bits below 0, which no law prices."""
    path = survey(tmp_path, converter(8, 3), "2022,0.028,1.0,5e9,2.5\n", "2022,0.028,1.76,5e9,2\n")
    (band, everything) = check_survey(path)
    assert (band.enob, everything.converters) == ("7 to 9", 1)
    main(["validate", "--adc-survey", str(path)])
    assert "effective bits" in capsys.readouterr().out


def test_progress_goes_on_after_the_survey_and_more_slowly() -> None:
    energies = [typical_energy_pj(8, 1e8, 28, year=year) for year in (2013, 2017, 2021, 2025)]
    before, after, later = (energies[i] / energies[i + 1] for i in range(3))
    assert 1 < after < before
    assert later == pytest.approx(after)
    # 0.2757 per year until 2017, three quarters of it after
    assert before == pytest.approx(math.exp(4 * 0.2757), rel=1e-3)
    assert after == pytest.approx(math.exp(3 * 0.2757), rel=1e-3)


def test_best_converters_of_few_bits_cost_more_than_most_that_were_built() -> None:
    """So the law bounds nothing at 65 nm, 100 MS/s and 4 bits, and is not the shipped files'."""
    dear = typical_energy_pj(4, 1e8, 65, percentile=90, year=2015)
    assert accelergy_energy_pj(4, 65, 1e8) > dear
    for name in ("sram_65nm", "sram_45nm", "ace_snn"):
        assert load_hardware(name).engine.adc.energy_law == "typical"  # type: ignore[attr-defined]
