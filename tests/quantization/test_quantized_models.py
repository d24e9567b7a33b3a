from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnquant.config import (
    RunConfig,
    TrainingConfig,
    read_config,
    read_method,
    write_config,
)
from snnquant.errors import InputError
from snnquant.quantization import (
    METHODS,
    LayerPlace,
    MethodConfig,
    Plan,
    QuantizationConfig,
    WeightQuantizer,
    freeze,
    integer_weights,
    quantize,
    register_method,
    scale_channels,
    straight_through,
)
from snnquant.quantization.uniform import FixedPointLeak, FixedPointThreshold, QuantizedWeight
from snnquant.spiking import LIF, SpikingNetwork

X = torch.randn(3, 1, 8, 5, 5, generator=torch.Generator().manual_seed(2))
SYNAPSES = ("conv1", "conv2", "linear")
CONFIGS = [
    QuantizationConfig(bits=bits, scheme=scheme, granularity=granularity, clip=clip, neuron_bits=8)
    for bits, scheme, granularity, clip in itertools.product(
        (2, 6), ("symmetric", "affine"), ("channel", "tensor"), ("max", "mse")
    )
] + [QuantizationConfig(bits=8), QuantizationConfig(bits=8, scheme="affine")]
EVERY_CONFIG = pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda c: f"{c.bits}-{c.scheme}-{c.granularity}-{c.clip}-{c.neuron_bits}"
)


def network(seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    return SpikingNetwork(
        {
            "conv1": nn.Conv3d(1, 3, 3),
            "lif1": LIF(0.93, 0.21, initial=0.5),
            "conv2": nn.Conv3d(3, 4, (3, 1, 1)),
            "lif2": LIF(1.0, 0.13),
            "flatten": nn.Flatten(),
            "linear": nn.Linear(4 * 4 * 9, 5),
        },
        time_steps=5,
    )


def synapse(model: nn.Module, name: str) -> nn.Conv3d:
    module = model.get_submodule(f"layers.{name}")
    assert isinstance(module, nn.Conv3d | nn.Linear)
    return module  # type: ignore[return-value]


@EVERY_CONFIG
def test_integer_weights_are_the_weights_bit_for_bit(config: QuantizationConfig) -> None:
    model = quantize(network(), config)
    for name in SYNAPSES:
        codes, scale, zero_point = integer_weights(synapse(model, name))
        weight = synapse(model, name).weight
        rebuilt = (codes - zero_point) * scale
        assert rebuilt.dtype == weight.dtype
        assert torch.equal(rebuilt.view(torch.int32), weight.view(torch.int32))
        assert codes.dtype == (torch.int8 if config.scheme == "symmetric" else torch.uint8)
        groups = weight.flatten(1) if config.granularity == "channel" else [weight]
        most = 2**config.bits - (config.scheme == "symmetric")
        assert all(len(group.unique()) <= most for group in groups)
        assert any(len(group.unique()) > 2 for group in groups)


@EVERY_CONFIG
def test_freeze_keeps_every_output_bit(config: QuantizationConfig) -> None:
    model = quantize(network(), config)
    frozen = freeze(copy.deepcopy(model))
    expected = model(X)
    assert torch.equal(frozen(X), expected)
    assert {type(m) for m in frozen.layers} == {type(m) for m in network().layers}
    assert dict(frozen.named_parameters()).keys() == dict(network().named_parameters()).keys()
    # Freezing a copy must not touch the model, which trains further.
    assert torch.equal(model(X), expected)
    model(X).sum().backward()
    integer_weights(synapse(model, "conv1"))
    quantize(frozen, config)


@EVERY_CONFIG
def test_state_dict_carries_a_quantized_model(config: QuantizationConfig) -> None:
    model = quantize(network(seed=0), config)
    other = quantize(network(seed=1), config)
    assert not torch.equal(other(X), model(X))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(X), model(X))


@EVERY_CONFIG
def test_a_deep_copy_is_another_model(config: QuantizationConfig) -> None:
    model = quantize(network(), config)
    other = copy.deepcopy(model)
    expected = model(X)
    assert torch.equal(other(X), expected)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    assert torch.equal(model(X), expected)
    assert not torch.equal(other(X), expected)


def test_weights_train_underneath_and_biases_stay_floating_point() -> None:
    model = network()
    originals = {name: synapse(model, name).weight.detach().clone() for name in SYNAPSES}
    biases = {name: synapse(model, name).bias for name in SYNAPSES}
    quantize(model, QuantizationConfig())
    model(X).square().sum().backward()
    for name in SYNAPSES:
        module = synapse(model, name)
        assert module.bias is biases[name]
        assert isinstance(module.bias, nn.Parameter)
        master = module.parametrizations.weight.original  # type: ignore[union-attr]
        assert torch.equal(master, originals[name])
        assert not torch.equal(module.weight, master)
        assert master.grad is not None
        assert master.grad.any()


