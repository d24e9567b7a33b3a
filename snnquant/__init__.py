"""Hyperspectral classifiers as quantized spiking neural networks."""
