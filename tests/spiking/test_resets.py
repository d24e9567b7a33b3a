"""An unknown reset is refused wherever a neuron is stepped, forward and backward."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch

from snnquant.config import NeuronConfig, QuantizationConfig
from snnquant.errors import InputError
from snnquant.export import ExportRequest
from snnquant.export.brian2.script import to_brian2
from snnquant.export.deployed import Deployed
from snnquant.quantization import quantize
from snnquant.spiking import (
    LIF,
    LIFParameters,
    LIFState,
    Reset,
    SpikingNetwork,
    Surrogate,
    backends,
    initial_state,
    lif_sequence,
    lif_step,
)
from snnquant.spiking.backends import torch_ops
from snnquant.spiking.snntorch_adapter import to_snntorch

UNKNOWN: Any = "adaptive"
REFUSED = "reset: found 'adaptive', expected one of "
CURRENT = torch.randn(3, 4)
# Backends are reached directly, as by a caller whose reset is newer than they are.
GIVEN = (CURRENT, torch.tensor(0.9), torch.tensor(0.5), torch.zeros(4), torch.zeros(4))
needs_numba = pytest.mark.skipif(not backends.NUMBA, reason="numba is not installed")
needs_triton = pytest.mark.skipif(not backends.TRITON, reason="Triton is not installed")
BACKENDS = [
    "torch_ops",
    pytest.param("numba_loops", marks=needs_numba),
    pytest.param("triton_kernels", marks=needs_triton),
]


def backend(name: str) -> backends.Backend:
    module = importlib.import_module(f"snnquant.spiking.backends.{name}")
    found: backends.Backend = module.BACKEND
    return found


def network_with(reset: Any) -> SpikingNetwork:
    layers = {
        "conv": torch.nn.Conv3d(1, 2, 3),
        "lif": LIF(0.9, 0.1),
        "flatten": torch.nn.Flatten(),
        "fc": torch.nn.Linear(2 * 6, 3),
    }
    network = SpikingNetwork(layers, 2).eval()
    network.layers.lif.reset = reset
    return network


@pytest.mark.parametrize("name", BACKENDS)
def test_backends_refuse_it_forward(name: str) -> None:
    sequence, without_gradient = backend(name)
    with pytest.raises(InputError, match=REFUSED):
        without_gradient(*GIVEN, UNKNOWN)
    with pytest.raises(InputError, match=REFUSED):
        sequence.apply(*GIVEN, UNKNOWN, Surrogate())


@pytest.mark.parametrize("name", BACKENDS)
def test_backends_refuse_it_backward(name: str) -> None:
    saved = GIVEN
    if name == "torch_ops":  # it keeps potentials and spikes of all steps
        saved = (CURRENT, (CURRENT > 0.5).float(), *GIVEN[1:])
    context = SimpleNamespace(
        saved_tensors=saved, reset=UNKNOWN, surrogate=Surrogate(), needs_input_grad=[True] * 7
    )
    with pytest.raises(InputError, match=REFUSED):
        backend(name).sequence.backward(context, torch.ones(3, 4), torch.ones(4))


def test_the_step_and_its_parameters_refuse_it() -> None:
    leak, threshold = torch.tensor(0.9), torch.tensor(0.5)
    parameters = LIFParameters(leak, threshold)
    object.__setattr__(parameters, "reset", UNKNOWN)
    for surrogate in (Surrogate(), None):
        with pytest.raises(InputError, match=REFUSED):
            lif_step(CURRENT[0], parameters, initial_state(CURRENT, parameters), surrogate)
    with pytest.raises(InputError, match=REFUSED):
        lif_sequence(CURRENT, parameters)
    with pytest.raises(InputError, match=REFUSED):
        LIFParameters(leak, threshold, UNKNOWN)


def nir_of(network: SpikingNetwork) -> Any:
    pytest.importorskip("nir", reason="needs the extra nir")
    from snnquant.export.nir_graph import to_nir

    flat = SpikingNetwork({"flatten": torch.nn.Flatten(), "lif": network.layers.lif}, 2)
    return to_nir(ExportRequest(flat, torch.zeros(1, 3)))


def snntorch_of(network: SpikingNetwork) -> Any:
    pytest.importorskip("snntorch", reason="needs the extra snntorch")
    return to_snntorch(network.layers.lif)


def integers_of(network: SpikingNetwork) -> Any:
    pytest.importorskip("numba", reason="needs the extra integer")
    from snnquant.inference.integer.integer_engine import IntegerNetwork

    return IntegerNetwork(quantize(network, QuantizationConfig()), 8, 3)


PATCHES = torch.zeros(1, 1, 8, 3, 3)


@pytest.mark.parametrize(
    "use",
    [
        lambda network: network(PATCHES),
        lambda network: Deployed(network)(PATCHES),
        lambda network: to_brian2(ExportRequest(network, PATCHES)),
        nir_of,
        snntorch_of,
        integers_of,
    ],
    ids=["network", "onnx", "brian2", "nir", "snntorch", "integers"],
)
def test_networks_exporters_and_the_integer_engine_refuse_it(use: Callable[..., Any]) -> None:
    use(network_with(Reset.ZERO))
    with pytest.raises(InputError, match=REFUSED):
        use(network_with(UNKNOWN))


def test_the_option_has_the_resets_of_the_list() -> None:
    assert get_args(get_type_hints(NeuronConfig)["reset"]) == tuple(Reset)


@pytest.mark.parametrize("reset", Reset)
def test_no_two_resets_share_a_gradient(reset: Reset) -> None:
    """Compare gradients on a current that spikes: a forgotten branch would give equal ones."""

    def gradient(which: Reset) -> torch.Tensor:
        current = torch.linspace(-1, 2, 60).view(3, 20).requires_grad_()
        state = LIFState(torch.full((20,), 0.3), torch.zeros(20))
        parameters = LIFParameters(torch.tensor(0.9), torch.tensor(0.7), which)
        spikes, last = torch_ops.LIFSequence.apply(
            *(current, parameters.leak, parameters.threshold, state.potential, state.spikes),
            *(which, Surrogate()),
        )
        outputs = [spikes, last]
        return torch.autograd.grad(outputs, current, [torch.ones_like(x) for x in outputs])[0]

    others = [other for other in Reset if other is not reset]
    assert all(not np.allclose(gradient(reset), gradient(other)) for other in others)
