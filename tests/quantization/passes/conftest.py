from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from snnquant.nn.kinds import SYNAPSES
from snnquant.quantization.fixed_grid import FixedGridWeight

TRAINING = 1200


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor]:
    """Images [1797, 64] of digits with values 0 to 1, and their classes."""
    data = load_digits()
    return torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)


@pytest.fixture(scope="session")
def trained(digits: tuple[Tensor, Tensor]) -> nn.Sequential:
    torch.manual_seed(0)
    x, y = (part[:TRAINING] for part in digits)
    layers = (nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    mlp = nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(mlp.parameters(), 3e-3)
    for _ in range(40):
        for rows in torch.randperm(TRAINING).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(mlp(x[rows]), y[rows]).backward()
            optimizer.step()
    return mlp.eval()


@pytest.fixture
def mlp(trained: nn.Sequential) -> nn.Sequential:
    """A dense network that knows the digits; each test has its own copy."""
    return copy.deepcopy(trained)


@pytest.fixture
def on_grids() -> Callable[..., nn.Module]:
    """Put every weight of a network on a fixed grid, of one scale per layer by default."""

    def put(network: nn.Module, bits: int, *, per_channel: bool = False) -> nn.Module:
        for module in list(network.modules()):
            if isinstance(module, SYNAPSES):
                quantizer = FixedGridWeight(module.weight, bits, "mse", per_channel=per_channel)
                parametrize.register_parametrization(module, "weight", quantizer)
        return network

    return put
