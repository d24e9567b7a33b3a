"""Sensitivities, sample sizes and error bounds of provable filter pruning."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.quantization.channel_sampling import (
    ChannelLaw,
    channel_sensitivities,
    choose,
)

SAMPLES = (50, 100, 200, 400, 800)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def torch_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dense_layer(outputs: int = 64, inputs: int = 200) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    layer.weight.data = torch.randn(outputs, inputs, generator=torch_generator()) / inputs**0.5
    return layer


def activations(count: int = 2000, channels: int = 200) -> Tensor:
    return torch.randn(count, channels, generator=torch_generator(1)).abs()


def relative_errors(layer: nn.Linear, x: Tensor, factors: Tensor) -> Tensor:
    """Return the error of each output over the sum of the magnitudes of its terms."""
    weight = layer.weight.detach()
    error = (x * factors) @ weight.T - x @ weight.T
    return error.abs() / (x @ weight.abs().T)


def largest_part_error(layer: nn.Linear, x: Tensor, factors: Tensor) -> float:
    """Return the largest relative error on the parts of positive and of negative weights."""
    parts = [layer.weight.detach().clamp(min=0), (-layer.weight.detach()).clamp(min=0)]
    errors = [(((x * factors) @ part.T - x @ part.T).abs() / (x @ part.T)).max() for part in parts]
    return float(max(errors))


def law_of(layer: nn.Linear, x: Tensor, failure: float = 1e-16) -> ChannelLaw:
    count = layer.in_features
    found = channel_sensitivities(layer, x, torch.arange(count), count)
    return ChannelLaw(found, places=1, kernel=1, failure=failure)


def drawn(law: ChannelLaw, samples: int, seed: int) -> Tensor:
    p = law.probabilities
    draws = torch.multinomial(p, samples, replacement=True, generator=torch_generator(seed))
    return torch.bincount(draws, minlength=len(p)) / (samples * p)


def test_sensitivities_are_the_largest_shares_of_a_brute_force_search() -> None:
    layer = dense_layer(5, 7)
    x = torch.randn(30, 7, generator=torch_generator(2))
    expected = torch.zeros(7)
    for j in range(7):
        for point in x:
            for row in layer.weight.detach():
                terms = row * point
                for weight_sign in (1, -1):
                    for input_sign in (1, -1):
                        part = (row.sign() == weight_sign) & (point.sign() == input_sign)
                        if part[j]:
                            share = terms[j] / terms[part].sum()
                            expected[j] = max(expected[j], share)
    found = channel_sensitivities(layer, x, torch.arange(7), 7)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 4, 3, padding=1), (2, 3, 8)),
        (nn.Conv2d(3, 4, 3, stride=2), (2, 3, 7, 7)),
        (nn.Conv3d(3, 4, (2, 1, 2)), (2, 3, 4, 3, 3)),
    ],
    ids=("1d", "2d", "3d"),
)
def test_a_channel_of_a_convolution_counts_with_its_whole_kernel(
    layer: nn.Conv2d, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    x = torch.rand(shape)
    found = channel_sensitivities(layer, x, torch.arange(3), 3)
    expected = torch.zeros(3)
    for part in (layer.weight.detach().clamp(min=0), (-layer.weight.detach()).clamp(min=0)):
        total = layer._conv_forward(x, part, None)
        for j in range(3):
            only = torch.zeros_like(part)
            only[:, j] = part[:, j]
            share = (layer._conv_forward(x, only, None) / total).nan_to_num(0)
            expected[j] = max(expected[j], share.max())
    torch.testing.assert_close(found, expected)
    assert (found <= 1).all()


def test_errors_follow_one_over_the_square_root_of_the_samples() -> None:
    layer, x = dense_layer(), activations()
    law = law_of(layer, x[:256])
    scaled = []
    for samples in SAMPLES:
        runs = [relative_errors(layer, x[256:], drawn(law, samples, s)).max() for s in range(5)]
        scaled.append(float(torch.stack(runs).mean()) * math.sqrt(samples))
    # The largest error is 1.0 at 50 samples and a quarter of it at 16 times as many.
    assert min(scaled) > 6
    assert max(scaled) < 8
    assert max(scaled) / min(scaled) < 1.2


def test_sensitive_channels_serve_better_than_others_of_the_same_number() -> None:
    layer = dense_layer()
    x = activations() * torch.logspace(-2, 0, 200)
    law = law_of(layer, x[:256])
    taken = choose(law, 60, "deterministic", generator()).factors
    by_chance = [
        (torch.randperm(200, generator=torch_generator(s)) < 60).float() for s in range(20)
    ]
    others = [relative_errors(layer, x[256:], factors).max() for factors in by_chance]
    assert relative_errors(layer, x[256:], taken).max() < 0.7 * min(others)
    uniform = ChannelLaw(torch.ones(200), 1, 1, 1e-16)
    by_law, evenly = (
        [relative_errors(layer, x[256:], drawn(one, 100, s)).max() for s in range(20)]
        for one in (law, uniform)
    )
    assert sum(by_law) < 0.8 * sum(evenly)


def test_drawn_weights_are_right_on_average() -> None:
    layer, x = dense_layer(), activations(50)
    law = law_of(layer, x)
    factors = torch.stack([choose(law, 40, "random", generator(s)).factors for s in range(600)])
    assert (factors == 0).any()
    spread = factors.std(0) / math.sqrt(len(factors))
    assert ((factors.mean(0) - 1).abs() < 5 * spread).all()


def test_hybrid_choices_keep_the_likely_channels_and_are_right_on_average() -> None:
    found = torch.cat([torch.full((3,), 1.0), torch.linspace(0.05, 0.1, 40)])
    law = ChannelLaw(found, 1, 1, 1e-16)
    choices = [choose(law, 20, "hybrid", generator(s)).factors for s in range(600)]
    factors = torch.stack(choices)
    assert (factors[:, :3] == 1).all()
    assert (factors[:, 3:] == 0).any(0).all()
    spread = factors.std(0) / math.sqrt(len(factors))
    assert ((factors.mean(0) - 1).abs() <= 5 * spread).all()


def test_no_point_breaks_the_bound_of_drawn_channels() -> None:
    layer, x = dense_layer(), activations()
    law = law_of(layer, x[:256], failure=0.1)
    samples = law.samples(0.25)
    for seed in range(5):
        assert largest_part_error(layer, x[256:], drawn(law, samples, seed)) < 0.25


@pytest.mark.parametrize("kind", ["random", "hybrid", "deterministic"])
def test_no_point_that_was_seen_breaks_the_bound_of_a_choice(kind: str) -> None:
    layer, x = dense_layer(), activations()
    law = law_of(layer, x)
    x = x.double()
    layer = layer.double()
    choices = [choose(law, n, kind, generator()) for n in (40, 120, 160, 190, 195, 198)]
    for choice in choices:
        assert 0 < choice.error < 50
        assert largest_part_error(layer, x, choice.factors.double()) <= choice.error + 1e-6
    if kind == "deterministic":
        assert [int(choice.factors.sum()) for choice in choices] == [40, 120, 160, 190, 195, 198]
        assert min(choice.error for choice in choices) < 1


@pytest.mark.parametrize("kind", ["random", "hybrid"])
def test_draws_keep_the_wanted_number_of_channels_on_average(kind: str) -> None:
    law = ChannelLaw(torch.logspace(-9, 0, 30), 1, 1, 1e-16)
    choices = [choose(law, 12, kind, generator(s)) for s in range(400)]
    kept = [int((choice.factors > 0).sum()) for choice in choices]
    assert sum(kept) / len(kept) == pytest.approx(12, abs=0.6)
    # Channels without sensitivity are never drawn, and all others stay where all are wanted.
    silent = ChannelLaw(torch.tensor([0.4, 0.0, 0.6]), 1, 1, 1e-16)
    choice = choose(silent, 2, kind, generator())
    assert (choice.factors.tolist(), choice.error) == ([1.0, 0.0, 1.0], 0.0)


@pytest.mark.parametrize("error", [0.1, 1.0, 20.0])
def test_the_error_of_a_number_of_samples_inverts_the_number_of_an_error(error: float) -> None:
    law = ChannelLaw(torch.tensor([1.0, 0.5, 0.2]), places=9, kernel=27, failure=1e-16)
    samples = law.samples(error)
    expected = 3 * (6 + 2 * error) / error**2 * 1.7 * 6 * math.log(8 * 10 * 27 / 1e-16)
    assert samples == math.ceil(expected)
    assert law.error(samples) <= error < law.error(samples - 1)


def test_the_expected_number_of_different_channels_is_that_of_draws() -> None:
    law = ChannelLaw(torch.tensor([0.6, 0.3, 0.05, 0.05]), 1, 1, 0.1)
    p = law.probabilities
    counts = [
        len(torch.multinomial(p, 6, replacement=True, generator=torch_generator(s)).unique())
        for s in range(4000)
    ]
    assert law.distinct(6) == pytest.approx(sum(counts) / len(counts), abs=0.05)
