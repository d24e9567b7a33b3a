from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import Hardware, InputError, Layer, load_hardware
from pim_sim.spiking import count_spikes, price_spikes


def _spikes(layer: Layer, steps: int, seed: int, rate: float) -> np.ndarray:
    return np.random.default_rng(seed).random((steps, *layer.input_shape)) < rate


def _counted_plainly(layer: Layer, spikes: np.ndarray) -> tuple[int, int]:
    """Accumulates and weight reads by loops over steps, positions and kernel places."""
    accumulates, read = 0, set()
    kernel = layer.weight_shape[2:]
    for step, channel in itertools.product(range(len(spikes)), range(layer.input_shape[0])):
        if layer.kind == "linear":
            if spikes[step, channel]:
                accumulates += layer.filters
                read.add((step, channel))
            continue
        for position in itertools.product(*map(range, layer.output_shape[1:])):
            for place in itertools.product(*map(range, kernel)):
                at = tuple(
                    p * stride + k - pad
                    for p, stride, k, pad in zip(
                        position, layer.stride, place, layer.padding, strict=True
                    )
                )
                inside = all(0 <= a < n for a, n in zip(at, layer.input_shape[1:], strict=True))
                if inside and spikes[(step, channel, *at)]:
                    accumulates += layer.filters
                    read.add((step, channel, *place))
    return accumulates, len(read) * layer.filters


@settings(deadline=None, max_examples=40)
@given(data=st.data(), seed=st.integers(0, 1000), rate=st.floats(0, 1))
def test_counts_equal_plain_loops(
    data: st.DataObject, layers: st.SearchStrategy[Layer], seed: int, rate: float
) -> None:
    layer = data.draw(layers)
    spikes = _spikes(layer, 2, seed, rate)
    counts = count_spikes(layer, spikes)
    assert (counts.accumulates, counts.weight_reads) == _counted_plainly(layer, spikes)
    assert counts.neuron_updates == counts.comparisons == 2 * layer.outputs
    assert counts.membrane_reads == counts.membrane_writes == 2 * layer.outputs


@settings(deadline=None)
@given(data=st.data())
def test_all_spikes_without_padding_are_all_products(
    data: st.DataObject, layers: st.SearchStrategy[Layer]
) -> None:
    layer = data.draw(layers)
    no_padding = all(p == 0 for p in layer.padding)
    counts = count_spikes(layer, np.ones((3, *layer.input_shape)))
    assert counts.by_rate == pytest.approx(3 * layer.macs)
    if no_padding:
        assert counts.accumulates == 3 * layer.macs
    else:
        assert counts.accumulates <= 3 * layer.macs
    assert count_spikes(layer, np.zeros((3, *layer.input_shape))).accumulates == 0


def test_estimates_overcount_a_small_patch_where_spikes_gather_at_its_edge(conv1: Layer) -> None:
    # one spike in a corner of every band: one window of a 5x5 patch holds it, and three along the
    # bands, but two at the first band but one and one at the very first, at either end
    spikes = np.zeros((1, 1, 200, 5, 5))
    spikes[..., 0, 0] = 1
    counts = count_spikes(conv1, spikes)
    assert counts.accumulates == (196 * 3 + 2 * (1 + 2)) * 20
    assert counts.by_rate == pytest.approx(962_280 / 25)
    assert counts.by_fan_out == 200 * 27 * 20
    assert counts.by_rate > 3 * counts.accumulates
    assert counts.by_fan_out > 9 * counts.accumulates


def test_energy_on_paper(toy: Hardware) -> None:
    # 2 inputs, 1 output, 2-bit weights, spikes of one bit: sums of 2 + 1 + 1 = 4 bits. An addition
    # of 4 bits is twice the toy's 2-bit one of 1 pJ, a leak of 4 by 2 bits twice its 4 pJ. 2 steps,
    # 3 spikes: 3 accumulates. 2 updates, 2 comparisons. Membranes: 2 words read and 2 written, 3
    # weights of 2 bits 2 words, of 1 pJ each.
    layer = Layer(
        name="fc", kind="linear", input_shape=(2,), weight_shape=(1, 2), stride=(), padding=(),
        weight_bits=2, input_bits=1, signed=True, time_steps=2, input_density=0.75,
        repeats_input=False,
    )  # fmt: skip
    energy = price_spikes(layer, count_spikes(layer, np.array([[1, 0], [1, 1]])), toy)
    assert energy.accumulates_pj == 3 * 2
    assert energy.updates_pj == 2 * (2 + 8)
    assert energy.comparisons_pj == 2 * 2
    assert energy.membrane_traffic_pj == 4
    assert energy.weight_reads_pj == 2
    assert energy.total_pj == 6 + 20 + 4 + 4 + 2
    # 3 of 4 inputs spike: 0.75 x 2 products x 2 steps = 3 adds, here the same as exactly
    assert energy.paper_pj == 6
    assert energy.rate_form_pj == energy.total_pj


def test_more_spikes_never_cost_less(conv1: Layer) -> None:
    layer = replace(conv1, input_bits=1, repeats_input=False)
    hardware = load_hardware("sram_65nm")
    sparse, dense = (_spikes(layer, 5, seed=0, rate=rate) for rate in (0.05, 0.3))
    few, many = (price_spikes(layer, count_spikes(layer, s), hardware) for s in (sparse, dense))
    assert few.total_pj < many.total_pj
    assert few.paper_pj < few.rate_form_pj
    assert few.to_dict()["total_pj"] == few.total_pj


def test_spikes_of_another_shape_are_refused(conv1: Layer) -> None:
    with pytest.raises(InputError, match=r"spikes: found \(5, 200\), expected \(steps, 1, 200"):
        count_spikes(conv1, np.zeros((5, 200)))
