"""Rules in a training: when they act, what is kept, and that they resume bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from snnquant.config import TrainingConfig
from snnquant.errors import InputError
from snnquant.quantization import Rule
from snnquant.training import Epoch, Samples, Stage, train

STAGE = Stage("snn", epochs=4, rate=0.02)
CONFIG = TrainingConfig(batch_size=32, weight_decay=1e-3, distillation=0.0)


class Pull(Rule):
    """Pull of the first parameter towards its running mean, which is the form that is deployed."""

    def __init__(self, network: nn.Module, allowed: Callable[[int], bool] = lambda epoch: True):
        self.parameter = next(network.parameters())
        self.mean = self.parameter.detach().clone()
        self.epochs, self.allowed = torch.zeros((), dtype=torch.int64), allowed
        self.calls: list[str] = []

    def before_step(self) -> None:
        assert self.parameter.grad is not None
        self.calls.append("before")

    @torch.no_grad()
    def after_step(self) -> None:
        self.calls.append("after")
        self.mean.lerp_(self.parameter, 0.1)
        self.parameter.lerp_(self.mean, 0.05)

    def after_epoch(self, loss: float) -> None:
        assert loss > 0
        self.epochs += 1

    def allows(self) -> bool:
        return self.allowed(int(self.epochs))

    @contextmanager
    def deployed(self) -> Iterator[None]:
        latent = self.parameter.detach().clone()
        with torch.no_grad():
            self.parameter.copy_(self.mean)
            yield
            self.parameter.copy_(latent)

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "epochs": self.epochs}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.mean.copy_(state["mean"])
        self.epochs.copy_(state["epochs"])


@pytest.fixture
def fit(samples: tuple[Samples, Samples], network_of: Callable[..., nn.Module], tmp_path: Path):
    def run(name: str, **options) -> tuple[nn.Module, Pull, list[Epoch]]:
        network = network_of("quantized snn")
        rule = Pull(network, options.pop("allowed", lambda epoch: True))
        path = tmp_path / f"{name}.safetensors"
        history = train(network, *samples, STAGE, CONFIG, path, rules=[rule], **options)
        return network, rule, history

    return run


def test_a_rule_acts_around_every_step(fit) -> None:
    _, rule, history = fit("all")
    assert rule.calls == ["before", "after"] * (len(rule.calls) // 2)
    assert len(rule.calls) >= 2 * STAGE.epochs
    plain = fit("plain", allowed=lambda epoch: epoch == 1)[0]
    assert [row.allowed for row in history] == [True] * STAGE.epochs
    assert not torch.equal(next(plain.parameters()), rule.mean)


def test_the_deployed_form_of_the_last_epoch_is_left(fit) -> None:
    network, rule, history = fit("last", allowed=lambda epoch: epoch == STAGE.epochs)
    assert [row.allowed for row in history] == [False, False, False, True]
    assert torch.equal(next(network.parameters()), rule.mean)


def test_a_stopped_training_with_a_rule_resumes_bit_for_bit(fit) -> None:
    def stop(row: Epoch) -> None:
        if row.epoch == 1:
            raise KeyboardInterrupt

    whole, rule, history = fit("whole")
    with pytest.raises(KeyboardInterrupt):
        fit("stopped", on_epoch=stop)
    resumed, again, rows = fit("stopped")
    assert rows == history
    assert torch.equal(rule.mean, again.mean)
    assert all(map(torch.equal, whole.state_dict().values(), resumed.state_dict().values()))


def test_a_rule_that_allows_no_epoch_is_refused(fit) -> None:
    with pytest.raises(
        InputError,
        match="snn: found no epoch that the quantization method and --spike-target allow",
    ):
        fit("none", allowed=lambda epoch: False)
