from __future__ import annotations

import pytest
import torch

from snnquant.spiking.backends.layout import Order


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("channels", [1, 4])
def test_dense_values_are_flattened_and_restored_as_views(order, steps, channels) -> None:
    sizes = (2, channels, 5, 3)
    stored = torch.randn(steps, *(sizes[axis] for axis in order))
    x = stored.permute(0, *(1 + order.index(axis) for axis in range(4)))
    flat = Order(x).steps(x)
    assert torch.equal(flat, stored.flatten(1))
    restored = Order(x).restore(flat)
    assert torch.equal(restored, x)
    assert torch.equal(Order(x).restore_state(flat[0]), x[0])
    assert flat.data_ptr() == restored.data_ptr() == x.data_ptr()


def test_values_of_another_layout_are_copied_into_the_order() -> None:
    current = torch.empty(2, 3, 5, 4).permute(0, 1, 3, 2)
    for x in (torch.randn(2, 3, 4, 5), torch.randn(3, 4, 5).expand(2, 3, 4, 5)):
        flat = Order(current).steps(x)
        assert torch.equal(Order(current).restore(flat), x)
        assert torch.equal(flat, x.permute(0, 1, 3, 2).flatten(1))
