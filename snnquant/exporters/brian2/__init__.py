"""Brian2 scripts: synapses as lists of connections, the simulation and the written script."""
