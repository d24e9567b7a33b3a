"""Whole networks on a chip: counts by hand, sums, and what must grow with what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import InputError, Layer, NetworkPrice, Operation, Workload, load_chip, price_network
from pim_sim.cost_model import Cost, tile
from pim_sim.hardware import Chip
from pim_sim.network import (
    chip_area_mm2,
    demands,
    digital_equal,
    map_part,
    price_designs,
    widened,
)
from pim_sim.workload import one_layer

CHIP = load_chip("edge_22nm")
MULTIPLY, ADD = CHIP.core.multiply_energy_pj, CHIP.core.add_energy_pj  # of 8 bits
REGISTER, READ = CHIP.core.register_energy_pj, CHIP.weight_buffer.read_energy_pj / 64  # of a bit


def _layer(name: str, weights: str, inputs: str, **given: Any) -> Layer:
    return replace(one_layer(weights, inputs, **{"weight_bits": 6, **given}).layers[0], name=name)


def _snn(steps: int = 5, density: float = 0.2) -> Workload:
    spikes = {"input_bits": 1, "time_steps": steps, "density": density}
    return Workload(
        name="snn",
        layers=(
            replace(
                _layer("conv1", "8x1x7x3x3", "1x40x5x5", input_bits=8, stride="4x1x1"),
                time_steps=steps,
            ),
            _layer("conv2", "16x8x5x1x1", "8x9x3x3", stride="3x1x1", **spikes),
            _layer("fc", "10x288", "288", **spikes),
        ),
    )


def _cnn() -> Workload:
    return Workload(
        name="cnn",
        layers=tuple(
            replace(layer, input_bits=8, time_steps=1, repeats_input=True)
            for layer in _snn().layers
        ),
    )


def _energy(price: NetworkPrice, layer: str, part: str) -> float:
    (found,) = [row for row in price.layers if row.name == layer]
    return found.costs[part].energy_pj


def test_neurons_and_membranes_are_counted() -> None:
    price = price_network(_snn(), CHIP)
    assert [demand.membrane_bits for demand in demands(_snn())] == [16, 16, 0]
    # 8 x 9 x 3 x 3 neurons, 5 steps: a product of 16 and 8 bits at 8 x 8, three
    # additions of 16 bits, and a register of 16 bits
    update = MULTIPLY * 16 * 8 / 64 + 3 * ADD * 2 + 16 * REGISTER
    assert _energy(price, "conv1", "neurons") == pytest.approx(648 * 5 * update)
    # spikes are written one bit each
    assert _energy(price, "conv1", "output_writes") == pytest.approx(648 * 5 * READ)
    with pytest.raises(KeyError):
        _energy(price, "fc", "neurons")
    stated = replace(_snn().layers[1], membrane_bits=8)
    layers = (_snn().layers[0], stated, _snn().layers[2])
    assert demands(Workload(name="w", layers=layers))[1].membrane_bits == 8


def test_a_quantized_cnn_scales_every_output() -> None:
    price = price_network(_cnn(), CHIP)
    # sums of 6 + 8 bits and 63 products have 20, and become 8 bits: one product, one addition
    energy = MULTIPLY * 20 * 8 / 64 + ADD * 20 / 8
    assert _energy(price, "conv1", "activations") == pytest.approx(648 * energy)
    assert "neurons" not in price.by_component()


def test_one_dense_layer_on_paper() -> None:
    # 4,096 weights of 6 bits are read once and loaded once in 21,025 pixels; 64 inputs of 8 bits
    # arrive, and are read once; 64 sums of 6 + 8 + 6 bits are written
    price = price_network(one_layer("64x64", "64", weight_bits=6), CHIP)
    assert _energy(price, "layer", "weight_reads") == pytest.approx(4_096 * 6 * READ)
    assert _energy(price, "layer", "input_reads") == pytest.approx(512 * READ)
    assert _energy(price, "layer", "arrival") == pytest.approx(512 * (READ + 0.064))
    assert _energy(price, "layer", "output_writes") == pytest.approx(64 * 20 * READ)
    moved = 4_096 * 6 + 512 + 64 * 20
    assert _energy(price, "layer", "links") == pytest.approx(moved * 0.064)
    assert _energy(price, "layer", "multiplies") == pytest.approx(4_096 * MULTIPLY * 48 / 64)
    assert _energy(price, "layer", "adds") == pytest.approx(4_096 * ADD * 20 / 8)
    load = 4_096 * 6 * (1_950 / 64 + READ)
    assert _energy(price, "layer", "weight_loading") == pytest.approx(load / 21_025)
    # 4,096 products on 256 multipliers take 16 cycles; 24,576 bits of weights 48, 512 at a time
    fast = price_network(one_layer("64x64", "64", weight_bits=6), CHIP, objective="latency")
    assert fast.total.delay_ns == pytest.approx(48 * 2)


@pytest.mark.parametrize("in_memory", [[], ["layer"]])
def test_a_dense_layer_larger_than_the_chip_on_both_sides(in_memory: list[str]) -> None:
    # 24,576,000 bits of weights from DRAM for every pixel, at 1,950 pJ and 2 ns for 64 bits, and
    # written into a buffer, are all but what computing adds
    workload = one_layer("1000x4096", "4096", weight_bits=6)
    price = price_network(workload, CHIP, in_memory)
    by_hand = 24_576_000 * (1_950 / 64 + READ)
    assert by_hand < price.total.energy_pj < 1.05 * by_hand
    assert price.total.delay_ns == pytest.approx(768_000)
    roomy = replace(CHIP, weight_buffer=replace(CHIP.weight_buffer, kilobytes=4_096))
    resident = price_network(workload, roomy).total.energy_pj
    assert resident == pytest.approx(24_576_000 * (READ + 0.064), rel=0.3)


def test_layers_stay_in_the_buffer_in_order_while_it_has_space() -> None:
    layers = tuple(_layer(f"fc{i}", "512x512", "512", weight_bits=8) for i in range(1, 3))
    workload = Workload(name="two", layers=layers)  # 256 KB each, where 256 KB are
    first, second = price_network(workload, CHIP).layers
    load = 2_097_152 * (1_950 / 64 + READ)
    assert first.costs["weight_loading"].energy_pj == pytest.approx(load / 21_025)
    assert second.costs["weight_loading"].energy_pj == pytest.approx(load)
    delay = sum(cost.delay_ns for cost in second.costs.values())
    assert delay == pytest.approx(2_097_152 / 32)


def test_macros_keep_the_largest_layers_and_exchange_the_rest() -> None:
    assert CHIP.macro is not None
    few = replace(CHIP, macro=replace(CHIP.macro, copies=3))
    # 8 words of 64 rows x 21 weights: 24 arrays of 64 x 21, so 512 x 21 x 2 are 2 macros
    layers = (
        _layer("a", "42x512", "512"), _layer("b", "84x512", "512"), _layer("c", "21x64", "64"),
    )  # fmt: skip
    price = price_network(Workload(name="w", layers=layers), few, ["a", "b", "c"])
    stay = {layer.name: layer.weights_stay for layer in price.layers}
    assert stay == {"a": True, "b": False, "c": False}
    enough = replace(CHIP, macro=replace(CHIP.macro, copies=7))
    price = price_network(Workload(name="w", layers=layers), enough, ["a", "b", "c"])
    assert all(layer.weights_stay for layer in price.layers)


@pytest.mark.parametrize("in_memory", [[], ["conv1"], ["conv1", "conv2", "fc"]])
@pytest.mark.parametrize("name", ["edge_22nm", "edge_65nm"])
@pytest.mark.parametrize("network", [_snn(), _cnn()])
def test_components_sum_to_the_totals(name: str, in_memory: list[str], network: Workload) -> None:
    answer = price_network(network, load_chip(name), in_memory).to_dict()
    costs = [cost for layer in answer["breakdown"].values() for cost in layer.values()]
    assert sum(cost["energy_pj"] for cost in costs) == pytest.approx(answer["energy_pj"])
    assert sum(cost["delay_ns"] for cost in costs) == pytest.approx(answer["latency_ns"])
    assert min(cost["energy_pj"] for cost in costs) >= 0
    assert answer["edp"] == pytest.approx(answer["energy_pj"] * answer["latency_ns"])
    assert set(answer["breakdown"]) == {"conv1", "conv2", "fc"}
    for quantity in ("energy_pj", "latency_ns", "edp"):
        low, high = answer["interval"][quantity]
        assert low < answer[quantity] < high
    assert answer["throughput_per_s"] >= 1e9 / answer["latency_ns"] * (1 - 1e-12)


def test_layers_in_memory_work_on_pixels_of_their_own() -> None:
    price = price_network(_snn(), CHIP, ["conv1", "conv2", "fc"])
    delays = [sum(cost.delay_ns for cost in layer.costs.values()) for layer in price.layers]
    assert price.interval_ns == pytest.approx(max(delays))
    mixed = price_network(_snn(), CHIP, ["conv1"])
    delays = [sum(cost.delay_ns for cost in layer.costs.values()) for layer in mixed.layers]
    assert mixed.interval_ns == pytest.approx(max(delays[0], delays[1] + delays[2]))


@settings(deadline=None, max_examples=40)
@given(
    data=st.data(),
    where=st.sampled_from([(), ("layer",)]),
    what=st.sampled_from(["weight_bits", "input_bits", "density", "steps"]),
)
def test_more_bits_spikes_and_steps_never_cost_less(
    data: st.DataObject, layers: st.SearchStrategy[Layer], where: tuple[str, ...], what: str
) -> None:
    layer = replace(data.draw(layers), name="layer", repeats_input=False)
    if what == "density":
        more = replace(layer, input_density=min(1.0, layer.input_density + 0.2))
    elif what == "steps":
        layer = replace(layer, input_bits=1)
        more = replace(layer, time_steps=layer.time_steps + 1)
    elif what == "input_bits":
        layer = replace(layer, input_bits=max(2, layer.input_bits))
        more = replace(layer, input_bits=layer.input_bits + 1)
    else:
        more = replace(layer, weight_bits=layer.weight_bits + 1)
    less_pj, more_pj = (
        price_network(Workload(name="w", layers=(row,)), CHIP, where).total.energy_pj
        for row in (layer, more)
    )
    assert more_pj >= less_pj * (1 - 1e-9)


@settings(deadline=None, max_examples=20)
@given(smaller=st.floats(7, 120), larger=st.floats(7, 120), where=st.sampled_from([(), ("fc",)]))
def test_a_larger_node_never_costs_less(
    smaller: float, larger: float, where: tuple[str, ...]
) -> None:
    smaller, larger = sorted((smaller, larger))
    energies = [
        price_network(_snn(), CHIP.moved(node_nm=node, supply_v=0.9), where).total.energy_pj
        for node in (smaller, larger)
    ]
    assert energies[1] >= energies[0] * (1 - 1e-9)


@settings(deadline=None, max_examples=20)
@given(rows=st.integers(8, 200), more=st.integers(1, 200))
def test_more_rows_never_take_more_conversions(rows: int, more: int) -> None:
    assert CHIP.macro is not None
    found = []
    for count in (rows, rows + more):
        macro = replace(CHIP.macro, array=replace(CHIP.macro.array, rows=count))
        found.append([tile(layer, macro, CHIP.mapping).conversions for layer in _cnn().layers])
    assert all(after <= before for before, after in zip(*found, strict=True))


def test_objectives_give_what_they_ask_for() -> None:
    energy, latency, edp = (
        price_network(_snn(), CHIP, objective=objective).total
        for objective in ("energy", "latency", "edp")  # type: ignore[arg-type]
    )
    assert energy.energy_pj < min(latency.energy_pj, edp.energy_pj * (1 + 1e-9))
    assert latency.delay_ns < min(energy.delay_ns, edp.delay_ns * (1 + 1e-9))


def test_poolings_and_residuals_are_charged() -> None:
    pool = Operation(
        name="pool", kind="max_pool", input_shape=(16, 6, 6), kernel=(2, 2), bits=8, time_steps=2
    )
    add = Operation(name="add", kind="add", input_shape=(16, 6, 6), bits=8)
    assert (pool.stride, pool.outputs, pool.additions, pool.operands) == ((2, 2), 144, 432, 576)
    assert (add.outputs, add.additions, add.operands) == (576, 576, 1_152)
    workload = replace(one_layer("64x64", "64"), operations=(pool, add))
    price, bare = (price_network(row, CHIP) for row in (workload, one_layer("64x64", "64")))
    # comparisons of 8 bits; 720 values of 8 bits pass, each read and moved
    assert _energy(price, "pool", "adds") == pytest.approx(2 * 432 * ADD)
    assert _energy(price, "pool", "input_reads") == pytest.approx(2 * 720 * 8 * (READ + 0.064))
    assert _energy(price, "add", "adds") == pytest.approx(576 * ADD * 9 / 8)
    more = sum(c.energy_pj for row in price.layers[1:] for c in row.costs.values())
    assert price.total.energy_pj == pytest.approx(bare.total.energy_pj + more)


def test_windows_of_a_map_share_their_work() -> None:
    part, pixels = map_part(_cnn(), CHIP.activation_buffer.bits)
    side = int(pixels**0.5)
    # conv1 has one position per pixel where a window has 3 x 3; fc reads windows of 3 x 3 outputs
    first, second, last = part.layers
    assert first.output_shape == (8, 9, side + 2, side + 2) or first.output_shape[2:] == (
        side,
        side,
    )
    assert second.output_shape[2:] == (side, side)
    assert last.output_shape == (10, side, side)
    assert last.weight_shape == (10, 32, 3, 3)
    assert all(demand.kept_bits <= CHIP.activation_buffer.bits for demand in demands(part))
    single, shared = price_network(_cnn(), CHIP), price_network(part, CHIP, pixels=pixels)
    assert shared.total.energy_pj < single.total.energy_pj
    assert shared.total.delay_ns < single.total.delay_ns


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (_layer("c", "8x1x7x3x3", "1x40x5x5", stride="1x2x2"), "stride (2, 2)"),
        (_layer("c", "8x4x3x3", "4x5x5", padding="1"), "padding (1, 1)"),
        (_layer("c", "8x1x7", "1x40"), "found conv1d"),
    ],
)
def test_windows_that_share_nothing_are_refused(layer: Layer, named: str) -> None:
    with pytest.raises(InputError) as error:
        map_part(Workload(name="w", layers=(layer,)), 2**20)
    assert named in str(error.value)


def test_a_digital_chip_of_equal_area_or_throughput() -> None:
    def price(chip: Chip) -> NetworkPrice:
        return price_network(_snn(), chip, objective="latency")

    asked = price_network(_snn(), CHIP, ["conv1"])
    times, found = digital_equal(CHIP, asked, "area", price)
    assert found.area_mm2 <= asked.area_mm2 < chip_area_mm2(widened(CHIP, times + 1))
    times, found = digital_equal(CHIP, asked, "throughput", price)
    assert found.interval_ns <= asked.interval_ns
    assert times == 1 or price(widened(CHIP, times // 2)).interval_ns > asked.interval_ns


@pytest.mark.parametrize("in_memory", [(), ("conv1",)])
def test_many_designs_are_the_single_ones(
    in_memory: tuple[str, ...], chip_with: Callable[[Chip, dict[str, Any]], Chip]
) -> None:
    axes: dict[str, list[Any]] = {
        "core.multipliers": [64, 256],
        "supply_v": [0.8, 0.9],
        "clock_ns": [1.0, 4.0],
        "weight_buffer.read_energy_pj": [1.0, 8.0],
        "links.bit_energy_pj": [0.01, 0.2],
    }
    designs = price_designs(_snn(), CHIP, axes, in_memory)
    assert len(designs.energy_pj) == 32
    for index in range(0, 32, 5):
        fields = {name: values[index] for name, values in designs.fields.items()}
        single = price_network(_snn(), chip_with(CHIP, fields), in_memory)
        total = Cost(designs.energy_pj[index], designs.latency_ns[index])
        assert single.total.energy_pj == pytest.approx(total.energy_pj)
        assert single.total.delay_ns == pytest.approx(total.delay_ns)
        assert single.total.edp == pytest.approx(designs.edp[index])
        assert single.area_mm2 == pytest.approx(designs.area_mm2[index])


def test_unknown_layers_and_chips_without_macros_are_refused() -> None:
    with pytest.raises(InputError, match="found 'conv9', expected one of conv1, conv2, fc"):
        price_network(_snn(), CHIP, ["conv9"])
    with pytest.raises(InputError, match="edge_22nm: found no macro"):
        price_network(_snn(), replace(CHIP, macro=None), ["conv1"])
    with pytest.raises(InputError, match="clock_ns: found no value"):
        price_designs(_snn(), CHIP, {"clock_ns": []})
    with pytest.raises(InputError, match="clock_ns"):
        price_designs(_snn(), CHIP, {"clock_ns": [-1.0]})
