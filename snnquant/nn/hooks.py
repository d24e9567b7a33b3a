"""Forward hooks for a block of code, and evaluation mode for a block of code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import nn

Recorder: TypeAlias = Callable[[str, Any, tuple[Any, ...], Any], Any]
"""Receives a module's name, the module, its inputs and its output after each of its forwards."""


@contextmanager
def recording(modules: Mapping[str, nn.Module], record: Recorder) -> Iterator[None]:
    """Call `record` after every forward of the named modules while the block runs.

    Args:
        modules: The modules to listen to, by any names.
        record: Called as `record(name, module, inputs, output)`. A value other than None that it
            returns replaces the module's output.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from snnquant.nn import evaluating, recording
        >>> network = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> shapes = {}
        >>> def note(name, module, inputs, output):
        ...     shapes[name] = tuple(output.shape)
        >>> with evaluating(network), recording(dict(network.named_children()), note):
        ...     _ = network(torch.zeros(5, 3))
        >>> shapes
        {'0': (5, 2), '1': (5, 2)}
    """

    def hook(name: str) -> Callable[..., Any]:
        return lambda module, inputs, output: record(name, module, inputs, output)

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Run the block without gradients and with the network in evaluation mode.

    Afterwards every module is in the mode that it was in before.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
