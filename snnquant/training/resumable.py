"""State of a training after an epoch: what makes a stopped one end as if it had not stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.checkpoints.tensorfile import read_tensors, write_tensors
from snnquant.config import TrainingConfig
from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.quantization import Rule


@dataclass(frozen=True)
class Stage:
    """One training of a run.

    >>> Stage("cnn", epochs=40, rate=2e-3).name
    'cnn'
    """

    name: str
    """Name in the history; the random numbers of the training depend on it."""
    epochs: int
    """Epochs, each of which uses every training patch once."""
    rate: float
    """Peak learning rate of the one-cycle schedule."""


@dataclass(frozen=True)
class Epoch:
    """Row of the history."""

    stage: str
    epoch: int
    loss: float
    validation_accuracy: float
    validation_loss: float
    allowed: bool = True
    """True where the rules allow this epoch's network as the result."""


def settings_of(stage: Stage, config: TrainingConfig, seed: int) -> dict[str, Any]:
    """Return everything that a resumed training must agree in with the interrupted one."""
    names = ["batch_size", "weight_decay", "distillation", "spike_penalty", "unlabelled"]
    own = {"stage": stage.name, "epochs": stage.epochs, "learning_rate": stage.rate, "seed": seed}
    standard = TrainingConfig()
    names += [n for n in ("teacher", "spike_target") if getattr(config, n) != getattr(standard, n)]
    return own | {name: getattr(config, name) for name in (*names, "precision")}


def save_state(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    history: list[Epoch],
    best: dict[str, Tensor],
    rules: Sequence[Rule],
) -> None:
    """Write the state of a training after an epoch."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
    for index, rule in enumerate(rules):
        tensors |= {f"rule.{index}.{key}": value for key, value in rule.state_dict().items()}
    header = {"what": "training", "recipe": settings, "history": [asdict(e) for e in history]}
    write_tensors(path, tensors, header)


def restore_state(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    rules: Sequence[Rule],
) -> tuple[list[Epoch], dict[str, Tensor]]:
    """Take a training's state from its file; return the history and the best epoch's network.

    Raises `InputError` where the file is of another training or network.
    """
    tensors, header = read_tensors(path)
    if header.get("what") != "training" or header.get("recipe") != settings:
        raise InputError(f"{path}: found another training's state, expected {settings}")
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}, "rule": {}}
    for name, tensor in tensors.items():
        part, key = name.split(".", 1)
        parts[part][key] = tensor
    try:
        network.load_state_dict(parts["network"])
    except RuntimeError as error:
        raise InputError(f"{path}: found another network's state ({one_line(error)})") from None
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in parts["optimizer"].items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    for position, rule in enumerate(rules):
        start = f"{position}."
        own = {k.removeprefix(start): v for k, v in parts["rule"].items() if k.startswith(start)}
        rule.load_state_dict(own)
    return [Epoch(**row) for row in header["history"]], parts["best"]
