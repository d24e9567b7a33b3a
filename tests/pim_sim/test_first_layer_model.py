from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import Hardware, InputError, Layer, Workload, load_hardware, simulate, simulate_layer
from pim_sim.cost_model import Design, place
from pim_sim.hardware import Array


def _linear(features: int, outputs: int, bits: int) -> Layer:
    return Layer(
        name="fc",
        kind="linear",
        input_shape=(features,),
        weight_shape=(outputs, features),
        stride=(),
        padding=(),
        weight_bits=bits,
        input_bits=bits,
        signed=True,
        time_steps=3,
        input_density=1.0,
        repeats_input=True,
    )


OVERHEADS = ("weight_loading", "leakage")


def _energies(design: Design) -> dict[str, float]:
    """Return the energies without those of loading and leakage, which have their own tests."""
    return {k: cost.energy_pj for k, cost in design.components.items() if k not in OVERHEADS}


def _delays(design: Design) -> dict[str, float]:
    costs = {name: cost.delay_ns for name, cost in design.components.items() if cost.delay_ns}
    return {name: delay for name, delay in costs.items() if name not in OVERHEADS}


def test_two_by_two_layer_on_paper(toy: Hardware) -> None:
    report = simulate_layer(_linear(features=2, outputs=2, bits=2), toy)
    # Digital: 4 weights of 2 bits are 2 words of 4 bits; 2 multipliers make 2 passes over 1
    # position, each reading 2 inputs of 2 bits, so 1 word; 4 products of 4 pJ; 4 additions of
    # 2 + 2 + 1 = 5 bits at 1 pJ for 2 bits; control 5 % of both; 2 sums of 5 bits are 3 words.
    assert _energies(report.digital) == {
        "weight_reads": 2.0,
        "input_reads": 2.0,
        "multiplies": 16.0,
        "adds": 10.0,
        "control": pytest.approx(1.3),
        "output_writes": 3.0,
    }
    assert _delays(report.digital) == {"weight_reads": 2.0, "multiplies": 2.0}
    # In memory: a row holds 2 weights, so 1 output: 2 word rows, and as each takes 2 of 2 rows,
    # 2 arrays. 2 reads of 2 columns; 4 products of 0.5 pJ; 2 conversions of 10 pJ. One bank holds
    # one array, so its weights are exchanged, and 1 word of input is read for either filter.
    assert _energies(report.in_memory) == {
        "functional_reads": 4.0,
        "bit_line_processing": 2.0,
        "conversions": 20.0,
        "partial_sums": 0.0,
        "input_reads": 2.0,
        "control": pytest.approx(1.3),
        "output_writes": 3.0,
    }
    assert _delays(report.in_memory) == {
        "functional_reads": 6.0,
        "bit_line_processing": 4.0,
        "conversions": 10.0,
    }
    assert report.utilisation.layout.arrays == 2
    # 4 weights of 2 bits from DRAM at 1,950 pJ for 64 bits, 2 words of 1 pJ and 1 ns to write, over
    # 21,025 pixels where they stay, and for every pixel where one bank exchanges them; 10 pW a cell
    # or gate of 0.9 V: 8 cells of weights and 4 of inputs, and of each multiplier 4 full adders of
    # 7.8 and as many gates, with 5 adders and registers of 7.8 + 6; in memory 1 array of 4 cells.
    for design, cells, energy, delay, pixels in (
        (report.digital, 8 + 4 + 2 * (4 * 8.8 + 5 * 13.8), 34.3, 4, 21_025),
        (report.in_memory, 4 + 4, 32.3, 20, 1),
    ):
        load = (8 * 1950 / 64 + 2 * 1) / pixels
        loading, leakage = (design.components[name] for name in OVERHEADS)
        assert (loading.energy_pj, loading.delay_ns) == pytest.approx((load, 2 / pixels))
        assert (leakage.energy_pj, leakage.delay_ns) == pytest.approx((cells * delay * 1e-8, 0))
        total = design.total
        assert total.energy_pj == pytest.approx(energy + load + cells * delay * 1e-8)
        assert total.delay_ns == pytest.approx(delay + 2 / pixels)
    versus, energies = report.comparison, [d.total for d in (report.digital, report.in_memory)]
    first, second = energies
    assert versus.energy.factor == pytest.approx(first.energy_pj / second.energy_pj)
    assert versus.energy.saved == pytest.approx(1 - second.energy_pj / first.energy_pj)
    assert versus.delay.saved == pytest.approx(1 - second.delay_ns / first.delay_ns)
    assert versus.edp.factor == pytest.approx(versus.energy.factor * versus.delay.factor)


