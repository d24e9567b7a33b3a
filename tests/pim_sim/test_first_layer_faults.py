"""Layers that a first-layer comparison once priced wrongly, each with a count on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pim_sim import load_hardware, simulate_layer
from pim_sim.cost_model import price, tile
from pim_sim.errors import InputError
from pim_sim.hardware import CellArray, Converter, Input, Logic, Macro, Mapping
from pim_sim.workload import one_layer

DENSE = one_layer("1000x4096", "4096", weight_bits=6, input_bits=8).layers[0]


def _macro(rows: int, columns: int, copies: int = 1, depth: int = 1) -> Macro:
    return Macro(
        name="paper",
        description="on paper",
        node_nm=28,
        supply_v=1,
        array=CellArray(cell="charge", rows=rows, columns=columns, depth=depth),
        input=Input(),
        converter=Converter(bits=6),
        logic=Logic(),
        cycle_ns=10,
        copies=copies,
    )


def test_a_pass_reads_only_the_inputs_that_its_weights_touch() -> None:
    # 4,096,000 weights, each with an input of its own 8 bits, in words of 64 bits
    hardware = load_hardware("sram_65nm")
    digital = simulate_layer(DENSE, hardware).digital.components
    assert digital["input_reads"].energy_pj == pytest.approx(4_096_000 * 8 / 64 * 5.2)
    assert digital["weight_reads"].energy_pj == pytest.approx(4_096_000 * 6 / 64 * 5.2)


def test_a_pass_of_a_convolution_reads_the_channels_that_it_touches() -> None:
    # 2 filters of 8 channels of 9 weights on 36 multipliers are 4 passes of 4 channels each; a
    # channel is 25 values of 8 bits
    layer = one_layer("2x8x3x3", "8x5x5").layers[0]
    hardware = load_hardware("sram_65nm")
    digital = replace(hardware.digital, multipliers=36)
    read = simulate_layer(layer, replace(hardware, digital=digital)).digital
    assert read.components["input_reads"].energy_pj == pytest.approx(4 * 4 * 25 * 8 / 64 * 5.2)
    # one multiplier more: all but the first pass meet a fifth channel
    digital = replace(hardware.digital, multipliers=37)
    read = simulate_layer(layer, replace(hardware, digital=digital)).digital
    passes = [5, 5, 5, 4]  # of weights 0-36, 37-73, 74-110, 111-143, in blocks of 9
    assert read.components["input_reads"].energy_pj == pytest.approx(sum(passes) * 25 / 8 * 5.2)


@pytest.mark.parametrize("name", ["charge_65nm", "c2c_22nm", "sram_65nm"])
def test_weights_that_the_arrays_lack_are_exchanged_for_every_pixel(name: str) -> None:
    # 24,576,000 bits from DRAM at 1,950 pJ for 64 bits are 748,800 nJ, and 768,000 ns at 32 per ns
    report = simulate_layer(DENSE, load_hardware(name))
    loading = report.in_memory.components["weight_loading"]
    assert 748_800e3 < loading.energy_pj < 1.01 * 748_800e3
    assert loading.delay_ns == pytest.approx(768_000)
    assert report.comparison.energy.factor < 0.02


def test_delay_and_area_are_of_the_same_macros() -> None:
    hardware = load_hardware("charge_65nm")
    report = simulate_layer(DENSE, hardware)
    layout = report.utilisation.layout
    # 16 row groups of 256 rows; 42 weights of 6 columns per row, so 24 tiles of 1,000 filters
    assert (layout.row_groups, layout.column_tiles, layout.arrays) == (16, 24, 384)
    assert (layout.exchanges, layout.rounds) == (96, 96)
    assert isinstance(hardware.engine, Macro)
    assert report.in_memory.area_mm2 == pytest.approx(price(hardware.engine, 8, 6).area_mm2)
    # inputs are read once for each tile of filters that the weights are exchanged for
    reads = 24 * 4096 * 8 / 64 * hardware.memory.read_energy_pj
    assert report.in_memory.components["input_reads"].energy_pj == pytest.approx(reads)


def test_banks_that_share_the_reads_hold_a_copy_each() -> None:
    # 540 weights of 6 bits fill a part of one array, so all 4 banks hold them: 203 words written
    layer = one_layer("20x1x3x3x3", "1x200x5x5", weight_bits=6, input_bits=6).layers[0]
    hardware = load_hardware("sram_65nm")
    once = replace(hardware, mapping=Mapping(pixels_per_load=1))
    loading = simulate_layer(layer, once).in_memory.components["weight_loading"]
    assert loading.energy_pj == pytest.approx(3_240 * 1_950 / 64 + 203 * 5.2)


@pytest.mark.parametrize("name", ["charge_65nm", "c2c_22nm"])
@pytest.mark.parametrize("bits", [1, 8])
def test_zeros_cost_no_products_on_either_side(name: str, bits: int) -> None:
    layer = one_layer("16x32x3x3", "32x5x5", weight_bits=6, input_bits=bits).layers[0]
    hardware = load_hardware(name)

    def products(density: float) -> tuple[float, float]:
        report = simulate_layer(replace(layer, input_density=density), hardware)
        digital, memory = report.digital.components, report.in_memory.components
        return (
            digital["multiplies"].energy_pj + digital["adds"].energy_pj,
            memory["cells"].energy_pj,
        )

    full, tenth, none = products(1.0), products(0.1), products(0.0)
    assert tenth[0] == pytest.approx(0.1 * full[0])
    assert none[0] == 0
    if name == "charge_65nm":  # a ladder has a square law of its input, and a constant for its bits
        assert tenth[1] == pytest.approx(0.1 * full[1])
        assert none[1] == 0
    assert none[1] <= tenth[1] <= full[1]


def test_spikes_are_added_and_not_multiplied_in_a_first_layer() -> None:
    layer = one_layer("4x10", "10", weight_bits=6, input_bits=1, density=0.25).layers[0]
    hardware = load_hardware("sram_65nm")
    digital = simulate_layer(layer, hardware).digital.components
    assert digital["multiplies"].energy_pj == 0
    # 40 products, a quarter of them added at 6 + 1 + 4 = 11 bits
    assert digital["adds"].energy_pj == pytest.approx(10 * hardware.digital.add_energy_pj * 11 / 8)


def test_a_longer_window_ends_with_its_axis() -> None:
    # 6 outputs along the first axis at 9 other positions, 5 at once: 2 sets at each of 9, of 8 bits
    layer = one_layer("1x1x3x1", "1x8x9", weight_bits=1).layers[0]
    tiling = tile(layer, _macro(7, 5), Mapping())
    assert (layer.positions, tiling.windows) == (54, 5)
    assert tiling.activations == 9 * 2 * 8 == 144
    beside = tile(layer, _macro(15, 5), Mapping(packing="duplicate"))
    assert (beside.windows, beside.activations) == (5, 88)  # windows beside each other may be any


def test_words_of_a_macro_hold_further_arrays() -> None:
    # 6 tiles of 10 filters: one macro of 8 words keeps them, and takes six turns
    layer = one_layer("60x16", "16", weight_bits=1, input_bits=1).layers[0]
    deep, flat = (tile(layer, _macro(16, 10, depth=depth), Mapping()) for depth in (8, 1))
    assert (deep.arrays, deep.exchanges, deep.rounds) == (6, 0, 6)
    assert (flat.arrays, flat.exchanges, flat.rounds) == (6, 6, 6)
    hardware = load_hardware("charge_28nm")
    engine = replace(_macro(16, 10, depth=8), supply_v=0.9)
    report = simulate_layer(layer, replace(hardware, engine=engine))
    assert report.in_memory.area_mm2 == pytest.approx(price(engine, 1, 1).area_mm2)


def test_the_papers_hardware_states_its_multiplication_of_six_bits() -> None:
    """Check that the ratios of ACE-SNN's own cost table give its 6-bit operation, 3.1 / 12.5 pJ."""
    hardware = load_hardware("ace_snn")
    together = hardware.digital.multiply_energy_pj + hardware.digital.add_energy_pj
    assert together == pytest.approx(3.1 * 44.8 / 560.6, rel=2e-3)
    # 962,280 operations are 238.6 nJ; in memory 5,346 reads of 256 columns at 0.08125 pJ, the
    # products at 0.08 pJ and 35,640 conversions of 0.866 pJ are 219 nJ, and the inputs 2.4 nJ
    layer = one_layer("20x1x3x3x3", "1x200x5x5", weight_bits=6, input_bits=6).layers[0]
    found = simulate_layer(layer, hardware).comparison.energy.factor
    assert found == pytest.approx((238.6 + 9.8 + 0.3) / (219.0 + 2.4), rel=0.01)
    assert f"a factor of {found:.2f}, the paper has 1.30" in hardware.description


def test_inputs_of_a_layer_have_its_own_mean() -> None:
    # The array's energy follows the inputs' mean: 0.2 of full scale here, 0.5 in the file.
    layer = replace(DENSE, weight_shape=(64, 64), input_shape=(64,))
    hardware = load_hardware("c2c_22nm")
    macro = hardware.engine
    assert isinstance(macro, Macro)
    quiet = replace(macro, input=replace(macro.input, mean=0.2))
    stated = simulate_layer(replace(layer, input_mean=0.2), hardware).in_memory
    of_file = simulate_layer(layer, replace(hardware, engine=quiet)).in_memory
    assert stated.components == of_file.components
    plain = simulate_layer(layer, hardware).in_memory
    assert stated.total.energy_pj < plain.total.energy_pj
    with pytest.raises(InputError, match=r"input_mean: found 1.5, expected a number from 0 to 1"):
        replace(layer, input_mean=1.5)
