"""Technology data: component costs with their sources, scaling laws, nodes and converter laws."""

from pim_sim.technology.adc_laws import accelergy_energy_pj, zigzag_time_ns
from pim_sim.technology.adc_survey import (
    Converter,
    counted_year,
    rate_factor,
    read_survey,
    survey_features,
    survey_fit,
    typical_energy_pj,
)
from pim_sim.technology.components import CostRow, component_costs, cost
from pim_sim.technology.node import (
    GATES,
    Node,
    delay_ratio,
    energy_ratio,
    pitch_ratio,
    sram_cell_um2,
)

__all__ = [
    "GATES",
    "Converter",
    "CostRow",
    "Node",
    "accelergy_energy_pj",
    "component_costs",
    "cost",
    "counted_year",
    "delay_ratio",
    "energy_ratio",
    "pitch_ratio",
    "rate_factor",
    "read_survey",
    "sram_cell_um2",
    "survey_features",
    "survey_fit",
    "typical_energy_pj",
    "zigzag_time_ns",
]
