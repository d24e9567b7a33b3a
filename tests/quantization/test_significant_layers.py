"""Principal components of layers' outputs, and the layers that add some."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization.significant_layers import (
    LayerDimensions,
    Moments,
    channel_rows,
    components,
    require_rows,
    significant_layers,
)


def moments_of(rows: Tensor, parts: int = 1) -> Moments:
    moments = Moments.of_width(rows.shape[1])
    for part in rows.chunk(parts):
        moments.add_(part)
    return moments


def matrix_of_rank(rank: int, width: int = 32, rows: int = 500) -> Tensor:
    draw = torch.Generator().manual_seed(rank)
    left = torch.randn(rows, rank, generator=draw, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(width, width, generator=draw, dtype=torch.float64)).Q
    return left @ basis[:rank] + 100  # a mean far from 0 is no dimension


@pytest.mark.parametrize("rank", [1, 5, 17, 32])
@pytest.mark.parametrize("explained", [0.999, 0.999999])
def test_components_are_the_rank_of_a_matrix(rank: int, explained: float) -> None:
    covariance = moments_of(matrix_of_rank(rank), parts=7).covariance()
    assert components(covariance, explained) == rank


def test_covariance_is_that_of_all_rows_at_once() -> None:
    rows = torch.randn(300, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.cov(rows.T, correction=0)
    torch.testing.assert_close(moments_of(rows, parts=4).covariance(), expected)


def test_small_components_are_left_out_by_the_share_they_explain() -> None:
    covariance = torch.diag(torch.tensor([1.0, 0.5, 1e-3, 1e-4]))
    assert [components(covariance, share) for share in (0.6, 0.999, 0.9999)] == [1, 2, 3]
    assert components(torch.zeros(3, 3), 0.999) == 0


def test_a_layer_that_is_built_to_add_dimensions_is_found() -> None:
    """Four layers of 24 channels whose outputs have 4, 4, 4 + 5 and 9 dimensions."""
    torch.manual_seed(0)
    mixing = [torch.linalg.qr(torch.randn(24, 24)).Q for _ in range(4)]
    flat = torch.diag((torch.arange(24) < 4).float())
    x = torch.randn(800, 24)
    first = x @ flat @ mixing[0]
    second = first @ mixing[1]
    widened = second + x @ torch.diag(((torch.arange(24) >= 4) & (torch.arange(24) < 9)).float())
    last = widened @ mixing[3]
    outputs = {"one": first, "two": second, "three": widened, "four": last}
    layers = [
        LayerDimensions(name, components(moments_of(values).covariance(), 0.9999), 24)
        for name, values in outputs.items()
    ]
    assert [layer.components for layer in layers] == [4, 4, 9, 9]
    assert significant_layers(layers, 0, "share") == ["three"]
    assert significant_layers(layers, 4, "count") == ["three"]
    assert significant_layers(layers, 5, "count") == []


def test_wider_layers_are_compared_by_their_share() -> None:
    layers = [LayerDimensions("a", 6, 8), LayerDimensions("b", 10, 16)]
    assert significant_layers(layers, 0, "count") == ["b"]
    assert significant_layers(layers, 0, "share") == []


def test_rows_are_all_inputs_and_places() -> None:
    values = nn.Conv3d(1, 3, 2)(torch.rand(4, 1, 3, 3, 3))
    rows = channel_rows(values)
    assert rows.shape == (4 * 8, 3)
    assert torch.equal(rows[:8, 1], values[0, 1].flatten())
    assert channel_rows(torch.zeros(5, 3)).shape == (5, 3)


def test_too_few_rows_are_refused() -> None:
    moments = moments_of(torch.zeros(79, 8))
    with pytest.raises(InputError, match=r"^layer conv2: found 79 outputs .* at least 80"):
        require_rows("conv2", moments, 10)
    require_rows("conv2", moments, 9)


def test_outputs_of_a_diverged_training_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="found outputs of a layer that are not finite"):
        components(torch.full((3, 3), torch.nan), 0.99)
