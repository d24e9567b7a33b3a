from __future__ import annotations

import pytest
import torch

from snnquant.spiking import LIFParameters, LIFState, lif_sequence


@pytest.mark.parametrize("reset", ["delayed", "same_step", "zero"])
@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_gradient_every_bit_is_the_same(reset, repeated, dtype):
    torch.manual_seed(0)
    current = torch.randn(5, 40, 30, dtype=dtype)
    if repeated:
        current = current[:1].expand(5, 40, 30)
    parameters = LIFParameters(torch.tensor(0.93), torch.tensor(0.7), reset)
    state = LIFState(torch.randn(40, 30, dtype=dtype), torch.randint(2, (40, 30)).to(dtype))
    potential = state.potential.clone()
    spikes, last = lif_sequence(current, parameters, state)
    with torch.no_grad():
        plain_spikes, plain_last = lif_sequence(current, parameters, state)
    assert torch.equal(spikes, plain_spikes)
    assert torch.equal(last.potential, plain_last.potential)
    assert torch.equal(last.spikes, plain_last.spikes)
    assert torch.equal(state.potential, potential)
