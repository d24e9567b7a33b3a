"""Brevitas as an oracle: uniform quantization in training, equalisation, bias correction."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnquant.quantization import Calibration, QuantizationConfig, quantize
from snnquant.quantization.methods.post_training import PostTraining
from snnquant.quantization.passes.bias_correction import correct
from snnquant.quantization.passes.equalisation import equalise
from snnquant.quantization.passes.layers import floating, mean_input, synapses_in_order

brevitas = pytest.importorskip("brevitas", reason="the extra `test` brings brevitas")


def quantized(layer: nn.Module, bits: int, granularity: str) -> Any:
    """Return Brevitas' counterpart of a layer, with its weights."""
    from brevitas import nn as bnn
    from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat

    how = Int8WeightPerChannelFloat if granularity == "channel" else Int8WeightPerTensorFloat
    options: dict[str, Any] = {"weight_quant": how, "weight_bit_width": bits}
    if isinstance(layer, nn.Linear):
        other: Any = bnn.QuantLinear(layer.in_features, layer.out_features, True, **options)
    else:
        conv: Any = layer
        kind = {1: bnn.QuantConv1d, 2: bnn.QuantConv2d, 3: bnn.QuantConv3d}[conv.weight.ndim - 2]
        shape = (conv.in_channels, conv.out_channels, conv.kernel_size)
        other = kind(*shape, stride=conv.stride, groups=conv.groups, **options)
    other.load_state_dict(layer.state_dict(), strict=False)
    return other


LAYERS = {
    "conv1d": (lambda: nn.Conv1d(2, 4, 3), (5, 2, 9)),
    "conv2d": (lambda: nn.Conv2d(4, 4, 3, groups=2), (5, 4, 6, 6)),
    "conv3d": (lambda: nn.Conv3d(1, 4, (5, 3, 3), (2, 1, 1)), (5, 1, 11, 4, 4)),
    "linear": (lambda: nn.Linear(7, 4), (5, 7)),
}


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("kind", LAYERS)
def test_uniform_weights_train_as_theirs(kind: str, bits: int, granularity: str) -> None:
    torch.manual_seed(bits)
    make, shape = LAYERS[kind]
    layer, x = make(), torch.randn(shape)
    other = quantized(layer, bits, granularity)
    config = QuantizationConfig(bits=bits, granularity=granularity)  # type: ignore[arg-type]
    ours: Any = quantize(layer, config)
    assert torch.allclose(ours(x), other(x), atol=1e-5)
    assert torch.allclose(ours.weight, other.quant_weight().value, atol=1e-6)
    for network in (ours, other):
        network(x).square().sum().backward()
    weight, slope = ours.parametrizations.weight.original, other.weight.grad
    # They differentiate the scale, which follows the largest weight: only its gradient differs.
    axes = tuple(range(1 if granularity == "channel" else 0, weight.ndim))
    rest = weight.abs() < weight.abs().amax(axes, keepdim=True)
    assert rest.sum() >= weight.numel() - 4
    assert torch.allclose(weight.grad[rest], slope[rest], rtol=1e-4, atol=1e-4)


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU())
    network = nn.Sequential(*layers, nn.Conv2d(6, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1))
    with torch.no_grad():
        for parameter in network.parameters():
            factors = 10 ** (2 * torch.rand(len(parameter)) - 1)
            parameter.mul_(factors.view(-1, *[1] * (parameter.ndim - 1)))
    return network.eval()


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one = nn.Conv2d(2, 5, 1), nn.Conv2d(5, 4, 3, padding=1)
        self.two, self.head = nn.Conv2d(4, 5, 1), nn.Conv2d(5, 3, 1)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.stem(x))
        y: Tensor = self.head(self.relu3(x + self.two(self.relu2(self.one(x)))))
        return y


@pytest.mark.parametrize("make", [chain, Residual])
def test_equalised_weights_are_theirs(make: Any) -> None:
    from torch.fx import symbolic_trace

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        from brevitas.graph.equalize import EqualizeGraph

    torch.manual_seed(1)
    ours, x = make().eval(), torch.randn(4, 2, 7, 7)
    theirs = symbolic_trace(copy.deepcopy(ours))
    theirs = EqualizeGraph(iterations=100, threshold=1e-7, merge_bias=False).apply(theirs)
    equalise(ours, x[:1])
    assert torch.allclose(ours(x), theirs(x), rtol=1e-3, atol=1e-4)
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter, theirs.get_parameter(name), rtol=1e-3, atol=1e-4), name


def test_a_corrected_bias_is_theirs() -> None:
    from brevitas.graph.calibrate import bias_correction_mode

    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).eval()
    x = torch.rand(64, 1, 4, 4, 4)
    theirs = copy.deepcopy(plain)
    for place in (0, 3):
        theirs[place] = quantized(plain[place], 3, "channel")
    with torch.no_grad(), bias_correction_mode(theirs.eval()):
        theirs(x)
    ours = quantize(plain, PostTraining(bits=3, ranges="minmax", correct="none"), Calibration(x))
    # They take the mean inputs of the network in floating point.
    inputs = {name: mean_input(floating(ours), name, x) for name in synapses_in_order(ours, x)}
    before = {name: ours.get_submodule(name).bias.detach().clone() for name in inputs}  # type: ignore[union-attr, operator]
    with torch.no_grad():
        for name, expected in inputs.items():
            correct(ours, name, expected)
            bias = ours.get_submodule(name).bias
            assert isinstance(bias, Tensor)
            assert torch.allclose(bias, theirs.get_submodule(name).bias, atol=1e-5)  # type: ignore[arg-type]
            assert not torch.allclose(bias, before[name], atol=1e-3)
