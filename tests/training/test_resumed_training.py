"""A training that was stopped ends, bit for bit, like one that was not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from snnquant.checkpoints.tensorfile import read_tensors, write_tensors
from snnquant.config import TrainingConfig
from snnquant.errors import InputError
from snnquant.training import Epoch, Samples, Stage, train

EPOCHS = 4
STAGE = Stage("snn", EPOCHS, rate=0.02)
CONFIG = TrainingConfig(batch_size=32, weight_decay=1e-3, distillation=0.5)
KINDS = ["cnn with batch norm", "quantized snn", "quantized neurons"]


class Stopped(Exception):
    """End of a program by Ctrl-C, a signal or a power cut."""


@pytest.fixture(scope="module")
def start(samples: tuple[Samples, Samples], network_of) -> Callable[..., nn.Module]:
    """Train a kind of network on from `path`; returns it, or raises what stops it.

    The network starts from other weights every time: all that counts is in the file.
    """
    starts = iter(range(1000))

    def run(
        kind: str,
        path: Path,
        stop: Callable[[nn.Module], Callable[[Epoch], None]] = lambda network: lambda row: None,
        **changes: object,
    ) -> tuple[nn.Module, list[Epoch]]:
        plain, batch_norm = kind.removesuffix(" with batch norm"), "batch norm" in kind
        network = network_of(plain, next(starts) if path.exists() else 0, batch_norm)
        teacher = network_of("cnn", 1)
        stage = replace(STAGE, **{k: v for k, v in changes.items() if k in vars(STAGE)})
        config = replace(CONFIG, **{k: v for k, v in changes.items() if k in vars(CONFIG)})
        seed, look = changes.get("seed", 11), stop(network)
        both = {"seed": seed, "teacher": teacher, "on_epoch": look}
        return network, train(network, *samples, stage, config, path, **both)

    return run


@pytest.fixture(scope="module")
def unbroken(start, tmp_path_factory) -> dict[str, tuple[nn.Module, list[Epoch]]]:
    folder = tmp_path_factory.mktemp("unbroken")
    return {kind: start(kind, folder / f"{kind}.safetensors") for kind in KINDS}


def after_epoch(number: int) -> Callable[[nn.Module], Callable[[Epoch], None]]:
    def stop(network: nn.Module) -> Callable[[Epoch], None]:
        def on_epoch(row: Epoch) -> None:
            if row.epoch == number:
                raise Stopped

        return on_epoch

    return stop


def in_step(number: int) -> Callable[[nn.Module], Callable[[Epoch], None]]:
    """Stop before the forward pass of training step `number` of this start."""

    def stop(network: nn.Module) -> Callable[[Epoch], None]:
        steps = iter(range(10**6))

        def before(module: nn.Module, inputs: object) -> None:
            if module.training and next(steps) == number:
                raise Stopped

        network.register_forward_pre_hook(before)
        return lambda row: None

    return stop


def assert_equal(found, expected) -> None:
    (network, history), (whole, whole_history) = found, expected
    assert history == whole_history
    state, whole_state = network.state_dict(), whole.state_dict()
    assert list(state) == list(whole_state)
    for name, tensor in whole_state.items():
        assert torch.equal(state[name], tensor), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_stopped_after_an_epoch(kind, epoch, start, unbroken, tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Stopped):
        start(kind, path, after_epoch(epoch))
    assert_equal(start(kind, path), unbroken[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [0, 2, 5, 9, 14])
def test_stopped_within_an_epoch(kind, step, start, unbroken, tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Stopped):
        start(kind, path, in_step(step))
    assert_equal(start(kind, path), unbroken[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_again_and_again(kind, start, unbroken, tmp_path):
    """Training changes in place what was read: the file itself must not change."""
    path = tmp_path / "state.safetensors"
    for epoch in range(EPOCHS - 1):
        with pytest.raises(Stopped):
            start(kind, path, after_epoch(epoch))
        before = path.read_bytes()
        with pytest.raises(Stopped):
            start(kind, path, in_step(3))
        assert path.read_bytes() == before
    assert_equal(start(kind, path), unbroken[kind])


def test_the_three_kinds_really_train(unbroken):
    """Five steps per epoch, and weights that move: else the tests above could not fail."""
    for _, history in unbroken.values():
        assert len(history) == EPOCHS
        assert len({row.loss for row in history}) == EPOCHS
    assert any(
        max(history, key=lambda row: row.validation_accuracy).epoch < EPOCHS - 1
        for _, history in unbroken.values()
    )


def test_a_finished_training_is_not_trained_again(start, tmp_path):
    path = tmp_path / "state.safetensors"
    whole = start("quantized snn", path)
    before = path.read_bytes()
    assert_equal(start("quantized snn", path, in_step(0)), whole)
    assert path.read_bytes() == before


def test_a_resumed_training_reports_the_epochs_before(start, tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Stopped):
        start("quantized snn", path, after_epoch(1))
    seen: list[Epoch] = []
    _, history = start("quantized snn", path, lambda network: seen.append)
    assert seen == history


@pytest.mark.parametrize(
    "change",
    [
        {"name": "cnn"},
        {"epochs": EPOCHS + 1},
        {"rate": 0.01},
        {"batch_size": 31},
        {"weight_decay": 0.0},
        {"distillation": 0.4},
        {"spike_penalty": 0.5},
        {"seed": 12},
    ],
)
def test_the_state_of_another_training_is_refused(change, start, tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Stopped):
        start("quantized snn", path, after_epoch(0))
    before = path.read_bytes()
    assert set(change) <= {*vars(STAGE), *vars(CONFIG), "seed"}
    with pytest.raises(InputError) as caught:
        start("quantized snn", path, **change)
    assert str(caught.value).startswith(f"{path}: found another training's state")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_the_state_of_another_network_is_refused(start, tmp_path, refused):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Stopped):
        start("quantized snn", path, after_epoch(0))
    message = refused(lambda file: start("cnn with batch norm", file), path)
    assert "found another network's state" in message


def test_a_checkpoint_is_no_training_state(start, tmp_path, refused):
    path = tmp_path / "state.safetensors"
    write_tensors(path, {"network.weight": torch.ones(3)}, {"what": "checkpoint", "format": 1})
    refused(lambda file: start("quantized snn", file), path)


def test_a_damaged_state_is_refused(start, tmp_path, refused):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Stopped):
        start("quantized snn", path, after_epoch(0))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    refused(lambda file: start("quantized snn", file), path)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused(lambda file: start("quantized snn", file), path)


def test_the_state_holds_every_moment_of_the_optimizer(start, tmp_path):
    path = tmp_path / "state.safetensors"
    network, _ = start("quantized snn", path, epochs=1)
    tensors, header = read_tensors(path)
    assert header["what"] == "training"
    count = len(list(network.parameters()))
    for part in ("step", "exp_avg", "exp_avg_sq"):
        assert {f"optimizer.{i}.{part}" for i in range(count)} <= set(tensors)
