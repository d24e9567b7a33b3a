"""Counts of mappings: against a plain loop nest, and by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import Layer, load_chip
from pim_sim.network import Counts, Demand, candidates
from pim_sim.network.designs import frontier
from pim_sim.network.mappings import Candidates, on_core
from pim_sim.network.schedules import Units, sums_stationary
from pim_sim.workload import one_layer

CHIP = load_chip("edge_22nm")
SPACE = 2**40
UNITS = Units(units=64, sums=1_024, line_bits=65_536, weight_space=SPACE)


def _dense(layer: Layer, membrane_bits: int = 0, core: object = None) -> Candidates:
    return on_core(Demand(layer, 8, membrane_bits), core or CHIP.core, SPACE, SPACE)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(
    filters=st.integers(1, 6),
    products=st.integers(1, 8),
    positions=st.integers(1, 5),
    steps=st.integers(1, 3),
    neurons=st.booleans(),
    pick=st.randoms(use_true_random=False),
)
def test_traffic_is_that_of_the_loops_run_one_by_one(
    filters: int, products: int, positions: int, steps: int, neurons: bool, pick: object
) -> None:
    """Run the four loops and count each time that a tile in the registers changes."""
    layer = one_layer(
        f"{filters}x{products}x1", f"{products}x{positions}", weight_bits=3, input_bits=1,
        time_steps=steps,
    ).layers[0]  # fmt: skip
    core = replace(CHIP.core, multipliers=4, line_buffer_bits=1)
    found = _dense(layer, 16 if neurons else 0, core)
    assert found.splits is not None
    orders = list(itertools.permutations(range(4)))
    if steps == 1:
        orders = [order for order in orders if order[3] == 3]
    index = pick.randrange(len(found.table))  # type: ignore[attr-defined]
    tile, order = divmod(index, len(orders))
    split, row = found.splits[tile], Counts(*found.table[index])
    sizes = (filters, products, positions)
    bounds = [-(-size // (a * b)) for size, a, b in zip(sizes, split[:3], split[3:], strict=True)]
    bounds.append(steps)
    held: dict[str, tuple[int, ...]] = {}
    moves = dict.fromkeys(("weights", "inputs", "sums", "membranes"), 0)
    for turns in itertools.product(*(range(bounds[loop]) for loop in orders[order])):
        at = dict(zip(orders[order], turns, strict=True))
        tiles = {"weights": (at[0], at[1]), "inputs": (at[1], at[2], at[3])}
        integrates = steps > 1 and not neurons
        tiles["sums"] = (at[0], at[2]) if integrates else (at[0], at[2], at[3])
        tiles["membranes"] = (at[0], at[2])
        for name, key in tiles.items():
            moves[name] += held.get(name) != key
            held[name] = key
    weights = filters * products * 3
    assert row.weight_bits == pytest.approx(weights * moves["weights"] / (bounds[0] * bounds[1]))
    tiles_of_sums = bounds[0] * bounds[2] * (1 if steps > 1 and not neurons else steps)
    again = moves["sums"] / tiles_of_sums - 1
    sums = filters * positions * (1 if steps > 1 and not neurons else steps)
    assert row.partial_bits == pytest.approx(2 * sums * again * found.demand.sum_bits)
    if neurons and steps > 1 and bounds[1] == 1:  # else sums that wait for products come between
        assert (row.membrane_bits == 0) == (moves["membranes"] == bounds[0] * bounds[2])
    if bounds[1] == 1 and bounds[2] == 1:  # one tile of inputs per step, however positions overlap
        expected = products * positions * steps * moves["inputs"] / steps
        assert row.input_bits == pytest.approx(expected)


def test_a_dense_layer_on_paper() -> None:
    # 64 filters of 64 products, 8 bits each: on 16 x 16 multipliers with one register each, weights
    # are read once; with filters inside, 4 turns over 4 input tiles read an input once, and every
    # sum of 22 bits goes out and in three times
    layer = one_layer("64x64", "64").layers[0]
    core = replace(CHIP.core, weight_registers=1, input_registers=1, sum_registers=1)
    found = _dense(layer, core=core)
    assert found.splits is not None
    (tile,) = np.flatnonzero((found.splits == (16, 16, 1, 1, 1, 1)).all(axis=1))
    orders = [order for order in itertools.permutations(range(4)) if order[3] == 3]
    filters_inside = Counts(*found.table[tile * len(orders) + orders.index((2, 1, 0, 3))])
    assert filters_inside.weight_bits == 64 * 64 * 8
    assert filters_inside.input_bits == 64 * 8
    assert filters_inside.partial_bits == 2 * 64 * 3 * 22
    assert filters_inside.cycles == 16
    products_inside = Counts(*found.table[tile * len(orders) + orders.index((2, 0, 1, 3))])
    assert products_inside.input_bits == 4 * 64 * 8
    assert products_inside.partial_bits == 0
    # a register read per operand, a sum per 16 products read and written, and the values loaded,
    # an input into the registers of 16 filters
    registers = 4096 * 16 + 2 * 256 * 22 + 4096 * 8 + 64 * 8 * 16
    assert filters_inside.register_bits == registers


def test_a_line_buffer_serves_overlapping_windows_from_one_read() -> None:
    # 8 filters of one channel of 3x3 on 6x6 values of 8 bits: 9 values per position, or 36 in all
    layer = one_layer("8x1x3x3", "1x6x6").layers[0]
    for bits, least in ((65_536, 36), (1, 36)):
        core = replace(CHIP.core, line_buffer_bits=bits, input_registers=1, multipliers=72)
        found = _dense(layer, core=core)
        assert found.splits is not None
        whole = (found.splits[:, :3] == (8, 9, 1)).all(axis=1)
        rows = found.table.reshape(len(found.splits), -1, len(Counts._fields))[whole]
        reads = rows[..., Counts._fields.index("input_bits")] / 8
        # without the buffer 16 positions read 9 values each
        assert reads.max() == (least if bits > 1 else 16 * 9)


def test_spikes_one_by_one_on_paper() -> None:
    # 40 inputs, a tenth of them spikes, 5 steps, 30 filters: 20 spikes of 6-bit addresses fetch 30
    # weights of 6 bits each; 600 additions on 64 accumulators after 20 reads of an address
    layer = one_layer("30x40", "40", weight_bits=6, input_bits=1, time_steps=5, density=0.1)
    found = sums_stationary(Demand(layer.layers[0], 1, 16), UNITS)
    row = Counts(*found.table[0])
    assert (row.weight_bits, row.input_bits, row.adds) == (3_600, 120, 600)
    assert row.cycles == 20 + 600 / 64
    assert row.output_bits == 30 * 5
    # sums of 6 bits and 40 products have 12: read, added and written, with the weight
    assert row.register_bits == 600 * (2 * 12 + 6)
    counted = replace(layer.layers[0], accumulates=480.0)  # by the network's own spikes
    again = sums_stationary(Demand(counted, 1, 16), UNITS)
    assert Counts(*again.table[0]).adds == 480


def test_accumulators_that_hold_too_few_sums_take_every_spike_again() -> None:
    layer = one_layer("2048x8", "8", input_bits=1, time_steps=2, density=0.5).layers[0]
    row = Counts(*sums_stationary(Demand(layer, 1, 16), UNITS).table[0])
    assert row.input_bits == 2 * (8 * 0.5 * 2) * 3


def test_a_layer_larger_than_its_buffer_reads_every_pass_from_dram() -> None:
    layer = one_layer("64x64", "64").layers[0]
    small, large = (
        on_core(Demand(layer, 8, 0), CHIP.core, space, SPACE) for space in (2**15 - 1, 2**15)
    )
    assert (small.table[:, 1] == small.table[:, 0]).all()
    assert not large.table[:, 1].any()


def test_unfinished_sums_need_space() -> None:
    layer = one_layer("64x64", "64").layers[0]
    found = on_core(Demand(layer, 8, 0), CHIP.core, SPACE, 64 * 8 * 2)  # none beside in and out
    partial = found.table[:, Counts._fields.index("partial_bits")]
    assert set(partial) == {0.0, np.inf}


def test_groups_share_the_multipliers() -> None:
    # 16 channels of 9 products fit 256 multipliers beside each other, over 9 positions
    layer = one_layer("16x1x3x3", "16x5x5").layers[0]
    assert layer.groups == 16
    cycles = _dense(layer).table[:, Counts._fields.index("cycles")]
    assert cycles.min() <= 9
    dense = one_layer("16x16x3x3", "16x5x5").layers[0]
    assert _dense(dense).table[:, Counts._fields.index("cycles")].min() >= 9 * 16 * 144 / 256


@pytest.mark.parametrize("bits", [1, 8])
def test_best_mapping_is_the_least_of_all_candidates(bits: int) -> None:
    layer = one_layer("12x4x3x3", "4x6x6", input_bits=bits, time_steps=3, density=0.2).layers[0]
    prices = np.array([0.06, 30, 0.06, 0.06, 0.06, 0.06, 0.001, 0.05, 0.01, 0.0])
    for found in candidates(Demand(layer, 8, 16 if bits == 1 else 0), CHIP):
        usable = found.table[np.isfinite(found.table).all(axis=1)]
        assert (frontier(found.table) @ prices).min() == pytest.approx((usable @ prices).min())


def test_mappings_are_told_in_words() -> None:
    layer = one_layer("64x64", "64").layers[0]
    found = _dense(layer)
    best = int(np.argmin(found.table[:, 0] + found.table[:, 2] + found.table[:, 3]))
    words = found.words(best)
    assert "at once" in words
    assert "weights" in words.rpartition(";")[2]
