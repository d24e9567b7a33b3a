"""A layer computed digitally and in memory, with the same memory and node.

The digital design holds the whole layer's weights in its memory; arrays that do not hold them all
exchange them for every pixel. A product with a zero input costs no energy on either side.
The cost of one application of the layer is charged once where the input repeats over the time
steps, and once per time step otherwise.

The engine in memory is a bit-line array of ACE-SNN's kind (`bit_line`) or a macro (`macro_layer`).
Control, the memory of inputs and outputs, leakage and a pixel's share of loading the weights are
charged alike on both sides; only a file that says it is not complete, as `ace_snn` with the paper's
equations, has no control and no writing of outputs.

Whole networks are priced on a chip (`pim_sim.network`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pim_sim.cost_model.bit_line import LayerOnBitLines
from pim_sim.cost_model.costs import Design
from pim_sim.cost_model.digital import LayerOnMultipliers
from pim_sim.cost_model.layer_report import Report
from pim_sim.cost_model.macro_layer import LayerOnMacros
from pim_sim.cost_model.mapped_layer import MappedLayer, MappedOnArrays, Setup, Utilisation
from pim_sim.cost_model.uncertainty import uncertainty
from pim_sim.hardware import BitLineArray, Digital, Hardware, Macro
from pim_sim.schema import plain_numbers
from pim_sim.workload import Layer, Workload

_ON_ARRAYS: dict[type, Callable[[Setup, Any], MappedOnArrays]] = {
    BitLineArray: LayerOnBitLines,
    Macro: LayerOnMacros,
}
"""Layouts on the engines that compute in memory, by the engine's description."""
_ON_DIGITAL: dict[type, Callable[[Setup, Any], MappedLayer]] = {
    Digital: LayerOnMultipliers,
    Macro: LayerOnMacros,
}
"""Layouts on the digital side."""


def simulate(workload: Workload, hardware: Hardware) -> Report:
    """Simulate the first layer of a workload, digital and in memory.

    Args:
        workload: layers of a network, first layer first.
        hardware: technology of both designs.

    Returns:
        Energy in pJ and delay in ns per pixel of either design, by component, and their ratios.

    Raises:
        InputError: the array or macro does not hold one weight of the layer.

    >>> from pim_sim import Layer, Workload, load_hardware
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> report = simulate(Workload(name="demo", layers=(fc,)), load_hardware("sram_65nm"))
    >>> report.comparison.energy.factor > 1
    True
    """
    return simulate_layer(workload.layers[0], hardware)


def simulate_layer(layer: Layer, hardware: Hardware) -> Report:
    """Simulate one layer, digital and in memory.

    Args:
        layer: the layer.
        hardware: technology of both designs.

    Returns:
        The report of `simulate`.

    Raises:
        InputError: the array or macro does not hold one weight of the layer.

    >>> from pim_sim import Layer, load_hardware
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> simulate_layer(fc, load_hardware("charge_28nm")).utilisation.layout.arrays
    1
    """
    setup = Setup(layer, hardware)
    on_arrays = _on_arrays(setup)
    digital = _plain_design(_design(layer, _on_digital(setup)))
    in_memory = _plain_design(_design(layer, on_arrays))
    return Report(
        hardware=hardware.name,
        layer=layer,
        digital=digital,
        in_memory=in_memory,
        utilisation=_plain_utilisation(on_arrays.utilisation()),
        uncertainty=uncertainty(digital, in_memory),
    )


def both_sides(setup: Setup) -> tuple[Design, Design]:
    """Return the designs digital and in memory; arrays in place of numbers give arrays."""
    return _design(setup.layer, _on_digital(setup)), _design(setup.layer, _on_arrays(setup))


def _on_digital(setup: Setup) -> MappedLayer:
    engine = setup.hardware.digital_engine
    return _ON_DIGITAL[type(engine)](setup, engine)


def _on_arrays(setup: Setup) -> MappedOnArrays:
    engine = setup.hardware.engine
    return _ON_ARRAYS[type(engine)](setup, engine)


def _design(layer: Layer, mapped: MappedLayer) -> Design:
    costs = {name: cost.times(layer.applications) for name, cost in mapped.costs().items()}
    return Design(costs, mapped.area_mm2())


def _plain_design(design: Design) -> Design:
    costs = {name: plain_numbers(cost) for name, cost in design.components.items()}
    return Design(costs, float(design.area_mm2))


def _plain_utilisation(utilisation: Utilisation) -> Utilisation:
    return replace(plain_numbers(utilisation), layout=plain_numbers(utilisation.layout))
