from __future__ import annotations

import copy
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.nn import INPUT
from snnquant.nn.wiring import Concatenate, WeightedSum
from snnquant.spiking import (
    LIF,
    LIFParameters,
    SpikingNetwork,
    Surrogate,
    initial_state,
    lif_sequence,
)


def small_network(time_steps: int = 4, reset: str = "delayed") -> SpikingNetwork:
    torch.manual_seed(0)
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv3d(1, 3, (3, 3, 3)),
        "lif1": LIF(0.9, 0.2, reset=reset, initial=0.5),
        "conv2": nn.Conv3d(3, 4, (3, 1, 1)),
        "lif2": LIF(0.8, 0.1, reset=reset),
        "flatten": nn.Flatten(),
        "linear": nn.Linear(4 * 4 * 9, 5),
    }
    return SpikingNetwork(layers, time_steps)


PATCHES = torch.randn(2, 1, 8, 5, 5, generator=torch.Generator().manual_seed(1))


def unrolled(network: SpikingNetwork, x: Tensor) -> Tensor:
    """Apply the definition: run everything at every step, average the outputs."""
    conv1, lif1, conv2, lif2, flatten, linear = network.layers
    first = lif1(torch.stack([conv1(x) for _ in range(network.time_steps)]))
    second = lif2(torch.stack([conv2(spikes) for spikes in first]))
    return torch.stack([linear(flatten(spikes)) for spikes in second]).mean(0)


@pytest.mark.parametrize("time_steps", [1, 2, 5])
@pytest.mark.parametrize("reset", ["delayed", "same_step", "zero"])
def test_logits_and_gradients_are_those_of_the_unrolled_network(
    reset: str, time_steps: int
) -> None:
    network = small_network(time_steps, reset).double()
    x = PATCHES.double()
    logits, expected = network(x), unrolled(network, x)
    torch.testing.assert_close(logits, expected)
    outer = torch.randn_like(logits)
    weights = list(network.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(logits, weights, outer), torch.autograd.grad(expected, weights, outer)
    )


def test_first_layer_and_readout_run_once_and_time_folds_into_the_batch() -> None:
    network = small_network(4)
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for name, layer in network.layers.named_children():
        layer.register_forward_hook(
            lambda _, args, __, name=name: shapes.setdefault(name, []).append(tuple(args[0].shape))
        )
    network(PATCHES)
    assert shapes == {
        "conv1": [(2, 1, 8, 5, 5)],
        "lif1": [(4, 2, 3, 6, 3, 3)],
        "conv2": [(8, 3, 6, 3, 3)],
        "lif2": [(4, 2, 4, 4, 3, 3)],
        "flatten": [(2, 4, 4, 3, 3)],
        "linear": [(2, 144)],
    }


def test_a_readout_that_is_not_affine_is_averaged_after_every_step() -> None:
    torch.manual_seed(0)
    lif, linear = LIF(1.0, 0.5), nn.Linear(6, 3)
    network = SpikingNetwork({"lif": lif, "linear": linear, "relu": nn.ReLU()}, 3)
    x = torch.randn(4, 6)
    expected = torch.stack([linear(o).relu() for o in lif(x.expand(3, 4, 6))]).mean(0)
    torch.testing.assert_close(network(x), expected)
    assert not torch.allclose(network(x), linear(lif(x.expand(3, 4, 6)).mean(0)).relu())


@pytest.mark.parametrize("dropout", [nn.Dropout(0.5), nn.Dropout1d(0.5)], ids=["single", "channel"])
def test_dropout_draws_one_mask_for_all_steps(dropout: nn.Module) -> None:
    seen: list[Tensor] = []
    network = SpikingNetwork(
        {
            "lif": LIF(1.0, 0.1),
            "dropout": dropout,
            "look": nn.Identity(),
            "lif2": LIF(1.0, 0.1),
        },
        5,
    )
    network.layers.look.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    for _ in range(2):
        network(torch.ones(3, 4, 50))
    dropped = [x.view(5, 3, 4, 50) for x in seen]
    for x in dropped:
        assert set(x.unique().tolist()) == {0.0, 2.0}
        assert torch.equal(x, x[:1].expand_as(x))
    assert not torch.equal(dropped[0], dropped[1])
    network.eval()
    network(torch.ones(3, 4, 50))
    assert (seen[-1] == 1).all()


