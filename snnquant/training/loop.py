"""The training loop, to be read from top to bottom: CNN, quantized CNN and SNN alike."""

from __future__ import annotations

import copy
import hashlib
import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from snnquant.config import TrainingConfig
from snnquant.errors import InputError
from snnquant.quantization import Rule
from snnquant.quantization.backward import quantized_errors
from snnquant.quantization.plan import ErrorMaker, OptimizerMaker
from snnquant.sampling import Patches
from snnquant.training.loss import Loss, Teacher
from snnquant.training.resumable import Epoch, Stage, restore_state, save_state, settings_of
from snnquant.training.shared_batches import processes, shared_batches, sum_gradients

WARM_UP = 0.2
"""Share of the steps during which the learning rate rises to its peak."""
SMOOTHING = 3
"""Epochs whose mean validation loss decides on the best one."""


@dataclass(frozen=True)
class Samples:
    """Labelled pixels and their patches. Indices and classes are on the CPU on every device.

    >>> import numpy as np
    >>> from snnquant.sampling import Normalisation
    >>> cube, one = np.ones((4, 5, 3), np.float32), np.ones(3, np.float32)
    >>> patches = Patches(cube, 3, Normalisation(one, one))
    >>> samples = Samples(patches, torch.tensor([0, 7]), torch.tensor([0, 1]))
    >>> samples.patches.gather(samples.indices).shape
    torch.Size([2, 1, 3, 3, 3])
    """

    patches: Patches
    """Patches of the scene, gathered by flat pixel index."""
    indices: Tensor
    """Flat pixel indices [N], int64."""
    classes: Tensor
    """Class numbers from 0 [N], int64."""


@torch.no_grad()
def predict(network: nn.Module, patches: Patches, indices: Tensor, batch_size: int = 512) -> Tensor:
    """Return the logits of pixels, computed in evaluation mode.

    Args:
        network: CNN or SNN.
        patches: Patches of the scene.
        indices: Flat pixel indices [N], int64.
        batch_size: Patches per forward.

    Returns:
        Logits [N, K] on the CPU.

    >>> import numpy as np
    >>> from snnquant.sampling import Normalisation
    >>> cube, one = np.ones((4, 5, 3), np.float32), np.ones(3, np.float32)
    >>> patches = Patches(cube, 1, Normalisation(one, one))
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    >>> predict(network, patches, torch.arange(20)).shape
    torch.Size([20, 2])
    """
    was_training = network.training
    network.eval()
    logits = [network(patches.gather(batch)) for batch in torch.split(indices, batch_size)]
    network.train(was_training)
    return torch.cat(logits).cpu()


