"""Errors on few levels: quantizers of the gradients at the outputs of layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from snnquant.quantization.api import layer_places
from snnquant.quantization.plan import ErrorMaker


@contextmanager
def quantized_errors(network: nn.Module, make: ErrorMaker | None) -> Iterator[None]:
    """Quantize the errors of a network in every backward pass of a block of code.

    The gradient of a layer's weight, and the error that it hands on, come from the quantized error
    at its output.

    Args:
        network: CNN or SNN.
        make: Makes the quantizer of a layer's errors; None leaves errors as they are.

    >>> import torch
    >>> from snnquant.quantization import ErrorQuantizer
    >>> class Sign(ErrorQuantizer):
    ...     def quantize(self, error):
    ...         return error.sign()
    >>> layer = nn.Linear(1, 1)
    >>> with quantized_errors(layer, lambda place: Sign(bits=1)):
    ...     (-5 * layer(torch.ones(1, 1))).sum().backward()
    >>> layer.weight.grad
    tensor([[-1.]])
    """
    with ExitStack() as stack:
        if make is not None:
            for module, place in layer_places(network):
                handle = module.register_forward_hook(_backward_through(make(place).quantize))
                stack.callback(handle.remove)
        yield


def _backward_through(quantize: Any) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(quantize)  # type: ignore[no-untyped-call]

    return hook
