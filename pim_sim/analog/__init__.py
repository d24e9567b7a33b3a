"""Accuracy on analog columns: a layer as the hardware computes it, in torch.

from pim_sim.analog import AnalogConfig, monte_carlo

config = AnalogConfig(input_bits=6, adc_bits=6, noise=Noise(thermal_lsb=0.5))
found = monte_carlo(network, "conv1", config, inputs, evaluate, chips=20)
print(found.mean, found.interval())
"""

from pim_sim.analog.analog_config import AnalogConfig
from pim_sim.analog.analog_layer import AnalogLayer, analog_layer
from pim_sim.analog.monte_carlo import ChipAccuracy, analog, finetune, monte_carlo, sweep
from pim_sim.hardware import Noise

__all__ = [
    "AnalogConfig",
    "AnalogLayer",
    "ChipAccuracy",
    "Noise",
    "analog",
    "analog_layer",
    "finetune",
    "monte_carlo",
    "sweep",
]
