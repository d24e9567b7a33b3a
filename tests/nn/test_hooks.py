"""Hooks and evaluation mode that last as long as a block."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnquant.nn.hooks import evaluating, recording


def network() -> nn.Sequential:
    """Two dense layers with a dropout between them."""
    return nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5), nn.Linear(3, 2))


def test_every_forward_of_the_named_modules_is_recorded_with_its_inputs_and_outputs() -> None:
    net, seen = network().eval(), []
    x = torch.randn(5, 4)
    with recording({"first": net[0], "last": net[2]}, lambda *call: seen.append(call)):
        net(x)
        logits = net(x)
    names = [name for name, *_ in seen]
    assert names == ["first", "last", "first", "last"]
    _, module, inputs, output = seen[-1]
    assert module is net[2]
    assert torch.equal(module(*inputs), output)
    assert torch.equal(output, logits)


def test_a_module_under_two_names_is_recorded_under_both() -> None:
    layer, seen = nn.Linear(2, 2), []
    with recording({"a": layer, "b": layer}, lambda name, *_: seen.append(name)):
        layer(torch.zeros(1, 2))
    assert seen == ["a", "b"]


def test_a_returned_value_replaces_the_output_and_none_keeps_it() -> None:
    net, x = network().eval(), torch.randn(5, 4)

    def silence(name: str, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return torch.zeros_like(output)

    with recording({"first": net[0]}, silence):
        silenced = net(x)
    assert torch.equal(silenced, net[2].bias.expand(5, 2))
    with recording({"first": net[0]}, lambda *_: None):
        assert torch.equal(net(x), net[2](net[0](x)))


def test_no_hook_outlives_its_block_even_when_it_fails() -> None:
    net, seen = network(), []
    with (
        pytest.raises(RuntimeError, match="shapes"),
        recording(dict(net.named_children()), lambda *call: seen.append(call)),
    ):
        net(torch.zeros(1, 7))
    net(torch.zeros(1, 4))
    assert seen == []


@pytest.mark.parametrize("failing", [False, True])
def test_evaluation_mode_ends_with_the_block_and_leaves_each_module_its_own(failing: bool) -> None:
    net = network().train()
    net[2].eval()
    try:
        with evaluating(net):
            modes = [module.training for module in net.modules()]
            assert not net(torch.zeros(1, 4)).requires_grad
            if failing:
                raise KeyError
    except KeyError:
        pass
    assert modes == [False] * 4
    assert [module.training for module in net] == [True, True, False]
    assert net.training
    assert torch.is_grad_enabled()
