"""Binary networks without norm: variances, gains, codes and clipped gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from snnquant.errors import InputError
from snnquant.nn.kinds import BATCH_NORMS
from snnquant.quantization import integer_weights, quantize, scale_channels
from snnquant.quantization.gradient_clipping import GradientClipping
from snnquant.quantization.methods.norm_free_bnn import NormFreeBNN
from snnquant.quantization.standardised import SIGN_GAIN, BinaryReLU, StandardisedWeight

UNIT = NormFreeBNN(start="unit")
WIDTH, ALPHA = 256, 0.2


def chain_variances(gain: float | None, blocks: int) -> list[float]:
    """Return the variance after every block x + alpha f(x / sqrt(var_l)) of random binary layers.

    var_1 = 1 and var_{l+1} = var_l + alpha^2. A gain of None is the one that weights start with.
    """
    torch.manual_seed(0)
    x, expected, found = torch.randn(2048, WIDTH), 1.0, []
    for _ in range(blocks):
        weight = torch.randn(WIDTH, WIDTH)
        quantizer = StandardisedWeight(weight, bits=1, trained=False)
        if gain is not None:
            nn.init.constant_(quantizer.gain, gain)
        x = x + ALPHA * functional.linear(x / math.sqrt(expected), quantizer(weight)).detach()
        expected += ALPHA**2
        found.append(x.var().item())
    return found


def test_the_variance_of_a_chain_of_blocks_follows_its_rule() -> None:
    found = chain_variances(None, blocks=12)
    for blocks in (4, 8, 12):
        assert found[blocks - 1] == pytest.approx(1 + blocks * ALPHA**2, rel=0.03)


def test_without_the_gain_a_branch_has_two_pi_ths_of_its_variance() -> None:
    plain = chain_variances(1.0, blocks=12)[-1]
    assert plain == pytest.approx(1 + 12 * ALPHA**2 * 2 / math.pi, rel=0.03)
    assert plain < 0.93 * (1 + 12 * ALPHA**2)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_filter_has_the_norm_of_its_gain_and_codes_decode_to_it(bits: int) -> None:
    weight = torch.randn(5, 3, 7, 7) * torch.rand(5, 1, 1, 1)
    quantizer = StandardisedWeight(weight, bits, trained=False)
    levels = quantizer(weight)
    assert torch.equal(quantizer.encode(weight).decode(), levels)
    norms = levels.square().sum((1, 2, 3))
    # A grid out to the largest of 147 weights leaves 2 bits few weights that are not 0.
    assert norms.tolist() == pytest.approx([1.0] * 5, rel=0.6 if bits == 2 else 0.2)
    trained = StandardisedWeight(weight, bits, trained=True).gain
    centred = weight - weight.mean((1, 2, 3), keepdim=True)
    own = centred.square().sum((1, 2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(trained.detach(), own * (SIGN_GAIN if bits == 1 else 1))


@pytest.mark.parametrize("bits", [1, 4])
def test_factors_of_channels_are_followed_and_gradients_reach_gain_and_weight(bits: int) -> None:
    config = NormFreeBNN(bits=bits, ends_bits=4)
    network = nn.Sequential(*[nn.Linear(6, 6) for _ in range(3)])
    layer: Any = quantize(network, config).get_submodule("1")
    layer(torch.randn(4, 6)).square().sum().backward()
    steps: Any = layer.parametrizations
    assert steps.weight.original.grad.any()
    assert steps.weight[0].gain.grad.any()
    before = layer.weight.detach()
    factors = torch.tensor([-2.0, 0.5, 1.0, -1.0, 3.0, -0.1])
    scale_channels(layer, factors)
    torch.testing.assert_close(layer.weight, before * factors[:, None])


def test_signs_do_not_depend_on_the_size_or_the_mean_of_a_weight() -> None:
    weight = torch.randn(4, 30)
    quantizer = StandardisedWeight(weight, bits=1, trained=False)
    torch.testing.assert_close(quantizer(3 * weight + 1), quantizer(weight))


def test_the_derivative_of_an_activation_is_that_of_a_sign() -> None:
    x = torch.linspace(-2, 4, 301)[None].requires_grad_()
    BinaryReLU(2.0)(x).sum().backward()
    z = x.detach() - 1
    assert x.grad is not None
    torch.testing.assert_close(x.grad, (2 - 2 * z.abs()).clamp(min=0), atol=1e-5, rtol=0)


def test_a_network_has_ends_of_more_bits_binary_activations_and_no_norm() -> None:
    network = nn.Sequential(
        *(nn.Linear(20, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 3))
    )
    quantize(network, UNIT)
    bits = [int(integer_weights(network[i])[0].abs().max()) for i in (0, 2, 4)]
    assert bits == [127, 1, 127]
    assert len(network[:4](torch.randn(50, 20)).unique()) == 2
    assert not any(isinstance(module, BATCH_NORMS) for module in network.modules())
    (rule,) = [make(network) for make in UNIT.plan().rules]
    assert isinstance(rule, GradientClipping)
    (1e3 * network(torch.randn(50, 20)).sum()).backward()
    rule.before_step()
    for weight in rule.weights:
        assert weight.grad is not None
        longest = UNIT.clipping * weight.norm(dim=1).clamp(min=1e-3)
        assert (weight.grad.norm(dim=1) <= longest * 1.0001).all()


def test_options_out_of_range_are_refused() -> None:
    for options, found in (({"bits": 9}, "bits"), ({"clipping": 0.0}, "clipping")):
        with pytest.raises(InputError, match=f"--quantization.{found}: found"):
            NormFreeBNN(**options)
