"""Designs at other nodes, supplies and fields: what moves, by which law, and with what interval."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from pim_sim import Layer, load_hardware, simulate_layer
from pim_sim.cli import main
from pim_sim.cost_model import Setup
from pim_sim.hardware import Converter, Macro, Mapping
from pim_sim.sweep import axis_fields, explore, sweep
from pim_sim.sweep.axes import checked
from pim_sim.technology import Node

WIDE = Layer(
    name="conv2", kind="conv2d", input_shape=(16, 9, 9), weight_shape=(32, 16, 3, 3), stride=(1, 1),
    padding=(0, 0), weight_bits=6, input_bits=8, signed=True, time_steps=1, input_density=1.0,
    repeats_input=True,
)  # fmt: skip


def test_supply_moves_both_sides_by_one_law() -> None:
    """The digital delay once stood still, and at 0.5 V digital energy was dearer than at 0.6 V."""
    supplies = [0.5, 0.6, 0.8, 1.0]
    swept = sweep(WIDE, load_hardware("charge_65nm"), {"supply_v": supplies})
    slower = np.array([Node(65, supply).slowdown for supply in supplies])
    for name in ("digital_delay_ns", "delay_ns"):
        delays = swept.results[name]
        assert delays / delays[-1] == pytest.approx(slower / slower[-1], rel=2e-3)
    for name in ("digital_energy_pj", "energy_pj"):
        energies = swept.results[name]
        # except DRAM for a pixel's share of the weights, leakage, and converters at a lower rate
        assert energies / energies[-1] == pytest.approx(np.square(supplies), rel=0.06)
    factors = swept.results["energy_factor"]
    assert factors == pytest.approx(np.full(4, factors[-1]), rel=0.06)


def test_node_moves_what_the_file_states() -> None:
    """50 ns, 1 mm2 and 1.5 pJ at 65 nm once stayed what they were at 28 and 16 nm."""
    hardware = load_hardware("charge_65nm")
    assert isinstance(hardware.engine, Macro)
    engine = replace(
        hardware.engine,
        cycle_ns=50.0,
        area_mm2=1.0,
        converter=Converter(bits=7, energy_pj=1.5),
        array=replace(hardware.engine.array, cell_um2=3.0),
    )
    moved = replace(hardware, engine=engine).moved(node_nm=28, supply_v=0.8).engine
    assert isinstance(moved, Macro)
    assert moved.converter is not None
    # pitches of 6T cells: sqrt(0.127 / 0.525) = 0.4918; gates at 0.8 V over those at 1.0 V
    pitch = math.sqrt(0.127 / 0.525)
    slower = 0.8 / 0.45**1.3 / (1.0 / 0.65**1.3)
    assert moved.cycle_ns == pytest.approx(50 * pitch * slower, rel=2e-3)
    assert moved.area_mm2 == pytest.approx(pitch**2)
    assert moved.array.cell_um2 == pytest.approx(3 * pitch**2)
    assert moved.converter.energy_pj == pytest.approx(1.5 * pitch * 0.64)
    swept = sweep(WIDE, replace(hardware, engine=engine), {"node_nm": [65, 28, 16]})
    assert (np.diff(swept.results["delay_ns"]) < 0).all()
    assert swept.results["area_mm2"] == pytest.approx([4, 4 * pitch**2, 4 * 0.07 / 0.525])


def test_steps_per_conversion_move_delay_and_energy() -> None:
    axes = {"macro.input.steps_per_conversion": [1, 2, 4, 8]}
    swept = sweep(WIDE, load_hardware("charge_65nm"), axes)
    assert (np.diff(swept.results["energy_pj"]) < 0).all()
    assert (np.diff(swept.results["delay_ns"]) <= 0).all()
    unpiped = replace(load_hardware("charge_65nm"), mapping=Mapping(pipelined=False))
    assert (np.diff(sweep(WIDE, unpiped, axes).results["delay_ns"]) < 0).all()


@pytest.mark.parametrize("name", ["charge_65nm", "sram_65nm", "colonnade_65nm", "rram_22nm"])
def test_every_listed_field_can_be_swept(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    hardware = load_hardware(name)
    found = axis_fields(hardware)
    for field in found:
        assert len(field.meaning.split()) > 1, field
        if field.value is not None:
            assert len(sweep(WIDE, hardware, {field.name: [field.value]})) == 1, field
    main(["fields", name, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer == {field.name: field.value for field in found}
    main(["fields", name])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [field.name for field in found]


def test_front_has_the_interval_of_each_of_its_designs(conv1: Layer) -> None:
    hardware = load_hardware("charge_28nm")
    axes = ["macro.converter.bits=4:8", "macro.array.cell=charge,c2c", "supply_v=0.8,0.9"]
    for row in explore(conv1, hardware, axes).result.front:
        design = Setup(conv1, hardware)
        for axis in ("supply_v", "macro.array.cell", "macro.converter.bits"):
            design = checked(design, axis, row[axis])
        single = simulate_layer(conv1, design.hardware)
        assert row["energy_factor_interval"] == pytest.approx(list(single.uncertainty.energy))
        low, high = row["energy_pj_interval"]
        assert low < row["energy_pj"] < high
