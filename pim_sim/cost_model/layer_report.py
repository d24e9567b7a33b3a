"""Report of one layer on one piece of hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pim_sim.cost_model.costs import Comparison, Design
from pim_sim.cost_model.mapped_layer import Utilisation
from pim_sim.cost_model.uncertainty import Uncertainty
from pim_sim.workload import Layer


@dataclass(frozen=True, kw_only=True)
class Report:
    """One layer on one piece of hardware, as `simulate` returns it.

    >>> from pim_sim import Layer, load_hardware, simulate_layer
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> report = simulate_layer(fc, load_hardware("sram_65nm"))
    >>> sorted(report.to_dict())[:4]
    ['breakdown', 'digital', 'hardware', 'in_memory']
    """

    hardware: str
    """Name of the hardware."""
    layer: Layer
    digital: Design
    in_memory: Design
    utilisation: Utilisation
    uncertainty: Uncertainty
    """80 % intervals of the comparison."""

    @property
    def designs(self) -> Mapping[str, Design]:
        """Both designs by name."""
        return {"digital": self.digital, "in_memory": self.in_memory}

    @property
    def comparison(self) -> Comparison:
        """Comparison of the two totals."""
        return Comparison(self.digital.total, self.in_memory.total)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, ready for JSON."""
        layer = self.layer
        return {
            "hardware": self.hardware,
            "layer": {
                **asdict(layer),
                "output_shape": layer.output_shape,
                "macs": layer.macs,
                "outputs": layer.outputs,
                "weights": layer.weights,
                "applications": layer.applications,
            },
            **{name: design.to_dict() for name, design in self.designs.items()},
            "ratio": self.comparison.to_dict(),
            "utilisation": asdict(self.utilisation),
            "interval": self.uncertainty.to_dict(),
            "breakdown": {
                name: {part: cost.to_dict() for part, cost in design.components.items()}
                for name, design in self.designs.items()
            },
        }
