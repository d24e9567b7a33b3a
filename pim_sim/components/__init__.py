"""What the parts of a chip cost: one table with the source of every row, laws, and scaling."""

from pim_sim.components.live import live_cost
from pim_sim.components.scaling import energy_ratio
from pim_sim.components.table import CostRow, component_costs, cost

__all__ = ["CostRow", "component_costs", "cost", "energy_ratio", "live_cost"]