@pytest.mark.parametrize(
    "module", [nn.Conv1d(2, 3, 1), nn.Conv2d(2, 3, 1), nn.Conv3d(2, 3, 1), nn.Linear(2, 3)]
)
def test_every_kind_of_synapse_is_quantized(module: nn.Module) -> None:
    model = quantize(nn.Sequential(copy.deepcopy(module), nn.BatchNorm1d(3)), QuantizationConfig())
    assert len(integer_weights(model[0])[0]) == 3
    assert quantize(copy.deepcopy(module), QuantizationConfig()).weight.shape == module.weight.shape
    with pytest.raises(InputError, match="found BatchNorm1d in floating point"):
        integer_weights(model[1])


def test_a_forward_quantizes_each_weight_once_however_many_steps() -> None:
    model = quantize(network(), QuantizationConfig(neuron_bits=8))
    calls: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, QuantizedWeight | FixedPointLeak | FixedPointThreshold):
            module.register_forward_hook(
                lambda *_, name=name: calls.update({name: calls.get(name, 0) + 1})
            )
    model(X)
    assert len(calls) == 3 + 2 * 2
    assert set(calls.values()) == {1}


def test_max_follows_the_weight_and_mse_does_not() -> None:
    for clip, follows in (("max", True), ("mse", False)):
        model = quantize(network(), QuantizationConfig(clip=clip))
        module = synapse(model, "conv2")
        before = module.weight.detach()
        with torch.no_grad():
            module.parametrizations.weight.original.mul_(4)  # type: ignore[union-attr]
        assert torch.equal(module.weight, 4 * before) == follows
        if not follows:
            _, scale, _ = integer_weights(module)
            assert torch.equal(module.weight.abs().amax((1, 2, 3, 4), keepdim=True), 31 * scale)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@given(leak=st.floats(0, 1, width=32), threshold=st.floats(0.001, 1000))
@settings(deadline=None)
def test_neurons_are_in_fixed_point(bits: int, leak: float, threshold: float) -> None:
    lif = LIF(leak, threshold)
    quantize(nn.Sequential(lif, nn.Linear(1, 1)), QuantizationConfig(neuron_bits=bits))
    k = lif.leak.item() * 2**bits
    assert k == int(k)
    assert k == min(round(leak * 2**bits), 2**bits - 1)
    significand = lif.threshold.item()
    while significand < 2 ** (bits - 1):
        significand *= 2
    while significand > 2**bits:
        significand /= 2
    assert significand == int(significand)  # b bits and a binary point, or the power of two above
    assert abs(lif.threshold.item() / threshold - 1) <= 2.0**-bits + 1e-7


def test_quantized_neurons_train_even_from_a_leak_of_one() -> None:
    model = quantize(network(), QuantizationConfig(neuron_bits=6))
    model(X).square().sum().backward()
    neurons = [p for name, p in model.named_parameters() if "leak" in name or "threshold" in name]
    assert len(neurons) == 4
    assert all(p.grad is not None and p.grad != 0 for p in neurons)
    with torch.no_grad():
        for p in neurons:
            p.fill_(-1)
    model.clamp_()
    assert model.layers.lif1.leak.item() == 0
    assert model.layers.lif1.threshold.item() > 0


@pytest.fixture
def sign(monkeypatch: pytest.MonkeyPatch) -> type[MethodConfig]:
    """A method whose weights are -1, 0 or 1, registered for one test."""
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    class SignWeight(WeightQuantizer):
        def forward(self, weight: Tensor) -> Tensor:
            return straight_through(weight, weight.sign(), weight.abs() <= 1)

    @register_method("sign")
    class Sign(MethodConfig):
        bits: int = 2
        places: tuple[int, ...] = ()

        def plan(self) -> Plan:
            def weight(weight: Tensor, place: LayerPlace) -> WeightQuantizer:
                seen.append(place)
                return SignWeight(self.bits)

            return Plan(weight)

    seen: list[LayerPlace] = []
    Sign.seen = seen  # type: ignore[attr-defined]
    return Sign


