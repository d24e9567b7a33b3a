"""The training loop, to be read from top to bottom: CNN, quantized CNN and SNN alike."""

from __future__ import annotations

import copy
import hashlib
import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from snnquant.checkpoints.tensorfile import read_tensors, write_tensors
from snnquant.errors import InputError
from snnquant.sampling import Patches

WARM_UP = 0.2
"""Share of the steps in which the learning rate rises to its peak."""
SMOOTHING = 3
"""Epochs whose mean validation loss decides."""


@dataclass(frozen=True)
class Recipe:
    """What the loop needs to know; the fields are those of `TrainingConfig` for one stage."""

    stage: str
    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float
    distillation: float
    seed: int
    spike_penalty: float = 0.0
    unlabelled: float = 0.0
    precision: str = "float32"


@dataclass(frozen=True)
class Samples:
    """Labelled pixels: flat indices and class numbers from 0, both int64 [N], and their patches.

    Indices and classes are on the CPU, wherever the patches are.
    """

    patches: Patches
    indices: Tensor
    classes: Tensor


@dataclass(frozen=True)
class Epoch:
    """A row of the history."""

    stage: str
    epoch: int
    loss: float
    validation_accuracy: float
    validation_loss: float


@torch.no_grad()
def predict(network: nn.Module, patches: Patches, indices: Tensor, batch_size: int = 512) -> Tensor:
    """Logits [N, K], on the CPU, of the pixels with flat `indices` [N], in evaluation mode."""
    was_training = network.training
    network.eval()
    logits = [network(patches.gather(batch)) for batch in torch.split(indices, batch_size)]
    network.train(was_training)
    return torch.cat(logits).cpu()


