"""Many designs at once: a layer over ranges of what a hardware file states (needs numpy)."""

from pim_sim.sweep.axes import parse_axis
from pim_sim.sweep.explore import Region, pareto, region, tornado
from pim_sim.sweep.points import Sweep, sweep

__all__ = ["Region", "Sweep", "pareto", "parse_axis", "region", "sweep", "tornado"]
