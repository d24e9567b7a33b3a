"""Tests of the methods lbw, bcgd and dorefa, and of estimators, through their options."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from snnquant.cli.method_options import options_of_method
from snnquant.config import RunConfig, TrainingConfig, run_config_type
from snnquant.errors import InputError
from snnquant.quantization import (
    METHODS,
    MethodConfig,
    PowersOfTwo,
    QuantizationConfig,
    Uniform,
    integer_weights,
    quantize,
    scale_channels,
    weight_codes,
)
from snnquant.quantization.estimators import ESTIMATORS, Cells
from snnquant.quantization.methods.bcgd import BCGD
from snnquant.quantization.methods.dorefa import DoReFa
from snnquant.quantization.methods.lbw import LBW

VARIANTS: list[MethodConfig] = [
    *(LBW(bits=bits, granularity="channel") for bits in range(2, 9)),
    *(LBW(bits=bits, search="threshold") for bits in (3, 4, 8)),
    *(BCGD(bits=bits, granularity="channel") for bits in range(1, 9)),
    *(BCGD(bits=bits) for bits in (1, 2, 4)),
    *(DoReFa(bits=bits) for bits in range(1, 8)),
    DoReFa(bits=2, scale="unit", estimator="cosine"),
]


def layer(config: MethodConfig) -> nn.Conv3d:
    torch.manual_seed(0)
    module = nn.Conv3d(3, 5, (3, 2, 2))
    quantize(module, config)
    return module


@pytest.mark.parametrize("config", VARIANTS, ids=repr)
def test_codes_decode_to_the_weight_bit_for_bit(config: MethodConfig) -> None:
    module = layer(config)
    codes = weight_codes(module)
    assert isinstance(codes, PowersOfTwo if isinstance(config, LBW) else Uniform)
    decoded = codes.decode()
    assert decoded.dtype == module.weight.dtype
    assert torch.equal(decoded.view(torch.int32), module.weight.view(torch.int32))


@pytest.mark.parametrize("config", VARIANTS, ids=repr)
def test_codes_fit_int8_or_are_refused(config: MethodConfig) -> None:
    module = layer(config)
    if config.bits > 4 and isinstance(config, LBW):
        with pytest.raises(InputError, match="found powers of two"):
            integer_weights(module)
        return
    codes, scale, zero_point = integer_weights(module)
    assert torch.equal((codes - zero_point) * scale, module.weight)
    assert codes.dtype == torch.int8
    assert len(codes.unique()) <= 2**config.bits


@pytest.mark.parametrize("config", VARIANTS, ids=repr)
def test_the_gradient_reaches_the_weight(config: MethodConfig) -> None:
    module = layer(config)
    module(torch.ones(1, 3, 4, 4, 4)).square().sum().backward()
    latent = module.parametrizations["weight"].original  # type: ignore[index]
    assert latent.grad.isfinite().all()
    assert latent.grad.any()


@pytest.mark.parametrize("config", [LBW(), BCGD()], ids=repr)
def test_one_scale_per_layer_refuses_other_channels(config: MethodConfig) -> None:
    with pytest.raises(InputError, match="expected --no-snn-batch-norm"):
        scale_channels(layer(config), torch.ones(5))
    with pytest.raises(InputError, match="expected --no-snn-batch-norm"):
        config.require_channel_scales()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LBW(bits=1), "--quantization.bits: found 1, expected 2 to 8, or 32"),
        (lambda: LBW(bits=2, search="threshold"), "--quantization.search: found threshold"),
        (lambda: BCGD(bits=0), "--quantization.bits: found 0, expected 1 to 8, or 32"),
        (lambda: BCGD(blending=1.0), "--quantization.blending: found 1.0, expected 0 to below 1"),
        (lambda: BCGD(weight_decay=-1.0), "--quantization.weight-decay: found -1.0"),
        (lambda: DoReFa(bits=8), "--quantization.bits: found 8, expected 1 to 7, or 32"),
        (lambda: DoReFa(estimator="log"), "--quantization.estimator: found log, expected clipped"),
        (lambda: QuantizationConfig(estimator="relu"), "--estimator: found relu, expected clipped"),
        (lambda: QuantizationConfig(estimator="no"), "--estimator: found no, expected clipped"),
    ],
)
def test_values_out_of_range_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()  # type: ignore[operator]
    assert str(caught.value).startswith(message)


def test_bcgd_brings_its_weight_decay() -> None:
    assert BCGD().plan().recipe == {"weight_decay": 1e-4}
    assert BCGD(weight_decay=0.0).plan().recipe == {"weight_decay": 0}


def uniform_gradient(estimator: str) -> Tensor:
    torch.manual_seed(0)
    module = nn.Linear(200, 3)
    with torch.no_grad():
        module.weight.copy_(torch.randn(3, 200) ** 3)  # some far outside of the best range
    quantize(module, QuantizationConfig(bits=3, clip="mse", estimator=estimator))
    module(torch.ones(1, 200)).sum().backward()
    found: Tensor = module.parametrizations["weight"].original.grad  # type: ignore[index]
    return found


def test_the_estimator_of_uniform_weights_is_an_option() -> None:
    names = ["clipped", "ste", "cosine", "tanh", "ewgs", "polynomial"]
    gradients = [uniform_gradient(name) for name in names]
    assert set(gradients[0].unique().tolist()) == {0, 1}
    assert gradients[1].unique().tolist() == [1]
    for i, one in enumerate(gradients):
        for other in gradients[i + 1 :]:
            assert not torch.equal(one, other)


@pytest.fixture
def plugin() -> Iterator[None]:
    @ESTIMATORS.register("half")
    def half(cells: Cells, gradient: Tensor) -> Tensor:
        return torch.full_like(gradient, 0.5)

    yield
    del ESTIMATORS._entries["half"]


@pytest.mark.usefixtures("plugin")
def test_a_plugins_estimator_is_an_option() -> None:
    assert uniform_gradient("half").unique().tolist() == [0.5]


def test_a_method_without_channel_scales_runs_without_batch_norm() -> None:
    """The method's defaults are refused beside batch norm, and are not what was asked for."""
    from cyclopts import App

    seen: list[RunConfig] = []
    app = App()

    @app.command
    def toy(*, config: RunConfig | None = None) -> None:
        assert config is not None
        seen.append(config)

    kind = run_config_type(METHODS.get("lbw"))
    with options_of_method(app, "toy", LBW):
        command = app["toy"].default_command
        assert command is not None
        command(config=kind(training=TrainingConfig(snn_batch_norm=False)))
        with pytest.raises(InputError, match="expected --no-snn-batch-norm"):
            command()
    assert seen[0].quantization == LBW()