def test_hooks_on_lif_layers_see_the_spikes_of_all_steps() -> None:
    network = small_network(4)
    seen: dict[str, Tensor] = {}
    for name in ("lif1", "lif2"):
        layer = network.layers.get_submodule(name)
        layer.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    network(PATCHES)
    assert seen["lif1"].shape == (4, 2, 3, 6, 3, 3)
    assert seen["lif2"].shape == (4, 2, 4, 4, 3, 3)
    for spikes in seen.values():
        assert set(spikes.unique().tolist()) == {0.0, 1.0}


def test_time_steps_may_change_and_nothing_is_remembered() -> None:
    network = small_network(3)
    before = network(PATCHES)
    network.time_steps = 7
    assert not torch.equal(network(PATCHES), before)
    network.time_steps = 3
    assert torch.equal(network(PATCHES), before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_state_dict_deepcopy_and_export_keep_the_outputs() -> None:
    network = small_network(3)
    expected = network(PATCHES)
    other = small_network(3)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(PATCHES), expected)
    assert torch.equal(copy.deepcopy(network)(PATCHES), expected)
    with torch.no_grad():
        program = torch.export.export(network.eval(), (PATCHES,)).run_decompositions()
    torch.testing.assert_close(program.module()(PATCHES), expected)


def test_bfloat16_runs_and_trains() -> None:
    network = small_network(3).bfloat16()
    logits = network(PATCHES.bfloat16())
    assert logits.dtype == torch.bfloat16
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_clamp_brings_leak_and_threshold_back() -> None:
    network = small_network()
    lif1, lif2 = network.layers.lif1, network.layers.lif2
    with torch.no_grad():
        for parameter, value in (
            (lif1.leak, 1.2),
            (lif1.threshold, -0.3),
            (lif2.leak, -0.1),
            (lif2.threshold, 0.7),
        ):
            parameter.fill_(value)
    network.clamp_()
    assert (lif1.leak.item(), lif2.leak.item()) == (1, 0)
    assert 0 < lif1.threshold.item() < 0.01
    assert lif2.threshold.item() == pytest.approx(0.7)


def test_lif_starts_at_its_initial_potential_every_time() -> None:
    lif = LIF(0.9, 0.4, initial=0.5)
    current = torch.randn(5, 30, generator=torch.Generator().manual_seed(3))
    parameters = LIFParameters(lif.leak, lif.threshold)
    expected, _ = lif_sequence(current, parameters, initial_state(current, parameters, 0.5))
    for _ in range(2):
        assert torch.equal(lif(current), expected)
    assert not torch.equal(LIF(0.9, 0.4)(current), expected)


def test_lif_names_itself() -> None:
    lif = LIF(0.5, 2.0, reset="zero", surrogate=Surrogate("boxcar"), initial=0.5)
    text = (
        "LIF(leak=0.5, threshold=2, reset='zero', surrogate='boxcar', initial=0.5, leaks='free', "
        "potential_bits=32)"
    )
    assert repr(lif) == text
    assert {name for name, _ in lif.named_parameters()} == {"leak", "threshold"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LIF(leak=1.1), "leak: found 1.1, expected 0 to 1"),
        (lambda: LIF(threshold=0), "threshold: found 0, expected above 0"),
        (lambda: LIF(reset="soft"), "reset: found 'soft'"),
        (lambda: SpikingNetwork({"lif": LIF()}, 0), "time_steps: found 0, expected at least 1"),
        (lambda: SpikingNetwork({"flatten": nn.Flatten()}, 2), "expected neurons among"),
        (
            lambda: SpikingNetwork(OrderedDict(block=nn.Sequential(LIF())), 2),
            "layer block: found neurons inside",
        ),
    ],
)
def test_wrong_networks_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        make()


