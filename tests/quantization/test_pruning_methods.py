"""The methods that remove weights, on CNNs and SNNs: masks, bounds, training, refusals."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnquant.config import METHODS, MethodConfig, ModelConfig, NeuronConfig
from snnquant.conversion import convert
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn.kinds import SYNAPSES
from snnquant.quantization import Calibration, freeze, install, quantize, weight_codes
from snnquant.quantization.api import weight_quantizer
from snnquant.quantization.masked import MaskedWeight
from snnquant.quantization.methods.filter_pruning import FilterPruning
from snnquant.quantization.methods.pruning_at_start import PruningAtStart

CONFIGS = [FilterPruning(keep=0.4), PruningAtStart(keep=0.3), PruningAtStart(rescale="variance")]


def calibration() -> Calibration:
    draw = torch.Generator().manual_seed(0)
    return Calibration(
        torch.rand(40, 1, 40, 5, 5, generator=draw), torch.randint(5, (40,), generator=draw)
    )


def cnn() -> nn.Module:
    torch.manual_seed(0)
    return build_model(ModelConfig(name="cnn3d", widths=(8, 8, 12, 12)), 40, 5).eval()


def snn() -> nn.Module:
    x = calibration().inputs
    return convert(cnn(), x[:1], x, neuron=NeuronConfig(time_steps=3))[0]


def quantizers(network: nn.Module) -> dict[str, MaskedWeight]:
    found = {n: weight_quantizer(m) for n, m in network.named_modules() if isinstance(m, SYNAPSES)}
    assert all(isinstance(quantizer, MaskedWeight) for quantizer in found.values())
    return found  # type: ignore[return-value]


def share_left(network: nn.Module) -> float:
    masks = [quantizer.mask for quantizer in quantizers(network).values()]
    return float(sum(mask.sum() for mask in masks)) / sum(mask.numel() for mask in masks)


EVERY = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.method}-{c.keep}")
BOTH = pytest.mark.parametrize("make", [cnn, snn], ids=["cnn", "snn"])


@EVERY
@BOTH
def test_removed_weights_are_zeros_in_forward_and_codes_and_stay_so(
    config: MethodConfig, make: Any
) -> None:
    network = quantize(make(), config, calibration())
    assert 0.1 < share_left(network) <= config.keep + 0.05  # type: ignore[attr-defined]
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2, weight_decay=0.1)
    removed = {name: quantizer.mask == 0 for name, quantizer in quantizers(network).items()}
    before = copy.deepcopy(network.state_dict())
    for _ in range(3):
        optimizer.zero_grad()
        given = calibration()
        nn.functional.cross_entropy(network(given.inputs), given.classes).backward()
        optimizer.step()
    assert any(not torch.equal(v, before[k]) for k, v in network.state_dict().items())
    for name, mask in removed.items():
        layer: Any = network.get_submodule(name)
        codes = weight_codes(layer)
        assert not layer.weight[mask].any()
        assert not codes.uniform().codes[mask].any()
        assert torch.equal(codes.decode(), layer.weight)
    frozen = freeze(copy.deepcopy(network))
    assert torch.equal(frozen(given.inputs), network(given.inputs))


@EVERY
@BOTH
def test_a_network_of_the_options_takes_masks_and_bounds_from_the_state(
    config: MethodConfig, make: Any
) -> None:
    network = quantize(make(), config, calibration())
    other = install(make(), config)
    assert share_left(other) == 1
    other.load_state_dict(network.state_dict())
    assert share_left(other) == share_left(network)
    assert str(other) == str(network)
    x = calibration().inputs
    assert torch.equal(other.eval()(x), network.eval()(x))


@BOTH
def test_the_bound_of_every_layer_is_kept_with_its_quantizer(make: Any) -> None:
    config = FilterPruning(keep=0.4, kind="deterministic")
    found = quantizers(quantize(make(), config, calibration()))
    first, *others = (float(quantizer.error) for quantizer in found.values())
    assert first == 0
    assert any(bound > 0 for bound in others)
    assert "relative error <= " in "".join(map(repr, found.values()))


@BOTH
def test_drawn_weights_are_the_same_for_the_same_seed(make: Any) -> None:
    first, same, other = (
        quantize(make(), PruningAtStart(keep=0.3, seed=seed), calibration()) for seed in (1, 1, 2)
    )
    x = calibration().inputs
    assert torch.equal(first(x), same(x))
    assert not torch.equal(first(x), other(x))


def test_given_weights_are_only_removed() -> None:
    network, pruned = cnn(), cnn()
    quantize(pruned, PruningAtStart(keep=0.5, start="given", rescale="none"), calibration())
    for name, quantizer in quantizers(pruned).items():
        latent = pruned.get_submodule(name).parametrizations.weight.original  # type: ignore[union-attr]
        weight = network.get_submodule(name).weight
        assert torch.equal(latent, weight * quantizer.mask)


def test_a_redrawn_snn_starts_from_the_neurons_it_was_built_with() -> None:
    network: Any = snn()
    network.layers.lif1.leak.data.fill_(0.3)
    quantize(network, PruningAtStart(keep=0.5), calibration())
    assert network.layers.lif1.leak.item() == network.layers.lif1.start[0]


def test_what_cannot_be_pruned_at_the_start_is_refused() -> None:
    inputs = Calibration(calibration().inputs)
    with pytest.raises(InputError, match=r"found calibration without classes, expected Cali"):
        quantize(cnn(), PruningAtStart(), inputs)
    with pytest.raises(InputError, match=r"found no calibration pixels"):
        quantize(cnn(), PruningAtStart())
    with pytest.raises(InputError, match=r"^layer conv1: found no weight left at keep 0.001"):
        quantize(_with_a_faint_layer(), PruningAtStart(keep=1e-3, start="given"), calibration())


def _with_a_faint_layer() -> nn.Module:
    network: Any = cnn()
    network.conv1.weight.data.mul_(1e-12)
    return network  # type: ignore[no-any-return]


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("filter_pruning", {"bits": 32}, "bits: found 32, expected 2 to 8"),
    ("filter_pruning", {"keep": 0.0}, "keep: found 0.0, expected above 0 to 1"),
    ("filter_pruning", {"keep": 1.5}, "keep: found 1.5, expected above 0 to 1"),
    ("filter_pruning", {"kind": "best"}, "kind: found 'best', expected"),
    ("filter_pruning", {"points": 0}, "points: found 0, expected at least 1"),
    ("filter_pruning", {"failure": 1.0}, "failure: found 1.0, expected above 0 and below 1"),
    ("pruning_at_start", {"bits": 1}, "bits: found 1, expected 2 to 8"),
    ("pruning_at_start", {"keep": -1.0}, "keep: found -1.0, expected above 0 to 1"),
    ("pruning_at_start", {"sigma_w": 0.0}, "sigma-w: found 0.0, expected above 0"),
    ("pruning_at_start", {"sigma_b": -0.1}, "sigma-b: found -0.1, expected at least 0"),
    ("pruning_at_start", {"learning_rate": 0.0}, "learning-rate: found 0.0, expected above 0"),
    ("pruning_at_start", {"start": "new"}, "start: found 'new', expected"),
    ("pruning_at_start", {"rescale": "all"}, "rescale: found 'all', expected"),
    ("hybrid_net", {"bits": 32}, "bits: found 32, expected 2 to 8"),
    ("hybrid_net", {"ends_bits": 1}, "ends-bits: found 1, expected 2 to 8"),
    ("hybrid_net", {"binary_epochs": 0}, "binary-epochs: found 0, expected at least 1"),
    ("hybrid_net", {"explained": 1.0}, "explained: found 1.0, expected above 0 and below 1"),
    ("hybrid_net", {"delta": -1.0}, "delta: found -1.0, expected at least 0"),
    ("hybrid_net", {"compare": "all"}, "compare: found 'all', expected"),
    ("hybrid_net", {"rows_per_channel": 0.0}, "rows-per-channel: found 0.0, expected above 0"),
]


@pytest.mark.parametrize(("method", "values", "words"), BAD, ids=lambda x: str(x)[:30])
def test_bad_values_are_one_line(method: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        METHODS.get(method)(**values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_masks_follow_factors_of_channels() -> None:
    weight = torch.tensor([[0.5, 0.0, -0.25], [0.0, 1.0, 0.3]])
    quantizer = MaskedWeight(weight, bits=3)
    factors = torch.tensor([[-2.0], [0.5]])
    expected: Tensor = quantizer(weight) * factors
    quantizer.scale_channels_(weight, factors)
    torch.testing.assert_close(quantizer(weight * factors), expected)