def adamw(network: nn.Module, rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return AdamW on all parameters of a network."""
    return torch.optim.AdamW(network.parameters(), rate, weight_decay=weight_decay, fused=True)


def train(
    network: nn.Module,
    training: Samples,
    validation: Samples,
    stage: Stage,
    config: TrainingConfig,
    state_path: Path,
    *,
    seed: int = 0,
    teacher: Teacher | None = None,
    unlabelled: Tensor | None = None,
    penalty: Callable[[], Tensor] | None = None,
    rules: Sequence[Rule] = (),
    error: ErrorMaker | None = None,
    optimizer: OptimizerMaker = adamw,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Train a network in place and leave it with the weights of its best validation epoch.

    An optimizer on a one-cycle schedule; the loss is cross-entropy and, with a teacher and
    distillation d, (1 - d) of it plus d times the divergence from the teacher's soft labels. Best
    means the lowest validation loss, averaged over the last `SMOOTHING` epochs because a few
    hundred pixels say little about one. Nothing ends the training early: a schedule that is cut
    off leaves the network at a high rate.

    Where `torch.distributed` is started, its processes, which all call this with equal arguments
    except `state_path`, share every batch, to the result of one process except for rounding.

    After every epoch the whole state goes to `state_path`. Where that file exists, training
    resumes from it and ends bit for bit as if it had never stopped: every random number is drawn
    from a seed made of (seed, stage, epoch).

    Args:
        network: CNN or SNN with logits [N, K] for patches [N, 1, B, h, w].
        training: Training pixels.
        validation: Validation pixels, which choose the epoch.
        stage: Name, epochs and peak learning rate.
        config: Batch size, weight decay, distillation, spike penalty, unlabelled, precision.
        state_path: File of the resumable state.
        seed: Seed of batches, flips, dropout and unlabelled pixels.
        teacher: CNN whose soft labels are distilled, or soft labels [H W, K] of the scene's pixels,
            on the CPU; only those of training and unlabelled pixels are read.
        unlabelled: Flat indices of pixels that only the teacher labels, int64; `config.unlabelled`
            of them are drawn per labelled pixel.
        penalty: Returns a scalar of the last forward, which is added to the loss.
        rules: Rules of the quantization method. Epochs are validated, and the best one is kept, in
            the form that the rules deploy; an epoch that a rule does not allow is never the best.
        error: Makes the quantizer of the errors at a layer's output, by its place.
        optimizer: Makes the optimizer from network, peak rate and weight decay; the schedule
            scales the rate that each of its parameter groups starts with.
        on_epoch: Called with the row of every epoch, those of a resumed training included.

    Returns:
        The rows of all epochs.

    Raises:
        InputError: The loss became infinite or NaN, the rules allowed no epoch, `state_path` is of
            another training, or several processes cannot share the training.

    >>> import tempfile, numpy as np
    >>> from snnquant.config import TrainingConfig
    >>> from snnquant.sampling import Normalisation
    >>> cube, one = np.ones((4, 5, 3), np.float32), np.ones(3, np.float32)
    >>> pixels = torch.arange(20)
    >>> samples = Samples(Patches(cube, 1, Normalisation(one, one)), pixels, pixels % 2)
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     state = Path(folder) / "cnn.state"
    ...     stage, config = Stage("cnn", epochs=2, rate=1e-3), TrainingConfig()
    ...     history = train(network, samples, samples, stage, config, state)
    >>> [row.epoch for row in history]
    [0, 1]
    """
    if penalty is not None and processes() > 1:
        raise InputError("--spike-penalty, --spike-target: found several processes, expected one")
    descent = optimizer(network, stage.rate, config.weight_decay)
    for group in descent.param_groups:
        group["peak"] = group["lr"]
    settings = settings_of(stage, config, seed)
    loss_of = Loss(network, teacher, config, penalty)
    history: list[Epoch] = []
    best = copy.deepcopy(network.state_dict())
    if state_path.exists():
        history, best = restore_state(state_path, network, descent, settings, rules)
        for epoch in history:
            on_epoch(epoch)
    while len(history) < stage.epochs:
        torch.manual_seed(_epoch_seed(seed, stage, len(history)))
        for rule in rules:
            rule.before_epoch(len(history) / stage.epochs)
        with quantized_errors(network, error), shared_batches(network):
            loss = _one_epoch(training, unlabelled, descent, loss_of, stage, len(history), rules)
        for rule in rules:
            rule.after_epoch(loss)
        with ExitStack() as forms:
            for rule in rules:
                forms.enter_context(rule.deployed())
            accuracy, validation_loss = _validate(network, validation, config.batch_size)
            deployed = copy.deepcopy(network.state_dict())
        allowed = all(rule.allows() for rule in rules)
        row = Epoch(stage.name, len(history), loss, accuracy, validation_loss, allowed)
        losses = row.loss + row.validation_loss  # the last step's harm shows only in validation
        if not math.isfinite(losses):
            raise InputError(
                f"--learning-rate: the loss of {stage.name} became {losses} in epoch "
                f"{len(history) + 1} at {stage.rate}, expected a lower rate"
            )
        history.append(row)
        if _last_is_best(history):
            best = deployed
        save_state(state_path, network, descent, settings, history, best, rules)
        on_epoch(row)
    if history and not any(row.allowed for row in history):
        raise InputError(
            f"{stage.name}: found no epoch that the quantization method and --spike-target "
            "allow, expected more epochs or options that can be met"
        )
    network.load_state_dict(best)
    network.eval()
    return history


def _one_epoch(
    training: Samples,
    unlabelled: Tensor | None,
    optimizer: torch.optim.Optimizer,
    loss_of: Loss,
    stage: Stage,
    epoch: int,
    rules: Sequence[Rule],
) -> float:
    """Train on every training patch once; return the mean loss."""
    network, config = loss_of.network, loss_of.config
    network.train()
    clamp = getattr(network, "clamp_", lambda: None)
    # Batch norm needs two patches: one left over joins the last batch.
    count = len(training.indices)
    steps = steps_per_epoch(count, config.batch_size)
    sizes = [config.batch_size] * (steps - 1) + [count - (steps - 1) * config.batch_size]
    total = 0.0
    for step, batch in enumerate(torch.split(torch.randperm(count), sizes)):
        progress = (epoch * steps + step) / (stage.epochs * steps)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * one_cycle(progress)
        pixels = training.indices[batch]
        if unlabelled is not None:
            drawn = torch.randint(len(unlabelled), (round(config.unlabelled * len(batch)),))
            pixels = torch.cat([pixels, unlabelled[drawn]])
        patches = flip(training.patches.gather(pixels))
        inputs = patches, training.classes[batch].to(patches.device), pixels
        loss = loss_of(*inputs)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        sum_gradients(network)
        for rule in rules:
            rule.compare(partial(loss_of.again, *inputs))
            rule.before_step()
        optimizer.step()
        clamp()
        for rule in rules:
            rule.after_step()
        total += loss.item() * len(batch)
    return total / count


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Return the optimizer steps in which `count` patches are used once."""
    return max(1, math.ceil((count - 1) / batch_size))


def one_cycle(progress: float) -> float:
    """Return the share of the peak rate at `progress` 0..1: linear warm-up, then half a cosine."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def flip(patches: Tensor) -> Tensor:
    """Mirror or transpose each patch [N, ..., h, h] at random: a field has no right side up."""
    coins = torch.rand(3, len(patches)).lt(0.5).view(3, -1, *(1 for _ in patches.shape[1:]))
    rows, columns, diagonal = coins.to(patches.device)  # drawn on the CPU on every device
    patches = torch.where(rows, patches.flip(-2), patches)
    patches = torch.where(columns, patches.flip(-1), patches)
    return torch.where(diagonal, patches.transpose(-1, -2), patches)


def _validate(network: nn.Module, samples: Samples, batch_size: int) -> tuple[float, float]:
    """Return accuracy and loss, in batches of the training's size, which fit the memory."""
    logits = predict(network, samples.patches, samples.indices, batch_size)
    accuracy = (logits.argmax(1) == samples.classes).double().mean().item()
    return accuracy, functional.cross_entropy(logits, samples.classes).item()


def _last_is_best(history: list[Epoch]) -> bool:
    """Return whether the last epoch is the first allowed of the lowest smoothed validation loss."""
    losses = [row.validation_loss for row in history]
    smooth = [
        statistics.fmean(losses[max(0, i + 1 - SMOOTHING) : i + 1]) if row.allowed else math.inf
        for i, row in enumerate(history)
    ]
    return history[-1].allowed and smooth.index(min(smooth)) == len(smooth) - 1


def _epoch_seed(seed: int, stage: Stage, epoch: int) -> int:
    text = f"{seed} {stage.name} {epoch}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