def residual_network(time_steps: int = 5) -> SpikingNetwork:
    """Build two LIF layers whose sum reaches the readout beside the analog input."""
    torch.manual_seed(0)
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(1, 3, 3, padding=1),
        "lif1": LIF(1.0, 0.3, initial=0.5),
        "conv2": nn.Conv2d(3, 3, 3, padding=1),
        "add": WeightedSum([1.0, 0.3]),
        "lif2": LIF(0.9, 0.4),
        "pool": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "skip": nn.Conv2d(1, 2, 3, stride=2, padding=1),
        "flat_skip": nn.Flatten(),
        "cat": Concatenate(1),
        "linear": nn.Linear(3 * 4 + 2 * 4, 3),
    }
    inputs = {
        "add": ("conv2", "lif1"),
        "skip": (INPUT,),
        "cat": ("flatten", "flat_skip"),
    }
    return SpikingNetwork(layers, time_steps, inputs)


PICTURES = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(4))


def test_a_graph_computes_what_its_layers_do_step_by_step() -> None:
    network = residual_network().double()
    x = PICTURES.double()
    layers = network.layers
    first = layers.lif1(torch.stack([layers.conv1(x)] * 5))
    second = layers.lif2(torch.stack([layers.conv2(o) + 0.3 * o for o in first]))
    counts = torch.stack([layers.pool(c) for c in second.cumsum(0)])
    pooled = torch.cat([counts[:1], counts[1:] - counts[:-1]])
    skip = layers.skip(x).flatten(1)
    outputs = [layers.linear(torch.cat([o.flatten(1), skip], 1)) for o in pooled]
    # The sum's weights are kept in single precision.
    torch.testing.assert_close(network(x), torch.stack(outputs).mean(0), rtol=1e-6, atol=1e-6)
    assert set(pooled.unique().tolist()) == {0.0, 1.0}


def test_in_a_graph_what_sees_no_spikes_runs_once_and_the_readout_on_their_mean() -> None:
    network = residual_network(5)
    sizes: dict[str, int] = {}
    for name, layer in network.layers.named_children():
        layer.register_forward_hook(
            lambda _, args, __, name=name: sizes.update({name: args[0].shape[0]})
        )
    network(PICTURES)
    once, folded, stepped = 2, 10, 5
    assert sizes == {
        **dict.fromkeys(("conv1", "skip", "flat_skip"), once),
        **dict.fromkeys(("lif1", "lif2"), stepped),
        **dict.fromkeys(("conv2", "add", "pool"), folded),
        **dict.fromkeys(("flatten", "cat", "linear"), once),
    }
    assert network.spike_driven == {
        *("conv2", "add", "lif2", "pool", "flatten", "cat", "linear"),
    }


@given(
    spikes=hnp.arrays(np.int8, (7, 2, 1, 6), elements=st.integers(0, 1)),
    size=st.integers(1, 3),
    padding=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_a_maximum_of_counts_is_spikes_whose_number_is_the_largest_count(
    spikes: np.ndarray, size: int, padding: bool
) -> None:
    pool = nn.MaxPool1d(size, 1, padding=size // 2 if padding else 0)
    seen: list[Tensor] = []
    network = SpikingNetwork({"lif": LIF(1.0, 0.5), "pool": pool, "lif2": LIF(1.0, 0.5)}, 7)
    network.layers.lif.register_forward_hook(lambda *_: torch.from_numpy(spikes).float())
    network.layers.lif2.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    network(torch.zeros(2, 1, 6))
    assert set(seen[0].unique().tolist()) <= {0.0, 1.0}
    counts = torch.from_numpy(spikes).float().sum(0)
    assert torch.equal(seen[0].sum(0), pool(counts))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"linear": ("later",)}, "layer linear: found input 'later', expected an earlier layer"),
        ({"lif": ("linear",)}, "layer lif: found input 'linear', expected an earlier layer"),
        ({"lif": ("lif",)}, "layer lif: found input 'lif', expected an earlier layer"),
        ({"nothing": ("lif",)}, "inputs: found 'nothing', expected one of the layers"),
    ],
)
def test_inputs_that_are_no_earlier_layers_are_refused(
    inputs: dict[str, tuple[str, ...]], message: str
) -> None:
    layers = {"lif": LIF(), "linear": nn.Linear(2, 2)}
    with pytest.raises(InputError, match=message):
        SpikingNetwork(layers, 2, inputs)