def train(
    network: nn.Module,
    training: Samples,
    validation: Samples,
    recipe: Recipe,
    state_path: Path,
    *,
    teacher: nn.Module | None = None,
    unlabelled: Tensor | None = None,
    accumulates: Callable[[], Tensor] | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Train `network` in place and leave it with the weights of its best validation epoch.

    AdamW on a one-cycle schedule; the loss is cross-entropy and, with a `teacher` CNN and
    distillation d, (1 - d) of it plus d times the divergence from the teacher's soft labels.
    `unlabelled` are flat indices of pixels that only the teacher labels: so many of them as the
    recipe says are drawn for each labelled one.
    `accumulates` is what the last forward's spikes cost; the recipe's penalty times it is added.
    Best means the lowest validation loss, a mean of the last `SMOOTHING` epochs' because a few
    hundred pixels say little about one. Nothing ends the training early: a schedule that is cut off
    leaves the network at a high rate.

    After every epoch the whole state goes to `state_path`. Where that file exists, training
    continues from it, and ends bit for bit as if it had never stopped: every random number is
    drawn from a seed made of (seed, stage, epoch). Raises InputError for another stage's file.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    loss_of = _Loss(network, teacher, recipe, accumulates)
    history: list[Epoch] = []
    best = copy.deepcopy(network.state_dict())
    if state_path.exists():
        history, best = _restore(state_path, network, optimizer, recipe)
        for epoch in history:
            on_epoch(epoch)
    while len(history) < recipe.epochs:
        loss = _one_epoch(training, unlabelled, optimizer, loss_of, len(history))
        accuracy, validation_loss = _validate(network, validation, recipe.batch_size)
        row = Epoch(recipe.stage, len(history), loss, accuracy, validation_loss)
        losses = row.loss + row.validation_loss  # the last step's harm shows in validation alone
        if not math.isfinite(losses):
            raise InputError(
                f"--learning-rate: the loss of {recipe.stage} became {losses} in epoch "
                f"{len(history) + 1} at {recipe.learning_rate}, expected a lower rate"
            )
        history.append(row)
        if _last_is_best(history):
            best = copy.deepcopy(network.state_dict())
        _save(state_path, network, optimizer, recipe, history, best)
        on_epoch(row)
    network.load_state_dict(best)
    network.eval()
    return history


def _one_epoch(
    training: Samples,
    unlabelled: Tensor | None,
    optimizer: torch.optim.Optimizer,
    loss_of: _Loss,
    epoch: int,
) -> float:
    """Every training patch once; the mean loss."""
    network, recipe = loss_of.network, loss_of.recipe
    torch.manual_seed(_seed(recipe, epoch))
    network.train()
    clamp = getattr(network, "clamp_", lambda: None)
    # Batch norm needs two patches: one left over joins the last batch.
    count = len(training.indices)
    steps = max(1, math.ceil((count - 1) / recipe.batch_size))
    sizes = [recipe.batch_size] * (steps - 1) + [count - (steps - 1) * recipe.batch_size]
    total = 0.0
    for step, batch in enumerate(torch.split(torch.randperm(count), sizes)):
        progress = (epoch * steps + step) / (recipe.epochs * steps)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * one_cycle(progress)
        pixels = training.indices[batch]
        if unlabelled is not None:
            drawn = torch.randint(len(unlabelled), (round(recipe.unlabelled * len(batch)),))
            pixels = torch.cat([pixels, unlabelled[drawn]])
        patches = flip(training.patches.gather(pixels))
        loss = loss_of(patches, training.classes[batch].to(patches.device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        clamp()
        total += loss.item() * len(batch)
    return total / count


def one_cycle(progress: float) -> float:
    """Learning rate over its peak at `progress` 0..1: linear warm-up, then half a cosine down."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def flip(patches: Tensor) -> Tensor:
    """Each patch [N, ..., h, h] mirrored or transposed at random: a field has no right side up."""
    coins = torch.rand(3, len(patches)).lt(0.5).view(3, -1, *(1 for _ in patches.shape[1:]))
    rows, columns, diagonal = coins.to(patches.device)  # drawn on the CPU on every device
    patches = torch.where(rows, patches.flip(-2), patches)
    patches = torch.where(columns, patches.flip(-1), patches)
    return torch.where(diagonal, patches.transpose(-1, -2), patches)


@dataclass(frozen=True)
class _Loss:
    """What a stage minimises."""

    network: nn.Module
    teacher: nn.Module | None
    recipe: Recipe
    accumulates: Callable[[], Tensor] | None

    def __call__(self, patches: Tensor, classes: Tensor) -> Tensor:
        """The loss of patches [N, ...]; the first of them, one a class, are labelled."""
        lower = self.recipe.precision == "bfloat16"
        with torch.autocast(patches.device.type, torch.bfloat16, enabled=lower):
            logits = self.network(patches)
        logits, share = logits.float() if lower else logits, self.recipe.distillation
        loss = functional.cross_entropy(logits[: len(classes)], classes)
        if self.teacher is not None and share > 0:
            with torch.no_grad():
                target = self.teacher(patches).log_softmax(1)
            divergence = functional.kl_div(
                logits.log_softmax(1), target, log_target=True, reduction="batchmean"
            )
            loss = (1 - share) * loss + share * divergence
        if self.accumulates is not None:
            loss = loss + self.recipe.spike_penalty * self.accumulates()
        return loss


def _validate(network: nn.Module, samples: Samples, batch_size: int) -> tuple[float, float]:
    """Accuracy and loss, in batches of the training's, which fit the memory."""
    logits = predict(network, samples.patches, samples.indices, batch_size)
    accuracy = (logits.argmax(1) == samples.classes).double().mean().item()
    return accuracy, functional.cross_entropy(logits, samples.classes).item()


def _last_is_best(history: list[Epoch]) -> bool:
    """Whether no epoch before the last had a validation loss, smoothed, as low as the last's."""
    losses = [row.validation_loss for row in history]
    smooth = [
        statistics.fmean(losses[max(0, i + 1 - SMOOTHING) : i + 1]) for i in range(len(losses))
    ]
    return smooth.index(min(smooth)) == len(smooth) - 1


def _seed(recipe: Recipe, epoch: int) -> int:
    text = f"{recipe.seed} {recipe.stage} {epoch}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def _save(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    history: list[Epoch],
    best: dict[str, Tensor],
) -> None:
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
    header = {"what": "training", "recipe": asdict(recipe), "history": [asdict(e) for e in history]}
    write_tensors(path, tensors, header)


def _restore(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe
) -> tuple[list[Epoch], dict[str, Tensor]]:
    tensors, header = read_tensors(path)
    if header.get("what") != "training" or header.get("recipe") != asdict(recipe):
        raise InputError(f"{path}: found another training's state, expected {recipe}")
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, key = name.split(".", 1)
        parts[part][key] = tensor
    try:
        network.load_state_dict(parts["network"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: found another network's state ({reason})") from None
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in parts["optimizer"].items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    return [Epoch(**row) for row in header["history"]], parts["best"]
