"""A trained network as one plain module, from raw patches to logits."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from snnquant.config.scaling_names import forms_of
from snnquant.nn.convolutions import Conv2d, Conv3d
from snnquant.nn.kinds import MAX_POOLS
from snnquant.nn.pooling import AvgPool2d
from snnquant.quantization import freeze
from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.allocated_activations import AllocatedReLU
from snnquant.sampling import Normalisation
from snnquant.sampling.spectra import FLAT
from snnquant.spiking import (
    FLOATING,
    LIF,
    LIFParameters,
    Neuron,
    PotentialGrid,
    initial_state,
    lif_step,
    require_lif,
)


class Deployed(nn.Module):
    """Normalisation and network: raw patches [N, 1, B, h, w] to logits [N, K].

    A copy: quantized weights are plain values, LIF neurons a loop over the time steps, convolutions
    those of torch. Without a normalisation it takes standardised patches. Raises InputError for
    neurons other than `LIF`, by layer.
    """

    mean: Tensor
    std: Tensor
    components: Tensor
    bands: int
    """Bands of the raw patches; 0 without a normalisation."""

    def __init__(self, network: nn.Module, normalisation: Normalisation | None = None) -> None:
        super().__init__()
        self.network = freeze(copy.deepcopy(network)).eval().requires_grad_(False)
        for name, layer in self.network.named_modules():
            if isinstance(layer, Neuron):
                require_lif(layer, name.removeprefix("layers."), "--format onnx")
            layer.__class__ = PLAIN.get(type(layer), type(layer))
            if isinstance(layer, UnrolledLIF):
                layer.settle()
        self.forms = forms_of(normalisation.spectra) if normalisation is not None else []
        self.floor = normalisation.floor if normalisation is not None else 0.0
        self.normalised = normalisation is not None
        self.grid = normalisation.grid if normalisation is not None else None
        self.bands = 0 if normalisation is None else len(normalisation.mean) // len(self.forms)
        self.projected = normalisation is not None and normalisation.components is not None
        if normalisation is not None:
            for name in ("mean", "std"):
                values = torch.from_numpy(getattr(normalisation, name))
                self.register_buffer(name, values[:, None, None])
            if normalisation.components is not None:
                components = torch.from_numpy(normalisation.components.T)
                if self.grid is not None:  # as `Normalisation.apply`: a code may depend on it
                    components = components.double()
                self.register_buffer("components", components)

    def forward(self, patches: Tensor) -> Tensor:
        """Return the logits [N, K]."""
        if self.normalised:
            forms = [_form(patches, form, self.floor) for form in self.forms]
            patches = forms[0] if len(forms) == 1 else torch.cat(forms, 2)
            patches = (patches - self.mean) / self.std
        if self.projected:
            scores = self.components @ patches.flatten(3).squeeze(1).to(self.components.dtype)
            scores = scores.to(patches.dtype)
            patches = scores.view(-1, 1, scores.shape[1], *patches.shape[3:])
        if self.grid is not None:
            codes = (patches / self.grid.step).round().clamp(self.grid.low, self.grid.high)
            patches = codes * self.grid.step
        logits: Tensor = self.network(patches)
        return logits


def _form(patches: Tensor, form: str, floor: float) -> Tensor:
    """Return the nonlinear part of a form of the spectra of patches, as `prepare` does of cubes."""
    if form == "raw":
        return patches
    if form == "log-derivative":
        return patches.clamp(min=floor).log()
    mean = patches.mean(2, keepdim=True)
    centred = patches - mean
    spread = centred.square().mean(2, keepdim=True).sqrt()
    return centred / torch.where(spread > FLAT * mean.abs(), spread, 1.0)


class UnrolledLIF(LIF):
    """A `LIF` whose steps are plain operations on new tensors, so that a tracer sees them.

    Its leak and the grid of its potentials are constants of the trace.
    """

    settled_grid: PotentialGrid

    @torch.no_grad()
    def settle(self) -> None:
        """Keep leak and grid as they are now."""
        self.leak.copy_(super().constants().leak)
        if self.potential_bits != FLOATING:
            self.settled_grid = super().grid()

    def constants(self) -> LIFParameters:
        """Return leak, threshold and reset, the leak as it was settled."""
        return LIFParameters(self.leak, self.threshold, self.reset)

    def grid(self) -> PotentialGrid:
        """Return the grid that was settled."""
        return self.settled_grid

    def forward(self, current: Tensor) -> Tensor:
        """Return the spikes [T, N, ...] for current [T, N, ...], step by step."""
        if self.potential_bits != FLOATING:
            return self.saturating(current, surrogate=None)
        parameters = self.constants()
        state = initial_state(current, parameters, self.initial)
        spikes = []
        for step in current.unbind(0):
            fired, state = lif_step(step, parameters, state, surrogate=None)
            spikes.append(fired)
        return torch.stack(spikes)


class WindowedPool(nn.Module):
    """Adaptive pooling axis by axis, window by window: exporters know it only to one value."""

    output_size: int | tuple[int | None, ...]

    def forward(self, x: Tensor) -> Tensor:
        """Return means, or maxima, of n windows per axis: the i-th from floor(is/n) to ceil."""
        counts = self.output_size
        if isinstance(counts, int):
            counts = (counts,) * (x.ndim - 2)
        reduce = torch.amax if isinstance(self, MAX_POOLS) else torch.mean
        for axis, count in enumerate(counts, start=2):
            s = x.shape[axis]
            n = s if count is None else count
            bounds = [(i * s // n, -((i + 1) * s // -n)) for i in range(n)]
            windows = [reduce(x.narrow(axis, low, high - low), axis) for low, high in bounds]
            x = torch.stack(windows, axis)
        return x


class PlainQuantizedReLU(QuantizedReLU):
    """A `QuantizedReLU` as plain operations on numbers, so that a tracer sees them."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations of x [N, ...] on their levels."""
        return self.codes(x / self.step) * self.step


class PlainAllocatedReLU(PlainQuantizedReLU, AllocatedReLU):
    """An `AllocatedReLU` as plain operations on numbers."""


ADAPTIVE = (
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    AvgPool2d: nn.AvgPool2d,
    Conv2d: nn.Conv2d,
    Conv3d: nn.Conv3d,
    LIF: UnrolledLIF,
    QuantizedReLU: PlainQuantizedReLU,
    AllocatedReLU: PlainAllocatedReLU,
    **{kind: type(kind.__name__, (WindowedPool, kind), {}) for kind in ADAPTIVE},
}
"""Plain stand-ins for modules whose operations are arranged for speed."""
