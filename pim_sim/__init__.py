"""Energy, delay and area of a neural network's layers, digital and in memory."""
