"""Schedules of a network on a chip: against loops over spikes, by hand, and what must hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pim_sim import InputError, Layer, NetworkPrice, Workload, load_chip, price_network
from pim_sim.cli import main
from pim_sim.network import SCHEDULES, Counts, Demand, Schedule, map_part
from pim_sim.network.schedules import Units, candidates, time_innermost, time_outermost
from pim_sim.workload import one_layer

CHIP = load_chip("edge_22nm")
SPACE = 2**40
UNITS = Units(units=64, sums=1_024, line_bits=65_536, weight_space=SPACE)
Spikes = NDArray[np.bool_]


def _spikes(weights: str, inputs: str, seen: Spikes, stride: int = 1) -> Layer:
    """Return a layer with the shares and products of spikes [T, *inputs], in plain loops."""
    layer = one_layer(
        weights, inputs, weight_bits=6, input_bits=1, time_steps=len(seen),
        stride=str(stride) if "x" in inputs else "", density=float(seen.mean()),
    ).layers[0]  # fmt: skip
    return replace(
        layer,
        accumulates=float(sum(_reached(layer, step) for step in seen)),
        active_share=float(seen.any(axis=0).mean()),
        fetched=float(_reached(layer, seen.any(axis=0))),
    )


def _reached(layer: Layer, fired: Spikes) -> int:
    """Count the weights that inputs fetch, one by one: a weight per output that one reaches."""
    fetched = 0
    kernels = [range(size) for size in layer.weight_shape[2:]]
    for place in np.argwhere(fired):
        for _, *output in product(*(range(size) for size in layer.output_shape)):
            for taps in product(*kernels):
                starts = (out * step for out, step in zip(output, layer.stride, strict=True))
                at = [start + tap for start, tap in zip(starts, taps, strict=True)]
                fetched += list(place[1:]) == at
    return fetched


def _row(found: Any, index: int = 0) -> Counts:
    return Counts(*found.table[index])


@settings(deadline=None, max_examples=40)
@given(
    shape=st.sampled_from([("5x8", "8"), ("3x2x2x2", "2x4x5"), ("2x1x3", "1x9")]),
    steps=st.integers(1, 4),
    rate=st.floats(0, 1),
    stride=st.integers(1, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_weights_and_events_are_those_of_loops_over_spikes(
    shape: tuple[str, str], steps: int, rate: float, stride: int, seed: int
) -> None:
    weights, inputs = shape
    sizes = [int(size) for size in inputs.split("x")]
    seen = np.random.default_rng(seed).random((steps, *sizes)) < rate
    layer = _spikes(weights, inputs, seen, stride)
    demand = Demand(layer, 1, 16)
    outer, inner = _row(time_outermost(demand, UNITS)), _row(time_innermost(demand, UNITS))
    address_bits = len(f"{seen[0].size - 1:b}")
    assert outer.input_bits == pytest.approx(sum(step.sum() for step in seen) * address_bits)
    assert outer.weight_bits == pytest.approx(6 * sum(_reached(layer, step) for step in seen))
    assert inner.weight_bits == 6 * _reached(layer, seen.any(axis=0))
    assert outer.adds == inner.adds == layer.accumulates
    assert inner.weight_bits <= outer.weight_bits * (1 + 1e-9)
    assert outer.multiplies == inner.multiplies == outer.membrane_bits == inner.membrane_bits == 0


@settings(deadline=None, max_examples=60)
@given(
    filters=st.integers(1, 9), outputs=st.integers(1, 12), kernel=st.integers(1, 4),
    stride=st.integers(1, 2), steps=st.integers(1, 3), registers=st.integers(1, 64),
)  # fmt: skip
def test_words_are_read_again_once_per_set_of_sums(
    filters: int, outputs: int, kernel: int, stride: int, steps: int, registers: int
) -> None:
    """Run the sets one by one and read the inputs of their windows, for any number of filters."""
    size = (outputs - 1) * stride + kernel
    layer = one_layer(
        f"{filters}x1x{kernel}", f"1x{size}", input_bits=1, time_steps=steps, stride=str(stride),
        density=1.0,
    ).layers[0]  # fmt: skip
    found = time_innermost(Demand(layer, 1, 16), Units(8, registers, 0, SPACE))
    word = 1 + steps * (steps > 1)
    for row in range(len(found.table)):
        # the rows have 1, 2, 4 ... filters, and the last one as many as fit
        last = max(1, min(filters, registers // steps))
        at_once = last if row == len(found.table) - 1 else 2**row
        positions = min(outputs, max(1, registers // (at_once * steps)))
        read = 0
        for _ in range(0, filters, at_once):
            for first in range(0, outputs, positions):  # the last set is charged as a full one
                window = range(first, first + positions)
                read += len({at * stride + tap for at in window for tap in range(kernel)})
        assert _row(found, row).input_bits == pytest.approx(read * word)


def test_a_dense_layer_by_hand() -> None:
    # 40 inputs, a tenth of them spikes in each of 5 steps: 20 addresses of 6 bits fetch 30 weights
    # of 6 bits each; 12 inputs fire in some step: 40 bits say which, and their words have 5
    layer = one_layer("30x40", "40", weight_bits=6, input_bits=1, time_steps=5, density=0.1)
    demand = Demand(replace(layer.layers[0], active_share=0.3), 1, 16)
    outer, inner = _row(time_outermost(demand, UNITS)), _row(time_innermost(demand, UNITS), -1)
    assert (outer.weight_bits, outer.input_bits, outer.adds) == (3_600, 120, 600)
    assert (inner.weight_bits, inner.input_bits, inner.adds) == (2_160, 100, 600)
    assert (outer.cycles, inner.cycles) == (20 + 600 / 64, 12 + 600 / 64)
    assert outer.register_bits == inner.register_bits == 600 * (2 * 12 + 6)
    assert outer.output_bits == inner.output_bits == 150
    assert not outer.membrane_bits
    assert not inner.membrane_bits
    # 29 sums in registers are one less than 30 potentials of 16 bits, which move 5 times each way;
    # and 5 filters of 5 steps at once, so that the words are read 6 times
    few = UNITS._replace(sums=29)
    assert _row(time_outermost(demand, few)).membrane_bits == 2 * 5 * 30 * 16
    assert time_innermost(demand, few).table[:, 2].min() == 600
    # a readout without neurons keeps one sum over all steps, of 6 bits and 200 products: 14 bits
    readout = replace(demand, membrane_bits=0)
    assert _row(time_outermost(readout, few)).partial_bits == 2 * 5 * 30 * 14
    assert time_innermost(readout, few).table[:, 2].min() == 200


def test_a_convolution_of_activations_by_hand() -> None:
    # 16 inputs of 3 bits, half of them zero: 8 addresses of 4 bits with their values; 40 of the 72
    # products were counted as not zero
    conv = replace(
        one_layer("2x1x2x2", "1x4x4", weight_bits=6, input_bits=3, density=0.5).layers[0],
        active_share=0.5, fetched=40.0,
    )  # fmt: skip
    demand = Demand(conv, 3, 0)
    units = UNITS._replace(sums=9)  # one filter of 9 positions; the line buffer serves each set
    outer, inner = _row(time_outermost(demand, units)), _row(time_innermost(demand, units))
    assert (outer.input_bits, inner.input_bits) == (8 * (4 + 3), 2 * 16 * (1 + 0.5 * 3))
    assert outer.weight_bits == inner.weight_bits == 240
    assert outer.multiplies == inner.multiplies == outer.adds == inner.adds == 40
    # products of 6 + 3 bits, four of them: 11 bits
    assert outer.register_bits == inner.register_bits == 40 * (2 * 11 + 6 + 3)
    (first, *_) = candidates(replace(demand, of_pixels=True), CHIP, "events")
    assert first.splits is not None


def _snn(steps: int, density: float, share: float | None = None) -> Workload:
    spikes: dict[str, Any] = {"weight_bits": 6, "input_bits": 1, "density": density}
    first = one_layer("8x1x7x3x3", "1x40x5x5", weight_bits=6, stride="4x1x1").layers[0]
    second = one_layer("16x8x5x1x1", "8x9x3x3", stride="3x1x1", time_steps=steps, **spikes)
    third = one_layer("10x288", "288", time_steps=steps, **spikes)
    hidden, readout = (replace(row.layers[0], active_share=share) for row in (second, third))
    layers = (
        replace(first, name="conv1", time_steps=steps),
        replace(hidden, name="conv2"),
        replace(readout, name="fc"),
    )
    return Workload(name="snn", layers=layers)


def _cnn(bits: int, density: float = 0.4) -> Workload:
    first, *others = _snn(1, density).layers
    layers = [replace(row, input_bits=bits, repeats_input=True, membrane_bits=0) for row in others]
    return Workload(name="cnn", layers=(replace(first, membrane_bits=0), *layers))


def _energies(workload: Workload, **given: Any) -> dict[Schedule, float]:
    return {
        name: price_network(workload, CHIP, schedule=name, **given).total.energy_pj
        for name in SCHEDULES
    }


@settings(deadline=None, max_examples=25)
@given(
    steps=st.integers(1, 5), densities=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    pixels=st.sampled_from([1, 64]),
)  # fmt: skip
@example(steps=4, densities=(1.0, 0.00653), pixels=64)  # a slower mapping leaks its gain away
def test_more_spikes_never_cost_less_and_best_never_more(
    steps: int, densities: tuple[float, float], pixels: int
) -> None:
    few, many = (_snn(steps, density) for density in sorted(densities))
    if pixels > 1:
        few, many = (map_part(network, 2**17)[0] for network in (few, many))
    before, after = _energies(few, pixels=pixels), _energies(many, pixels=pixels)
    for name in SCHEDULES:
        assert after[name] >= before[name] * (1 - 1e-9)
        assert before["best"] <= before[name] * (1 + 1e-9)


@pytest.mark.parametrize("objective", ["energy", "latency", "edp"])
@pytest.mark.parametrize("network", [_snn(5, 0.2), _cnn(3), _cnn(32)])
@pytest.mark.parametrize("in_memory", [[], ["conv2"]])
def test_best_is_never_beaten_by_a_schedule(
    network: Workload, objective: Any, in_memory: list[str]
) -> None:
    prices = [price_network(network, CHIP, in_memory, objective, 1, name) for name in SCHEDULES]
    for place in range(3):
        costs = [list(price.layers[place].costs.values()) for price in prices]
        energies = [sum(cost.energy_pj for cost in row) for row in costs]
        delays = [sum(cost.delay_ns for cost in row) for row in costs]
        best = {"energy": energies, "latency": delays}.get(
            objective, [energy * delay for energy, delay in zip(energies, delays, strict=True)]
        )
        assert best[0] <= min(best) * (1 + 1e-6)


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_all_schedules_of_one_step_do_the_same_work(
    data: st.DataObject, layers: st.SearchStrategy[Layer]
) -> None:
    layer = data.draw(layers)
    demand = Demand(replace(layer, time_steps=1), 4, 16 * layer.of_spikes)
    outer, inner = (time(demand, UNITS).table for time in (time_outermost, time_innermost))
    inputs = ("input_bits", "cycles")  # addresses once, or a bitmap once per set
    same = [name not in inputs for name in Counts._fields]
    assert (outer[:, same] == inner[:, same]).all()


@settings(deadline=None, max_examples=40)
@given(data=st.data(), accumulates=st.floats(0, 1e6))
def test_time_inside_never_fetches_more_weights(
    data: st.DataObject, accumulates: float, layers: st.SearchStrategy[Layer]
) -> None:
    layer = replace(data.draw(layers), fetched=None, accumulates=accumulates)
    demand = Demand(layer, 1, 16)
    inner, outer = _row(time_innermost(demand, UNITS)), _row(time_outermost(demand, UNITS))
    assert inner.weight_bits <= outer.weight_bits * (1 + 1e-9)
    assert inner.adds == outer.adds


def _part(price: NetworkPrice, layer: str, part: str) -> float:
    (found,) = [row for row in price.layers if row.name == layer]
    return found.costs[part].energy_pj


def test_dense_weights_do_not_know_of_spikes() -> None:
    prices = [price_network(_snn(5, d), CHIP, schedule="dense") for d in (0.0, 0.1, 0.5, 1.0)]
    for layer in ("conv2", "fc"):
        reads = {_part(price, layer, "weight_reads") for price in prices}
        assert len(reads) == 1
        bits = next(row for row in _snn(5, 0.1).layers if row.name == layer).weights * 6
        assert reads.pop() == pytest.approx(bits * CHIP.weight_buffer.read_energy_pj / 64)


def test_pixels_are_multiplied_under_every_schedule() -> None:
    firsts = [price_network(_snn(5, 0.2), CHIP, schedule=name).layers[0] for name in SCHEDULES]
    assert all(first.place == "digital" for first in firsts)
    assert all(first.costs == firsts[0].costs for first in firsts)
    only = one_layer("30x40", "40", input_bits=1, time_steps=5, density=0.1)
    assert price_network(only, CHIP, schedule="events").layers[0].place == "events"


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8, 32])
def test_activations_of_any_bits_have_a_price_under_every_schedule(bits: int) -> None:
    for workload, pixels in ((_cnn(bits), 1), map_part(_cnn(bits), CHIP.activation_buffer.bits)):
        found = {n: price_network(workload, CHIP, pixels=pixels, schedule=n) for n in SCHEDULES}
        assert not any("neurons" in price.by_component() for price in found.values())
        multiplied = {
            name: sum(row.costs["multiplies"].energy_pj for row in price.layers[1:] if bits > 1)
            for name, price in found.items()
        }
        assert multiplied["events"] == pytest.approx(multiplied["dense"])
        assert found["best"].total.energy_pj <= min(p.total.energy_pj for p in found.values())


def test_layers_in_memory_are_the_same_under_every_schedule() -> None:
    every = [layer.name for layer in _snn(5, 0.2).layers]
    prices = _energies(_snn(5, 0.2), in_memory=every)
    assert len(set(prices.values())) == 1
    assert len(set(_energies(_snn(5, 0.2), in_memory=["conv2"]).values())) > 1


def test_counted_products_follow_the_windows_of_a_map() -> None:
    first, hidden, readout = _snn(5, 0.2).layers
    counted = replace(hidden, fetched=900.0, accumulates=1_800.0)
    network = Workload(name="w", layers=(first, counted, readout))
    part, pixels = map_part(network, CHIP.activation_buffer.bits)
    assert part.layers[1].fetched == pytest.approx(100.0 * pixels)
    assert part.layers[1].accumulates == pytest.approx(200.0 * pixels)
    assert part.layers[2].fetched is None


@pytest.mark.parametrize(
    ("given", "active", "fetched"),
    [
        ({}, 0.5, 600.0),
        ({"active_share": 0.3}, 0.3, 360.0),
        ({"accumulates": 200.0}, 0.5, 200.0),
        ({"active_share": 0.3, "fetched": 350.0}, 0.3, 350.0),
        ({"input_density": 0.4}, 1.0, 1_200.0),
    ],
)
def test_shares_that_are_not_counted_have_upper_bounds(
    given: dict[str, Any], active: float, fetched: float
) -> None:
    layer = one_layer("30x40", "40", input_bits=1, time_steps=5, density=0.1).layers[0]
    layer = replace(layer, **given)
    assert layer.active == pytest.approx(active)
    assert layer.fetched_products == pytest.approx(fetched)


@pytest.mark.parametrize("field", ["active_share", "fetched"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), "much", 1e19])
def test_impossible_shares_are_refused(field: str, value: object) -> None:
    layer = one_layer("30x40", "40").layers[0]
    with pytest.raises(InputError, match=field):
        replace(layer, **{field: value})  # type: ignore[arg-type]


def test_a_chip_without_accumulators_refuses_to_take_spikes(
    one_line_refusal: Callable[..., str], tmp_path: Path
) -> None:
    file, chip = tmp_path / "workload.json", tmp_path / "bare.toml"
    _snn(5, 0.2).to_json(file)
    parts = files("pim_sim").joinpath("hardware/systems/edge_22nm.toml").read_text().split("\n\n")
    kept = [part for part in parts if not part.startswith("[chip.events]")]
    assert len(kept) == len(parts) - 1
    chip.write_text("\n\n".join(kept))
    given = ("run", "--workload", str(file), "--chip", str(chip), "--schedule", "time_inner")
    assert "expected [chip.events] for the schedule time_inner" in one_line_refusal(*given)
    bare = replace(CHIP, events=None)
    for name in ("best", "dense"):
        price_network(_snn(5, 0.2), bare, schedule=name)  # type: ignore[arg-type]
    for name in ("events", "time_inner"):
        with pytest.raises(InputError, match=rf"expected \[chip.events\] for the schedule {name}"):
            price_network(_snn(5, 0.2), bare, schedule=name)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="schedule: found 'loas', expected one of best, events"):
        price_network(_snn(5, 0.2), CHIP, schedule="loas")  # type: ignore[arg-type]


def test_the_command_prints_all_schedules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "workload.json"
    _snn(5, 0.2).to_json(file)
    given = ["run", "--workload", str(file), "--chip", "edge_22nm", "--schedule", "time_inner"]
    main(given)
    text = capsys.readouterr().out
    assert "schedule time_inner" in text.splitlines()[0]
    main([*given, "--json"])
    (network,) = json.loads(capsys.readouterr().out)["network"].values()
    assert network["schedule"] == "time_inner"
    expected = _energies(_snn(5, 0.2))
    found = {name: row["energy_pj"] for name, row in network["schedules"].items()}
    assert found == pytest.approx(expected)
    assert network["energy_pj"] == pytest.approx(expected["time_inner"])
    assert network["alternatives"]["none"]["energy_pj"] == network["energy_pj"]
