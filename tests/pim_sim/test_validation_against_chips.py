from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import pytest

from pim_sim.cli import main
from pim_sim.cost_model import Scales, calibrated
from pim_sim.validation import Chip, fit_scales, measured_chips, validate

FITTED = [chip for chip in measured_chips() if chip.used_for("fit")]


def test_every_calibration_chip_is_there_with_its_source() -> None:
    names = {"jia_2020", "sinangil_2021", "wang_2022", "colonnade_2021", "neurram_2022"}
    assert {chip.name for chip in FITTED} == names
    for chip in measured_chips():
        assert len(chip.source.split()) >= 4
        assert chip.figures
        assert {figure.use for figure in chip.figures} <= {"fit", "check"}


def test_errors_are_as_small_as_is_claimed() -> None:
    result = validate()
    assert max(result.calibrated.values()) <= 1.10
    assert result.left_out_geomean <= 1.6
    assert set(result.left_out) == {chip.name for chip in FITTED}


def test_shipped_scales_are_those_of_the_fit() -> None:
    assert asdict(calibrated()) == pytest.approx(asdict(fit_scales(FITTED)), rel=1e-5)


@pytest.mark.parametrize("left_out", FITTED, ids=lambda chip: chip.name)
def test_prediction_of_a_chip_does_not_know_its_figures(left_out: Chip) -> None:
    """Ten times the energy in one chip's figures must not move the scales it is predicted with."""
    heavier = replace(
        left_out,
        figures=tuple(replace(f, fj_per_mac=10 * f.fj_per_mac) for f in left_out.figures),
    )
    altered = [heavier if chip is left_out else chip for chip in measured_chips()]
    before, after = validate(), validate(altered)
    name = left_out.name
    assert after.left_out_scales[name] == before.left_out_scales[name]
    assert after.left_out[name] != pytest.approx(before.left_out[name])
    others = [chip.name for chip in FITTED if chip is not left_out]
    assert any(after.left_out_scales[n] != before.left_out_scales[n] for n in others)


def test_fit_finds_the_scales_that_made_the_figures() -> None:
    truth = Scales(array=1.5, converter=0.7, dac=1.2, logic=0.8)
    made = [
        replace(
            chip,
            figures=tuple(replace(f, fj_per_mac=f.predicted_fj(truth)) for f in chip.figures),
        )
        for chip in FITTED
    ]
    found = fit_scales(made, miss_ln=1e-3)
    assert asdict(found) == pytest.approx(asdict(truth), rel=1e-3)


def test_scale_that_no_chip_measures_stays_at_one() -> None:
    without_dac = [chip for chip in FITTED if chip.name != "wang_2022"]
    assert fit_scales(without_dac).dac == pytest.approx(1)


def test_layer_agrees_with_another_simulator_and_its_converters_on_paper() -> None:
    layer = validate().layer
    assert (layer["macs"], layer["outputs"]) == (962_280, 35_640)
    assert 1 / 1.5 < layer["energy_nj"] / layer["accelforge_energy_nj"] < 1.5
    # two tiles of 16 columns take 3,564 cycles of 4.6 ns; Wang's 41.5 fJ a product and 64 rows are
    # 2.66 pJ per conversion: 94.7 nJ for 35,640 (fitted, so within 5 %)
    assert layer["delay_us"] == pytest.approx(3_564 * 4.6e-3)
    assert layer["parts_nj"]["converters"] == pytest.approx(94.7, rel=0.05)
    assert sum(layer["parts_nj"].values()) == pytest.approx(layer["energy_nj"])
    theirs = layer["accelforge_parts_nj"]
    assert sum(theirs.values()) == pytest.approx(266.35, abs=0.01)
    for name in ("converters", "dac"):
        assert layer["parts_nj"][name] == pytest.approx(theirs[name], rel=0.1)


def test_command_prints_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    main(["validate", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["calibrated"]) == set(answer["left_out"])
    logs = [math.log(error) for error in answer["left_out"].values()]
    assert answer["left_out_geomean"] == pytest.approx(math.exp(sum(logs) / len(logs)))
    assert min(answer["left_out"].values()) >= 1
    main(["validate"])
    text = capsys.readouterr().out
    for chip in measured_chips():
        assert chip.name in text
    assert f"{answer['left_out_geomean']:.3f}" in text
