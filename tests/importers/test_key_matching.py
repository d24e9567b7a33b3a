"""Matching of tensors where a state dict has other names than the network."""

from __future__ import annotations

import copy
import random
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnquant.config import ModelConfig
from snnquant.errors import InputError
from snnquant.importers import load_matching
from snnquant.models import build_model

BANDS, CLASSES = 44, 5


def network(name: str, batch_norm: bool = False, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    widths = {"luo": (4, 3)}.get(name)
    window = {"hybridsn": 9, "luo": 3, "hu": 1, "hu_relu": 1}.get(name, 5)
    config = ModelConfig(name=name, window=window, widths=widths)
    model = build_model(config, BANDS, CLASSES, batch_norm=batch_norm)
    for module in model:
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


NAMES = ["cnn32h", "hamida", "luo", "hybridsn", "li", "makantasis", "hu_relu"]


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(mine[key], theirs[key]) for key in theirs)


def renamed(state: dict[str, Tensor], pattern: str) -> OrderedDict[str, Tensor]:
    """Return the state dict with layers named by their number, in the same order."""
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in state))
    result: OrderedDict[str, Tensor] = OrderedDict()
    for key, value in state.items():
        layer, _, last = key.rpartition(".")
        result[f"{pattern.format(3 * layers.index(layer))}.{last}"] = value
    return result


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("pattern", ["features.{}", "{}", "model.stage{}.0"])
def test_other_names_in_the_same_order_are_matched(name, batch_norm, pattern):
    source = network(name, batch_norm)
    target = network(name, batch_norm, seed=1)
    key_map = load_matching(target, renamed(source.state_dict(), pattern), ordered=True)
    assert same(target, source)
    assert key_map.by == "order"
    assert [ours for _, ours in key_map.pairs] == [
        key for key in source.state_dict() if not key.endswith("num_batches_tracked")
    ]
    theirs, ours = key_map.pairs[0]
    assert key_map.lines()[0] == f"{theirs} is {ours}"


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "net._orig_mod.", ""])
@given(seed=st.integers(0, 99))
@settings(deadline=None, max_examples=5)
def test_prefixes_and_any_order_of_the_own_names(prefix, seed):
    source, target = network("hamida"), network("hamida", seed=1)
    items = [(prefix + key, value) for key, value in source.state_dict().items()]
    random.Random(seed).shuffle(items)
    key_map = load_matching(target, dict(items), ordered=False)
    assert same(target, source)
    assert (key_map.by, key_map.lines()) == ("name", [])


def test_names_of_the_pytorch_versions_in_circulation():
    """conv1, pool1, ..., fc: only the last differs, and only the classifier has its shape."""
    source, target = network("hamida"), network("hamida", seed=1)
    state = {k.replace("classifier", "fc"): v for k, v in source.state_dict().items()}
    key_map = load_matching(target, dict(sorted(state.items())), ordered=False)
    assert same(target, source)
    assert key_map.lines() == ["fc.weight is classifier.weight", "fc.bias is classifier.bias"]


def test_a_one_dimensional_kernel_fits_a_three_dimensional_one():
    source, target = network("hu_relu"), network("hu_relu", seed=1)
    state = source.state_dict()
    state["conv1.weight"] = state["conv1.weight"].flatten(2)
    load_matching(target, renamed(state, "{}"), ordered=True)
    assert same(target, source)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype):
    source, target = network("li"), network("li", seed=1)
    state = {key: value.to(dtype) for key, value in source.state_dict().items()}
    load_matching(target, state, ordered=True)
    for key, value in target.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[key].float())


def test_a_missing_bias_is_zero_and_a_missing_batch_norm_left_out():
    """Some ports have batch norm only after some convolutions, and these have no bias."""
    source, target = network("hybridsn", True), network("hybridsn", True, seed=1)
    state = source.state_dict()
    del state["conv1.bias"]
    state = {key: value for key, value in state.items() if "norm_conv4" not in key}
    key_map = load_matching(target, renamed(state, "{}"), ordered=True)
    assert key_map.zeros == ("conv1.bias",)
    assert key_map.absent == ("norm_conv4",)
    assert key_map.lines()[-2:] == [
        "conv1.bias is missing: set to zero",
        "norm_conv4 is missing: left out",
    ]
    nn.init.zeros_(source.get_submodule("conv1").bias)
    source.set_submodule("norm_conv4", nn.Identity())
    x = torch.rand(2, 1, 30, 9, 9)
    torch.testing.assert_close(target(x), source(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("conv2.weight"), "conv2.weight: found none, expected (4, 2, 3, 3, 3)"),
        (lambda s: (s.pop("conv2.weight"), s.pop("conv2.bias")), "missing 2 (conv2.weight (4, 2"),
        (lambda s: s.update(extra=torch.ones(2)), "missing nothing; unexpected 1 (extra (2,))"),
        (
            lambda s: s.update({"classifier.weight": torch.ones(9, 2)}),
            "classifier.weight: found (9, 2), expected (5, ",
        ),
        (lambda s: s.update({"conv1.weight_g": torch.ones(2)}), "unexpected conv1.weight_g"),
        (
            lambda s: s.update({f"more{i}.weight": torch.ones(2) for i in range(100_000)}),
            "unexpected 100000 (more0.weight (2,), more1.weight (2,), more2.weight (2,), ...)",
        ),
        (lambda s: s.clear(), "unexpected nothing"),
    ],
)
def test_what_does_not_match_is_refused_and_changes_nothing(change, says):
    target = network("li")
    before = copy.deepcopy(target)
    state = network("li", seed=1).state_dict()
    change(state)
    with pytest.raises(InputError) as caught:
        load_matching(target, state, ordered=True)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300
    assert same(target, before)


@pytest.mark.parametrize(
    ("names", "accepted"), [(["block2", "block10"], True), (["strided", "middle"], False)]
)
def test_a_format_without_order_is_not_guessed_at(names, accepted):
    """pool2 and conv3 of this network have the same shape: only their order tells them apart."""
    source, target = network("hamida"), network("hamida", seed=1)
    state = {}
    for key, value in source.state_dict().items():
        state[key.replace("pool2", names[0]).replace("conv3", names[1])] = value
    state = dict(sorted(state.items()))
    if accepted:
        load_matching(target, state, ordered=False)
        assert same(target, source)
        return
    with pytest.raises(InputError, match="of one shape in a format that keeps no order"):
        load_matching(target, state, ordered=False)
