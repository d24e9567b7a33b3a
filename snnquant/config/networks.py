"""Names of the networks and the input each of them takes; free of torch.

It stands below `snnquant.models`, which builds the networks, because options are checked here.
"""

from __future__ import annotations

from typing import NamedTuple


class NetworkInput(NamedTuple):
    """Input of a network where the options ask for nothing else."""

    window: int
    """Side of the square patch around a pixel, in pixels."""
    components: int
    """Principal components that replace the bands; 0 keeps the bands."""


NETWORKS: dict[str, NetworkInput] = {
    "cnn32h": NetworkInput(5, 0),
    "cnn3d": NetworkInput(5, 0),
    "cnn1x1": NetworkInput(5, 0),
    "cnn1x1h": NetworkInput(5, 0),
    "cnn1x1w": NetworkInput(5, 0),
    "separable3d": NetworkInput(5, 0),
    "resnet3d": NetworkInput(5, 0),
    "hamida": NetworkInput(5, 0),
    "luo": NetworkInput(3, 0),
    "hybridsn": NetworkInput(25, 30),
    "li": NetworkInput(5, 0),
    "makantasis": NetworkInput(5, 30),
    "hu": NetworkInput(1, 0),
    "hu_relu": NetworkInput(1, 0),
}
"""Every network of the package, own and published, by its name."""
IMPORTED = NetworkInput(5, 0)
"""Input of a network that is imported from a file."""