def test_sum_longer_than_a_row_and_bits_wider_than_a_column_on_paper(toy: Hardware) -> None:
    # 4-bit weights take 2 columns of 2 bits, so a row of 2 columns holds 1 weight and the sum of 3
    # products is split over 3 word rows; 4-bit inputs take 2 steps. So 1 output makes 3 * 2 = 6
    # reads and conversions, 3 * 2 * 2 = 12 column products, and 5 additions of partial sums of
    # 4 + 4 + 2 = 10 bits (5 pJ each). 3 inputs of 4 bits are 3 words.
    report = simulate_layer(_linear(features=3, outputs=1, bits=4), toy)
    assert _energies(report.in_memory) == {
        "functional_reads": 12.0,
        "bit_line_processing": 6.0,
        "conversions": 60.0,
        "partial_sums": 25.0,
        "input_reads": 3.0,
        "control": pytest.approx(0.05 * 103),
        "output_writes": 3.0,
    }
    assert sum(_delays(report.in_memory).values()) == 6 * (3 + 2 + 5)
    assert report.utilisation.columns == 1.0


def test_indian_pines_layer_on_sram_65nm_on_paper(conv1: Layer) -> None:
    report = simulate_layer(conv1, load_hardware("sram_65nm"))
    # 540 weights x 6 bits = 3,240 bits = 51 words, or 13 reads of 4 banks; ceil(540 / 175) = 4
    # passes over 1,782 positions; 5,000 inputs x 6 bits = 469 words a pass; sums of 6 + 6 + 5 bits,
    # 35,640 of which are 9,467 words.
    products = 962_280 * 0.9 * 36 / 64
    sums = 962_280 * 0.04966 * 17 / 8
    assert _energies(report.digital) == pytest.approx(
        {
            "weight_reads": 51 * 5.2,
            "input_reads": 4 * 469 * 5.2,
            "multiplies": products,
            "adds": sums,
            "control": 0.05 * (products + sums),
            "output_writes": 9_467 * 5.2,
        }
    )
    assert _delays(report.digital) == {"weight_reads": 13 * 4.0, "multiplies": 4 * 1_782 * 4.0}
    # 256 columns hold 9 filters of 27: 3 word rows, 3 x 1,782 = 5,346 reads, 1,337 rounds of 4
    # banks; 35,640 conversions, each 6 x (0.00653 x 27 + 0.640) x 65 / 28 = 11.37 ns, so that by
    # the survey ln E = -4.8798 + 0.5885 x 6 + 0.01269 x 36 + 0.04574 ln 87.95e6 + 0.4774 ln 65
    # - 0.2757 x 7 - 0.1508 = -0.1432: 0.8666 pJ each, 30.9 nJ.
    assert _energies(report.in_memory) == pytest.approx(
        {
            "functional_reads": 5_346 * 256 * 0.08125,
            "bit_line_processing": 962_280 * 0.08,
            "conversions": 35_640 * 0.8666,
            "partial_sums": 0.0,
            "input_reads": 469 * 5.2,
            "control": 0.05 * (5_346 * 256 * 0.08125 + 962_280 * 0.08 + 35_640 * 0.8666),
            "output_writes": 9_467 * 5.2,
        },
        rel=2e-3,
    )
    assert report.in_memory.total.delay_ns == pytest.approx(1_337 * (4 + 4 + 11.3702), rel=1e-5)


def test_first_layer_of_a_workload_is_the_one_simulated(conv1: Layer, toy: Hardware) -> None:
    other = _linear(features=2, outputs=2, bits=2)
    assert simulate(Workload(name="w", layers=(other, conv1)), toy).layer == other


def test_weight_wider_than_a_row_is_refused(toy: Hardware) -> None:
    with pytest.raises(InputError, match=r"array\.columns: found 2, expected at least 3: .*'fc'"):
        simulate_layer(_linear(features=2, outputs=2, bits=6), toy)


