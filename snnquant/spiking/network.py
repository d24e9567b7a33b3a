"""The T-step forward of a feed-forward spiking network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.spiking.layers import LIF

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
AFFINE = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class SpikingNetwork(nn.Module):
    r"""Modules in order, some of them `LIF`, run for ``time_steps`` steps on one analog input.

    - Before the first LIF (direct encoding) the modules see the same input at every step, so they
      run once and their output repeats over T.
    - Between LIFs the modules see spikes; time is folded into the batch, [T·N, ...], so that a
      weight is read (and quantized) once a forward. The dropouts of torch draw one mask [N, ...]
      a forward, shared by all steps.
    - After the last LIF the output accumulates without leak or spike: the logits are the mean over
      T of the last modules' outputs. Where these are affine (flatten, linear, convolution) they
      run once, on the mean spikes, which is the same up to rounding.

    A forward hook on a `LIF` sees its spikes [T, N, ...]. ``time_steps`` may be changed at will.

    Raises `InputError` without a LIF, with one hidden inside another module, and for T < 1.
    """

    def __init__(self, layers: Mapping[str, nn.Module], time_steps: int) -> None:
        super().__init__()
        if time_steps < 1:
            raise InputError(f"time_steps: found {time_steps}, expected at least 1")
        for name, layer in layers.items():
            if not isinstance(layer, LIF) and any(isinstance(m, LIF) for m in layer.modules()):
                raise InputError(f"layer {name}: found a LIF inside it, expected a flat sequence")
        spiking = [i for i, layer in enumerate(layers.values()) if isinstance(layer, LIF)]
        if not spiking:
            raise InputError(f"layers: found {list(layers)}, expected a LIF among them")
        self.layers = nn.Sequential(OrderedDict(layers))
        self.time_steps = time_steps
        self._first, self._last = spiking[0], spiking[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, K] of the analog input [N, ...], for patches [N, 1, B, h, w]."""
        modules = list(self.layers)
        for module in modules[: self._first]:
            x = module(x)
        x = x.expand(self.time_steps, *x.shape)
        for module in modules[self._first : self._last + 1]:
            x = self._step_all(module, x)
        readout = modules[self._last + 1 :]
        if all(isinstance(module, AFFINE + DROPOUTS) for module in readout):
            x = x.mean(0)
            for module in readout:
                x = module(x)
            return x
        for module in readout:
            x = self._step_all(module, x)
        return x.mean(0)

    @staticmethod
    def _step_all(module: nn.Module, x: Tensor) -> Tensor:
        """Apply a module to all steps of x [T, N, ...] at once."""
        if isinstance(module, LIF):
            spikes: Tensor = module(x)
            return spikes
        if isinstance(module, DROPOUTS):
            masked: Tensor = x * module(torch.ones_like(x[0]))
            return masked
        folded: Tensor = module(x.flatten(0, 1))
        return folded.view(*x.shape[:2], *folded.shape[1:])

    def clamp_(self) -> None:
        """Bring every leak and threshold back to its range; call after an optimizer step."""
        for module in self.layers:
            if isinstance(module, LIF):
                module.clamp_()
