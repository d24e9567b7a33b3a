from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pim_sim import InputError
from pim_sim.analog import (
    AnalogConfig,
    ChipAccuracy,
    Noise,
    analog,
    finetune,
    monte_carlo,
    sweep,
)

CLASSES = 4
Task = tuple[nn.Sequential, Tensor, Callable[[nn.Module], float]]


def _batches(count: int, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Spectra of 16 bands, one smooth shape a class, with sensor noise."""
    generator = torch.Generator().manual_seed(seed)
    band = torch.linspace(0, 3, 16)
    shapes = torch.stack([torch.sin(band * (1 + 0.25 * k) + k / 4) for k in range(CLASSES)])
    for _ in range(count):
        classes = torch.randint(CLASSES, (size,), generator=generator)
        x = shapes[classes] + 0.35 * torch.randn(size, 16, generator=generator)
        yield x[:, None], classes


@pytest.fixture
def task() -> Task:
    """Train a small network; return it with calibration inputs and its test accuracy."""
    torch.manual_seed(0)
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv1d(1, 8, 5, stride=2))
    network.add_module("tail", nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(48, CLASSES)))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for x, classes in _batches(150, 64, seed=1):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), classes).backward()
        optimizer.step()
    (test, truth), *_ = _batches(1, 1500, seed=2)

    @torch.no_grad()
    def accuracy(network: nn.Module) -> float:
        return (network(test).argmax(1) == truth).double().mean().item()

    return network, test[:200], accuracy


def test_the_layer_is_analog_within_the_block_and_itself_again_after(task: Task) -> None:
    network, inputs, _ = task
    module, before = network.conv1, network(inputs)
    network.train()
    with analog(network, "conv1", AnalogConfig(adc_bits=3), inputs) as layer:
        assert network.conv1 is layer
        assert not torch.allclose(network(inputs), before, atol=1e-2)
    assert network.conv1 is module
    assert network.training
    assert torch.equal(network(inputs), before)
    with (
        pytest.raises(RuntimeError, match="inside"),
        analog(network, "tail.2", AnalogConfig(adc_bits=3), inputs),
    ):
        raise RuntimeError("inside")
    assert isinstance(network.tail[2], nn.Linear)


def test_a_layer_that_is_not_there_or_not_called_is_refused(task: Task) -> None:
    network, inputs, accuracy = task
    config = AnalogConfig(adc_bits=6)
    with pytest.raises(InputError, match=r"found 'conv9', expected one of conv1, tail\.2"):
        monte_carlo(network, "conv9", config, inputs, accuracy)
    holder = nn.Module()
    holder.used, holder.idle = network, nn.Linear(2, 2)
    holder.forward = network.forward  # type: ignore[method-assign]
    with (
        pytest.raises(InputError, match="that the network calls"),
        analog(holder, "idle", config, inputs),
    ):
        pass
    with pytest.raises(InputError, match="chips: found 1"):
        monte_carlo(network, "conv1", config, inputs, accuracy, chips=1)
    with pytest.raises(InputError, match="parameter: found 'bits'"):
        sweep(network, "conv1", config, inputs, accuracy, "bits", [1])


def test_monte_carlo_repeats_itself_and_leaves_torchs_generator_alone(task: Task) -> None:
    network, inputs, accuracy = task
    config = AnalogConfig(adc_bits=4, noise=Noise(thermal_lsb=1.0, gain=0.3, offset_lsb=1.0))
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = monte_carlo(network, "conv1", config, inputs, accuracy, chips=4, seed=3)
    assert torch.equal(torch.rand(3), expected)
    again = monte_carlo(network, "conv1", config, inputs, accuracy, chips=4, seed=3)
    later = monte_carlo(network, "conv1", config, inputs, accuracy, chips=4, seed=4)
    assert first == again
    assert first.oa[1:] == later.oa[:-1]
    assert len(set(first.oa)) > 1


def test_ideal_chips_all_have_the_networks_own_accuracy(task: Task) -> None:
    network, inputs, accuracy = task
    found = monte_carlo(network, "conv1", AnalogConfig(), inputs, accuracy, chips=3)
    assert set(found.oa) == {accuracy(network)}
    assert found.interval() == (found.mean, found.mean)


def test_the_interval_is_students_and_holds_the_mean_as_often_as_it_says() -> None:
    # t of 2 degrees of freedom at 97.5 % is 4.3027
    low, high = ChipAccuracy((0.8, 0.9, 1.0)).interval()
    assert high - 0.9 == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
    assert 0.9 - low == pytest.approx(high - 0.9)
    draws = np.random.default_rng(0).normal(0.9, 0.01, (2000, 5))
    intervals = [ChipAccuracy(tuple(row)).interval(0.9) for row in draws.tolist()]
    assert np.mean([a <= 0.9 <= b for a, b in intervals]) == pytest.approx(0.9, abs=0.02)


def test_accuracy_falls_with_bits_and_with_noise(task: Task) -> None:
    network, inputs, accuracy = task
    base = AnalogConfig(input_bits=6, adc_bits=6)
    by_bits = sweep(network, "conv1", base, inputs, accuracy, "adc_bits", [2, 4, 8], chips=2)
    assert [bits for bits, _ in by_bits] == [2, 4, 8]
    means = [found.mean for _, found in by_bits]
    assert means[0] < means[1] - 0.02
    assert means[2] >= means[1] - 0.01
    by_gain = sweep(network, "conv1", base, inputs, accuracy, "gain", [0.0, 0.2, 0.8], chips=6)
    assert by_gain[0][1].mean > by_gain[2][1].mean + 0.02
    assert by_gain[2][1].std > by_gain[1][1].std


def test_training_with_noise_recovers_accuracy_on_chips_not_seen(task: Task) -> None:
    network, inputs, accuracy = task
    config = AnalogConfig(adc_bits=4, noise=Noise(thermal_lsb=1.0, gain=0.4, offset_lsb=1.0))
    before = monte_carlo(network, "conv1", config, inputs, accuracy, chips=10, seed=1000)
    torch.manual_seed(0)
    with analog(network, "conv1", config, inputs) as layer:
        optimizer = torch.optim.Adam(network.parameters(), 0.005)
        losses = finetune(network, layer, _batches(120, 64, seed=3), optimizer)
    after = monte_carlo(network, "conv1", config, inputs, accuracy, chips=10, seed=1000)
    assert len(losses) == 120
    assert after.mean > before.mean + 0.02