@settings(deadline=None)
@given(data=st.data(), columns=st.integers(12, 80))
def test_placement_equals_filling_rows_one_filter_at_a_time(
    data: st.DataObject, layers: st.SearchStrategy[Layer], columns: int, toy: Hardware
) -> None:
    array = replace(toy.engine.array, rows=24, columns=columns, weight_bits_per_column=4)
    layer = data.draw(layers)
    placement = place(layer, array)
    rows = list(_rows_filled_plainly(layer, array))
    assert placement.word_rows == len(rows)
    used = sum(weights * placement.columns_per_weight for weights in rows)
    assert placement.column_utilisation == pytest.approx(used / (len(rows) * columns))
    assert placement.columns_per_group * placement.groups_per_row <= columns
    rows_a_word = min(layer.weight_bits, 4)
    assert (placement.arrays - 1) * (24 // rows_a_word) < len(rows)
    assert placement.arrays * (24 // rows_a_word) >= len(rows)


def _rows_filled_plainly(layer: Layer, array: Array) -> Iterable[int]:
    """Yield the weights of each word row; a sum shares its row only where it fits whole."""
    capacity = array.columns // -(-layer.weight_bits // array.weight_bits_per_column)
    held = 0
    for filter in range(layer.filters):
        another_group = filter % layer.filters_per_group == 0
        if held and (another_group or held + layer.fan_in > capacity):
            yield held
            held = 0
        left = layer.fan_in
        while left > capacity:
            yield capacity
            left -= capacity
        held += left
        if layer.fan_in > capacity:
            yield held
            held = 0
    if held:
        yield held


@settings(deadline=None)
@given(data=st.data(), name=st.sampled_from(["sram_65nm", "sram_45nm"]))
def test_components_sum_to_the_totals_that_are_reported(
    data: st.DataObject, layers: st.SearchStrategy[Layer], name: str
) -> None:
    report = simulate_layer(data.draw(layers), load_hardware(name)).to_dict()
    for design in ("digital", "in_memory"):
        for quantity in ("energy_pj", "delay_ns"):
            parts = [cost[quantity] for cost in report["breakdown"][design].values()]
            assert sum(parts) == pytest.approx(report[design][quantity])
            assert min(parts) >= 0
        product = report[design]["energy_pj"] * report[design]["delay_ns"]
        assert report[design]["edp_pj_ns"] == pytest.approx(product)
    for quantity, key in (("energy", "energy_pj"), ("delay", "delay_ns"), ("edp", "edp_pj_ns")):
        factor = report["digital"][key] / report["in_memory"][key]
        assert report["ratio"][quantity]["factor"] == pytest.approx(factor)
        assert report["ratio"][quantity]["saved"] == pytest.approx(1 - 1 / factor)


def _grown(layer: Layer, what: str) -> Layer:
    if what == "filters":
        more = layer.filters + layer.groups
        return replace(layer, weight_shape=(more, *layer.weight_shape[1:]))
    if what == "channels":
        return replace(
            layer,
            input_shape=(layer.input_shape[0] + layer.groups, *layer.input_shape[1:]),
            weight_shape=(layer.filters, layer.weight_shape[1] + 1, *layer.weight_shape[2:]),
        )
    if what == "positions" and layer.kind != "linear":
        deeper = layer.input_shape[1] + layer.stride[0]
        return replace(layer, input_shape=(layer.input_shape[0], deeper, *layer.input_shape[2:]))
    if what == "weight bits":
        return replace(layer, weight_bits=layer.weight_bits + 1)
    return replace(layer, input_bits=layer.input_bits + 1)


@settings(deadline=None, max_examples=200)
@given(
    data=st.data(),
    what=st.sampled_from(["filters", "channels", "positions", "weight bits", "input bits"]),
)
def test_more_work_never_costs_less_on_either_side(
    data: st.DataObject, layers: st.SearchStrategy[Layer], what: str
) -> None:
    hardware = load_hardware("sram_65nm")
    layer = data.draw(layers)
    less, more = simulate_layer(layer, hardware), simulate_layer(_grown(layer, what), hardware)
    # multiplications grow with the product of the bits, so the digital side always pays more
    assert more.digital.total.energy_pj > less.digital.total.energy_pj
    assert more.digital.total.delay_ns >= less.digital.total.delay_ns
    assert more.in_memory.total.energy_pj >= less.in_memory.total.energy_pj
    assert more.in_memory.total.delay_ns >= less.in_memory.total.delay_ns


@settings(deadline=None)
@given(data=st.data(), steps=st.integers(1, 20))
def test_layer_is_charged_once_a_step_unless_its_input_repeats(
    data: st.DataObject, layers: st.SearchStrategy[Layer], steps: int
) -> None:
    hardware = load_hardware("sram_65nm")
    layer = replace(data.draw(layers), time_steps=steps)
    once = simulate_layer(replace(layer, repeats_input=True), hardware)
    each = simulate_layer(replace(layer, repeats_input=False), hardware)
    for design in ("digital", "in_memory"):
        first, every = getattr(once, design).components, getattr(each, design).components
        for name in first:
            times = (
                1 if name == "weight_loading" else steps
            )  # loaded once, however often it is used
            assert every[name].energy_pj == pytest.approx(times * first[name].energy_pj)
            assert every[name].delay_ns == pytest.approx(times * first[name].delay_ns)


def test_published_delay_equation_holds_with_fractional_words(conv1: Layer) -> None:
    # B_IO / B_W = 64 / 6 is no whole number: ceil(540 / (64 / 6 * 4)) = ceil(12.66) = 13 reads
    hardware = load_hardware("sram_65nm")
    words = 540 / (64 / 6 * 4)
    reads = simulate_layer(conv1, hardware).digital.components["weight_reads"]
    assert 12 < words < 13
    assert reads.delay_ns == 13 * hardware.memory.read_time_ns


def test_the_papers_equations_have_no_control_and_write_no_outputs(conv1: Layer) -> None:
    hardware = load_hardware("ace_snn")
    paper = simulate_layer(conv1, hardware)
    whole = simulate_layer(conv1, replace(hardware, complete=True))
    for design in ("digital", "in_memory"):
        less, more = (getattr(report, design).components for report in (paper, whole))
        assert {"control", "output_writes"} == set(more) - set(less)
        assert {name: more[name] for name in less} == less
