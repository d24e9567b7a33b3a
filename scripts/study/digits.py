"""Small task of the studies: scikit-learn's digits, 1,200 images for training and 597 for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from snnquant.quantization import Rule
from snnquant.quantization.backward import quantized_errors
from snnquant.quantization.plan import ErrorMaker, OptimizerMaker

TRAINING = 1200
BATCH = 128


class Images(NamedTuple):
    """Images [N, 64], 0 to 1, and their classes [N]."""

    values: Tensor
    classes: Tensor


@cache
def digits() -> tuple[Images, Images]:
    """Return the training and the test images."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    values = torch.tensor(found.data[order] / 16, dtype=torch.float32)
    classes = torch.tensor(found.target[order])
    parts = slice(TRAINING), slice(TRAINING, None)
    training, test = (Images(values[part], classes[part]) for part in parts)
    return training, test


def mlp(seed: int) -> nn.Sequential:
    """Return a network 64-64-64-10 with ReLU."""
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    )


def train(
    network: nn.Module,
    seed: int,
    epochs: int,
    rate: float,
    *,
    rules: Sequence[Rule] = (),
    weight_decay: float = 1e-4,
    momentum: float = 0.95,
    error: ErrorMaker | None = None,
    make_optimizer: OptimizerMaker | None = None,
    after_epoch: Callable[[], None] = lambda: None,
) -> None:
    """Train in place, by SGD or the optimizer that is given.

    The rate falls to a tenth at 2/5 and 7/10, as BCGD's does.
    """
    torch.manual_seed(seed)
    sgd = partial(torch.optim.SGD, momentum=momentum, weight_decay=weight_decay)
    optimizer = (
        make_optimizer(network, rate, weight_decay)
        if make_optimizer
        else sgd(network.parameters(), lr=rate)
    )
    milestones = [2 * epochs // 5, 7 * epochs // 10]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
    images, classes = digits()[0]
    network.train()
    for epoch in range(epochs):
        losses = []
        for rule in rules:
            rule.before_epoch(epoch / epochs)
        for batch in torch.randperm(TRAINING).split(BATCH):
            optimizer.zero_grad()
            with quantized_errors(network, error):
                loss = functional.cross_entropy(network(images[batch]), classes[batch])
                loss.backward()
            losses.append(loss.item())
            for rule in rules:
                rule.compare(partial(_loss, network, batch))
                rule.before_step()
            optimizer.step()
            for rule in rules:
                rule.after_step()
        schedule.step()
        for rule in rules:
            rule.after_epoch(fmean(losses))
        after_epoch()


@torch.no_grad()
def _loss(network: nn.Module, batch: Tensor) -> float:
    images, classes = digits()[0]
    return functional.cross_entropy(network(images[batch]), classes[batch]).item()


@torch.no_grad()
def accuracy(network: nn.Module) -> float:
    """Return the share of the test images that a network classifies rightly."""
    images, classes = digits()[1]
    network.eval()
    return (network(images).argmax(1) == classes).double().mean().item()


def trained(seed: int, make: Callable[[int], nn.Module] = mlp) -> nn.Module:
    """Return a network in floating point after its training."""
    network = make(seed)
    train(network, seed, epochs=40, rate=0.1, momentum=0.9)
    return network
