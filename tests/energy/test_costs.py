from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.energy import CostTable, Operation, load_costs, measure, observe, operations
from snnquant.spiking import LIF, SpikingNetwork

COSTS = {cost.name: cost for cost in load_costs()}
TABLES = {name: cost for name, cost in COSTS.items() if isinstance(cost, CostTable)}
FILES = {
    file.name.removesuffix(".toml"): file.read_text(encoding="utf-8")
    for file in resources.files("snnquant.energy").joinpath("tables").iterdir()
    if file.name.endswith(".toml")
}


def linear(weight: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), bias=False)
    layer.weight.data = Tensor(weight)
    return layer


def convolution(filters: int, kernel: tuple[int, int, int]) -> nn.Conv3d:
    layer = nn.Conv3d(1, filters, kernel, bias=False)
    nn.init.ones_(layer.weight)
    return layer


def neurons() -> LIF:
    return LIF(1.0, 1.0, reset="same_step", initial=0)


@pytest.fixture(scope="module")
def dense(patches_of):
    """Four bands to three neurons to two classes, T = 4; every pixel is (1, 0, 2, 1).

    Currents 0.5 + 0.25 = 0.75, -1 and 2. With V = 1 and the reset in the same step they spike
        0.75: potentials 0.75, 1.5 (spike, 0.5), 1.25 (spike, 0.25), 1.0 (not above V): 2 spikes
        -1:   never
        2:    at each of the 4 steps
    which is 6 spikes: 6 x 2 = 12 accumulates in the second layer; the first multiplies 4 x 3 = 12.
    """
    layers = {
        "flatten": nn.Flatten(),
        "hidden": linear([[0.5, 0, 0, 0.25], [0, 5, 0, -1], [0, 0, 1, 0]]),
        "lif": neurons(),
        "classifier": linear([[1, 2, 3], [4, 5, 6]]),
    }
    cube = np.tile(np.array([1, 0, 2, 1], np.float32), (3, 3, 1))
    return SpikingNetwork(layers, 4), patches_of(4, 1, cube=cube)


@pytest.fixture(scope="module")
def borders(patches_of):
    """A 3x3 window of spikes, only the centre and one corner above V, into 2 filters of 2x2; T = 1.

    The centre is in all 4 positions of the kernel, the corner in 1: (4 + 1) x 2 = 10 accumulates.
    By rate: 2 spikes of 9 neurons times 4 positions x 4 weights x 2 filters = 2/9 x 32 = 64/9.
    The first layer, one filter of one weight, multiplies 9 times.
    """
    layers = {
        "conv1": convolution(1, (1, 1, 1)),
        "lif1": neurons(),
        "conv2": convolution(2, (1, 2, 2)),
    }
    cube = np.zeros((3, 3, 1), np.float32)
    cube[1, 1], cube[2, 0] = 2, 3
    return SpikingNetwork(layers, 1), patches_of(1, 3, cube=cube)


def test_operations_of_the_hand_worked_networks(dense, borders):
    network, patches = dense
    first, second = measure(network, patches, torch.arange(9))
    assert (first.mac, first.ac, first.input_density) == (12, 0, 0.75)
    assert (second.mac, second.ac, second.ac_by_rate) == (0, 12, 12)
    assert second.input_density == 0.5
    assert observe(network, patches, torch.arange(9)).spike_rates == {"lif": 0.5}
    network, patches = borders
    activity = measure(network, patches, torch.tensor([4]))
    assert operations(activity) == {"mac": 9, "ac": 10}
    assert activity[1].ac_by_rate == pytest.approx(64 / 9)


@pytest.mark.parametrize(
    ("table", "bits", "dense_pj", "borders_pj"),
    [
        # 12 x 4.6 + 12 x 0.9 = 66; 9 x 4.6 + 10 x 0.9 = 50.4
        ("horowitz", None, 66.0, 50.4),
        # 12 x 0.23 + 12 x 0.03 = 3.12; 9 x 0.23 + 10 x 0.03 = 2.37
        ("horowitz", 8, 3.12, 2.37),
        # 12 x 3.1 + 12 x 0.1 = 38.4; 9 x 3.1 + 64/9 x 0.1 = 28.6111
        ("ace_snn", None, 38.4, 28.611111),
        # AC: 0.03 x (6/8)^k, k = ln(0.1/0.03) / ln(32/8) = 0.868483, is 0.0233676
        # 12 x 0.2477 + 12 x 0.0233676 = 3.252811; 9 x 0.2477 + 64/9 x 0.0233676 = 2.395470
        ("ace_snn", 6, 3.252811, 2.395470),
    ],
)
def test_energy_of_the_hand_worked_networks(table, bits, dense_pj, borders_pj, dense, borders):
    costs = TABLES[table]
    activity = [replace(layer, bits=bits) for layer in measure(*dense, torch.arange(9))]
    assert costs.of(activity) == pytest.approx(dense_pj, rel=1e-6)
    activity = [replace(layer, bits=bits) for layer in measure(*borders, torch.tensor([4]))]
    assert costs.of(activity) == pytest.approx(borders_pj, rel=1e-6)
    apart = sum(costs.of([layer]) for layer in activity)
    assert costs.of(activity) == pytest.approx(apart)


