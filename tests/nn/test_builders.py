"""Layers made from plain numbers, and the numbers that make none."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from snnquant.nn import builders
from snnquant.nn.builders import BY_AXES, Refused

X = torch.randn(3, 4, 5, 6)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (builders.clamp(0, None), X.relu()),
        (builders.clamp(None, 0.5), X.clamp(max=0.5)),
        (builders.clamp(-0.25, None), X.clamp(min=-0.25)),
        (builders.reshape(X.shape, (3, 20, 6)), X.reshape(3, 20, 6)),
        (builders.permute([0, -1, 1, 2]), X.permute(0, 3, 1, 2)),
        (builders.mean(4, [-1, 2], keep=False), X.mean((2, 3))),
        (builders.mean(4, [1], keep=True), X.mean(1, keepdim=True)),
        (builders.zero_pad([1, 2]), nn.functional.pad(X, (1, 2))),
        (builders.zero_pad([2, 0, 1, 3, 0, 1, 0, 0]), nn.functional.pad(X, (2, 0, 1, 3, 0, 1))),
        (builders.weighted_sum(-2.5), -2.5 * X),
        (builders.for_axes("max_pool", X.shape, 2), nn.functional.max_pool2d(X, 2)),
        (builders.for_axes("adaptive_avg_pool", X.shape, 1), X.mean((2, 3), keepdim=True)),
    ],
)
def test_a_layer_computes_what_its_numbers_say(layer: nn.Module, expected: Tensor) -> None:
    torch.testing.assert_close(layer(X), expected)


def test_sums_and_concatenations_take_their_inputs_in_order() -> None:
    total = builders.weighted_sum(1, -2)(X, 2 * X)
    assert torch.equal(total, X - 4 * X)
    assert torch.equal(builders.concatenate(4, -1)(X, 2 * X), torch.cat([X, 2 * X], 3))


@pytest.mark.parametrize(
    ("build", "found"),
    [
        (lambda: builders.for_axes("conv", (3, 4)), r"found an input of shape \(3, 4\)"),
        (lambda: builders.for_axes("max_pool", (1,) * 6), "expected 3 to 5 axes"),
        (lambda: builders.reshape((3, 4), (12,)), r"found the shape \(12,\) for a batch of 3"),
        (lambda: builders.permute([1, 0, 2]), r"found the axes in the order \[1, 0, 2\]"),
        (lambda: builders.mean(3, [-3, 1], keep=True), r"found the axes \[0, 1\]"),
        (lambda: builders.mean(3, [], keep=False), r"found the axes \[\]"),
        (lambda: builders.concatenate(4, -4), "found axis 0, the batch"),
    ],
)
def test_what_touches_the_batch_or_fits_no_layer_is_refused(
    build: Callable[[], nn.Module], found: str
) -> None:
    with pytest.raises(Refused, match=found):
        build()


def test_every_kind_has_layers_for_one_two_and_three_axes_in_this_order() -> None:
    for kinds in BY_AXES.values():
        assert [kind.__name__[-2:] for kind in kinds] == ["1d", "2d", "3d"]
