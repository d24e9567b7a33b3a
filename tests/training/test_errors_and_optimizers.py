"""Quantizers of errors and optimizers of a plan in a training, and that they resume bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from snnquant.config import TrainingConfig
from snnquant.quantization import ErrorQuantizer, LayerPlace, Plan
from snnquant.quantization.backward import quantized_errors
from snnquant.training import Epoch, Samples, Stage, train
from snnquant.training.loop import one_cycle

STAGE = Stage("snn", epochs=4, rate=0.02)
CONFIG = TrainingConfig(batch_size=32, weight_decay=1e-3, distillation=0.0)


class Coarse(ErrorQuantizer):
    """Errors on multiples of a quarter of the largest one, rounded at random."""

    def quantize(self, error: Tensor) -> Tensor:
        step = error.abs().amax().clamp(min=1e-30) / 4
        return (error / step + torch.rand_like(error)).floor() * step


class TwoRates(torch.optim.SGD):
    """SGD whose matrices have a tenth of the rate of the other parameters, with momentum."""

    seen: list[list[float]]

    def __init__(self, network: nn.Module, rate: float, weight_decay: float) -> None:
        matrices = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "lr": rate / 10}, {"params": others}]
        super().__init__(groups, lr=rate, momentum=0.5, weight_decay=weight_decay)
        self.seen = []

    def step(self, closure=None):
        self.seen.append([group["lr"] for group in self.param_groups])
        return super().step(closure)


@pytest.fixture
def fit(samples: tuple[Samples, Samples], network_of: Callable[..., nn.Module], tmp_path: Path):
    def run(name: str, **options) -> tuple[nn.Module, list[Epoch]]:
        network = network_of(options.pop("kind", "quantized snn"))
        path = tmp_path / f"{name}.safetensors"
        return network, train(network, *samples, STAGE, CONFIG, path, **options)

    return run


@pytest.mark.parametrize("kind", ["cnn", "quantized cnn", "quantized snn"])
def test_a_stopped_training_resumes_bit_for_bit(fit, kind) -> None:
    def stop(row: Epoch) -> None:
        if row.epoch == 1:
            raise KeyboardInterrupt

    hooks = {"error": lambda place: Coarse(3), "optimizer": TwoRates, "kind": kind}
    whole, history = fit("whole", **hooks)
    with pytest.raises(KeyboardInterrupt):
        fit("stopped", on_epoch=stop, **hooks)
    resumed, rows = fit("stopped", **hooks)
    assert rows == history
    assert all(map(torch.equal, whole.state_dict().values(), resumed.state_dict().values()))
    assert not all(
        map(
            torch.equal,
            whole.state_dict().values(),
            fit("plain", kind=kind)[0].state_dict().values(),
        )
    )


def test_every_group_keeps_its_own_peak(fit) -> None:
    made: list[TwoRates] = []

    def make(*options) -> TwoRates:
        made.append(TwoRates(*options))
        return made[-1]

    fit("rates", optimizer=make)
    rates = made[0].seen
    for step, (matrices, others) in enumerate(rates):
        share = one_cycle(step / len(rates))
        assert matrices == pytest.approx(STAGE.rate / 10 * share)
        assert others == pytest.approx(STAGE.rate * share)


def test_errors_leave_the_forward_pass_and_other_networks_alone(network_of) -> None:
    network, x = network_of("quantized snn"), torch.randn(6, 1, 12, 3, 3)
    expected = network(x)
    places: list[LayerPlace] = []

    def make(place: LayerPlace) -> Coarse:
        places.append(place)
        return Coarse(3)

    def gradients() -> list[Tensor]:
        network.zero_grad()
        torch.manual_seed(0)
        network(x).square().sum().backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]

    plain = gradients()
    with quantized_errors(network, make):
        assert torch.equal(network(x), expected)
        quantized = gradients()
    assert [place.role for place in places][:: len(places) - 1] == ["first", "last"]
    assert not all(map(torch.equal, plain, quantized))
    assert all(map(torch.equal, plain, gradients()))


def test_weights_learn_from_the_quantized_error() -> None:
    layer, x = nn.Linear(3, 2), torch.randn(5, 3)
    error = torch.randn(5, 2)
    with quantized_errors(layer, lambda place: Coarse(3)):
        output = layer(x)
    torch.manual_seed(3)
    output.backward(error)
    torch.manual_seed(3)
    quantized = Coarse(3).quantize(error)
    assert torch.allclose(layer.weight.grad, quantized.T @ x)
    assert torch.allclose(layer.bias.grad, quantized.sum(0))


def test_a_plan_names_its_hooks() -> None:
    plan = Plan(error=lambda place: Coarse(3), optimizer=TwoRates)
    assert plan.hooks == ("error", "optimizer")