def test_a_registered_method_puts_its_quantizers_on_every_weight(sign: type) -> None:
    model = quantize(network(), sign())
    assert [(place.name, place.kind) for place in sign.seen] == [  # type: ignore[attr-defined]
        ("layers.conv1", "conv3d"),
        ("layers.conv2", "conv3d"),
        ("layers.linear", "linear"),
    ]
    for name in SYNAPSES:
        assert set(synapse(model, name).weight.unique().tolist()) <= {-1.0, 0.0, 1.0}
    model(X).sum().backward()
    assert synapse(model, "conv2").parametrizations.weight.original.grad.any()  # type: ignore[union-attr]
    expected = model(X)
    assert torch.equal(freeze(model)(X), expected)
    assert isinstance(synapse(model, "conv2").weight, nn.Parameter)


def test_a_method_without_a_grid_refuses_integers_and_factors(sign: type) -> None:
    layer = quantize(nn.Linear(3, 4), sign())
    with pytest.raises(InputError, match="SignWeight: found a quantizer without codes"):
        integer_weights(layer)
    with pytest.raises(InputError, match=r"found output channels .*--no-snn-batch-norm"):
        scale_channels(layer, torch.ones(4))
    with pytest.raises(InputError, match=r"--quantization: found sign, .*--no-snn-batch-norm"):
        RunConfig(quantization=sign())
    RunConfig(quantization=sign(), training=TrainingConfig(snn_batch_norm=False))
    RunConfig(quantization=sign(bits=32))


def test_a_quantizer_after_another_parametrization_is_found() -> None:
    class Halved(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight / 2

    layer = nn.Linear(8, 3)
    parametrize.register_parametrization(layer, "weight", Halved())
    quantize(layer, QuantizationConfig(bits=4))
    codes, scale, zero_point = integer_weights(layer)
    assert torch.equal((codes - zero_point) * scale, layer.weight)
    with pytest.raises(InputError, match="found several parametrizations"):
        scale_channels(layer, torch.ones(3))
    before = layer.weight.detach()
    assert torch.equal(freeze(layer).weight, before)


def test_options_of_a_method_are_read_and_written(sign: type, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    plain = TrainingConfig(snn_batch_norm=False)
    config = RunConfig(quantization=sign(bits=4, places=(1, 2)), training=plain)
    file.write_text(write_config(config))
    assert read_config(file) == config
    assert file.read_text().endswith("\n[sign]\nbits = 4\nplaces = [1, 2]\n")
    assert read_method({"method": "sign", "bits": 4, "places": [1, 2]}) == config.quantization
    assert read_method({"bits": 4}) == QuantizationConfig(bits=4, activation_bits=32)


def method(plan: object) -> type[MethodConfig]:
    """Return a method that is not registered yet, with a `plan` or without."""
    return type("A", (MethodConfig,), {"plan": plan} if plan else {})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda sign: sign(bits=9), "^--quantization.bits: found 9, expected 2 to 8"),
        (lambda sign: sign(bits="4"), "^--quantization.bits: found '4', expected a whole number"),
        (lambda sign: sign(places=[1]), "^--quantization.places: found"),
        (lambda sign: sign(method="uniform"), "^--quantization: found 'uniform', expected sign"),
        (lambda sign: QuantizationConfig(method="sign"), "^--quantization: found 'sign'"),
        (lambda sign: read_method({"method": "other"}), "found 'other', expected one of uniform"),
        (lambda sign: read_method({"method": ["sign"]}), "^--quantization: found"),
        (lambda sign: register_method("sign")(method(sign.plan)), "registered twice"),
        (lambda sign: register_method("a-b")(method(sign.plan)), "an identifier"),
        (lambda sign: register_method("new")(method(None)), r"'new': A: found no plan"),
        (lambda sign: MethodConfig().plan(), r"^MethodConfig: found no plan\(\), expected it"),
        (lambda sign: register_method("again")(sign), "found @dataclass"),
    ],
)
def test_wrong_options_of_a_method_are_refused(call, message: str, sign: type) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call(sign)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: quantize(quantize(network(), QuantizationConfig()), QuantizationConfig(bits=4)),
            "found a quantized model",
        ),
        (lambda: quantize(nn.ReLU(), QuantizationConfig()), "found no convolution"),
        (lambda: quantize(network(), "6 bits"), "found str, expected one of QuantizationConfig"),
        (lambda: integer_weights(nn.Linear(2, 2)), "found Linear in floating point"),
        (lambda: QuantizationConfig(bits=1), "bits: found"),
        (lambda: QuantizationConfig(bits=9), "bits: found"),
        (lambda: QuantizationConfig(neuron_bits=17), "found 17, expected 2 to 16"),
    ],
)
def test_wrong_calls_are_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        call()
