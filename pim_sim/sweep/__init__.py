"""Sweeps: a layer at many designs at once, over ranges of the fields of a hardware file."""

from pim_sim.sweep.axes import parse_axis
from pim_sim.sweep.axis_fields import AxisField, axis_fields
from pim_sim.sweep.claims import DEFAULT_CLAIM, Claim, parse_claim
from pim_sim.sweep.exploration import Exploration, Explored, explore, explore_large, write_csv
from pim_sim.sweep.measured_accuracy import MeasuredAccuracy, conditions
from pim_sim.sweep.pareto import Region, pareto, regions, tornado
from pim_sim.sweep.points import Grid, Sweep, sweep

__all__ = [
    "DEFAULT_CLAIM",
    "AxisField",
    "Claim",
    "Exploration",
    "Explored",
    "Grid",
    "MeasuredAccuracy",
    "Region",
    "Sweep",
    "axis_fields",
    "conditions",
    "explore",
    "explore_large",
    "pareto",
    "parse_axis",
    "parse_claim",
    "regions",
    "sweep",
    "tornado",
    "write_csv",
]