def test_integers_of_32_bits_are_not_floats():
    counts = {Operation("mac", 32, 32, 64): 12.0, Operation("ac", 32, 1, 64): 12.0}
    assert TABLES["horowitz"].price(counts) == pytest.approx(12 * 3.2 + 12 * 0.1)


ENERGIES = st.floats(1e-3, 1e3)


@given(
    bits=st.tuples(st.integers(1, 8), st.integers(16, 64)).flatmap(st.permutations),
    energies=st.tuples(ENERGIES, ENERGIES),
    factor=st.integers(2, 8),
)
def test_the_power_law_goes_through_its_points(bits, energies, factor):
    points = dict(zip(bits, energies, strict=True))
    table = CostTable(
        description="",
        accumulates="exact",
        mac_float32=1.0,
        ac_float32=2.0,
        mac_integer=points,
        ac_integer={b: 2 * e for b, e in points.items()},
    )
    for b, energy in points.items():
        assert table.mac(b) == pytest.approx(energy)
        assert table.ac(b) == pytest.approx(2 * energy)
    assert (table.mac(None), table.ac(None)) == (1.0, 2.0)
    # A power law and nothing else: equal factors of bits are equal factors of energy.
    growth = table.mac(factor) / table.mac(1)
    assert table.mac(factor**2) / table.mac(factor) == pytest.approx(growth)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_shipped_energies_grow_with_the_bits(table):
    for cost in (table.mac, table.ac):
        energies = [cost(bits) for bits in range(1, 33)]
        assert energies == sorted(set(energies))
        assert energies[0] > 0
    assert table.mac(6) > table.ac(6)


def test_the_shipped_tables_and_what_they_count():
    assert {name: (cost.accumulates, cost.unit) for name, cost in COSTS.items()} == {
        "horowitz_widths": ("exact", "pJ"),
        "ace_snn": ("rate", "pJ"),
        "horowitz": ("exact", "pJ"),
        "ace": ("exact", "bit operations"),
        "acev2": ("exact", "bit operations"),
        "ns_ace": ("rate", "bit operations"),
    }
    assert next(iter(COSTS)) == "horowitz_widths"  # the one that is shown first
    assert {name for name, cost in COSTS.items() if cost.unit == "pJ"} == set(FILES)
    assert all(cost.description for cost in COSTS.values())
    for name, table in TABLES.items():
        for kind, points in (("mac_integer", table.mac_integer), ("ac_integer", table.ac_integer)):
            stated = tomllib.loads(FILES[name])[kind]
            assert {str(bits): energy for bits, energy in points.items()} == stated


def test_ace_snns_six_bit_value_gives_the_papers_two_ratios():
    """560.6 and 44.8 times the SNN's energy: a 32-bit MAC is 12.5 of 6 bit."""
    table = TABLES["ace_snn"]
    assert table.mac(None) / table.mac(6) == pytest.approx(560.6 / 44.8, rel=1e-3)


@pytest.mark.parametrize("name", FILES)
def test_every_number_of_a_table_says_where_it_comes_from(name):
    numbers = re.findall(r"^\s*[\w\"]+\s*=\s*[-+]?\.?\d.*$", FILES[name], re.MULTILINE)
    values = tomllib.loads(FILES[name])
    stated = [value for value in values.values() if isinstance(value, (int, float))]
    stated += [v for table in values.values() if isinstance(table, dict) for v in table.values()]
    assert len(numbers) == len(stated) >= 6
    assert values["description"]
    for line in numbers:
        _, mark, comment = line.partition("#")
        assert mark, line
        assert len(comment.strip()) >= 8, line
