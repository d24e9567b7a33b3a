"""Binary training with little memory: the rule that packs layers, and its optimizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.config import QuantizationConfig
from snnquant.errors import InputError
from snnquant.nn.kinds import SYNAPSES
from snnquant.quantization.activations import QuantizedReLU
from snnquant.quantization.api import weight_quantizer
from snnquant.quantization.binary import AllocatedWeight, binary_scale
from snnquant.quantization.codes import Uniform
from snnquant.quantization.methods.low_memory_bnn import LowMemoryBNN
from snnquant.quantization.packed_bits import (
    NormedSign,
    SignSynapse,
    channel_moments,
    keep,
    kept,
    pack_bits,
    unpack_bits,
)
from snnquant.quantization.passes.observed_layers import fires, latent
from snnquant.quantization.plan import Calibration, LayerPlace, Plan, WeightQuantizer
from snnquant.quantization.rules import Rule
from snnquant.quantization.uniform import QuantizedWeight

MOMENTUM = 0.1
"""Share of a batch's mean and size in the running ones."""
BETA = 0.9
"""Share of the old momentum in the new one."""


def plan(config: LowMemoryBNN) -> Plan:
    """Return signs, one-bit ReLUs, the rule and the optimizer; weights do not decay."""

    def quantizer(weight: Tensor, place: LayerPlace) -> WeightQuantizer:
        if place.role == "last":
            return QuantizedWeight(weight, QuantizationConfig(bits=config.last_bits))
        return SignWeight(bits=1)

    def activation(place: LayerPlace) -> QuantizedReLU:
        relu = QuantizedReLU(bits=1)
        nn.init.ones_(relu.ceiling)
        return relu

    return Plan(
        quantizer,
        activation=activation,
        after=(unpack,),
        rules=(partial(PackedLayers, mask=config.mask),),
        optimizer=SignAdam.of_network,
        recipe={"weight_decay": 0.0, "learning_rate": config.learning_rate},
    )


class SignWeight(AllocatedWeight):
    """Signs times mean|w| per filter, in float32 also of a weight in 16 bits."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on its levels, same shape."""
        return super().forward(weight.float())

    @torch.no_grad()
    def encode(self, weight: Tensor) -> Uniform:
        """Return codes -1 and 1 with a scale per channel."""
        return super().encode(weight.float())


def _pairs(network: nn.Module) -> Iterator[tuple[str, Any, Any]]:
    """Yield every layer of signs with the activation or neurons that come right after it."""
    before: tuple[str, Any] | None = None
    for name, module in network.named_modules():
        if isinstance(module, SYNAPSES):
            signed = isinstance(weight_quantizer(module), SignWeight)
            before = (name, module) if signed else None
        elif before is not None and (isinstance(module, QuantizedReLU) or fires(module)):
            yield *before, module
            before = None


class PackedLayers(Rule):
    """Rule that has layers keep bits in training; in evaluation they run as they are.

    The bias of a CNN's layer is the shift after its norm while it trains. In the form that is
    validated and kept it holds the norm: 1 / 2 + s (size * shift - mean), for signs times s and an
    activation that is on above 1 / 2.

    Args:
        network: CNN or SNN with the quantizers of `plan`, changed until `unpack`.
        mask: Keep a bit per activation that says where its gradient passes.

    Raises:
        InputError: A layer of a CNN has no bias.
    """

    def __init__(self, network: nn.Module, *, mask: bool) -> None:
        self.norms: dict[str, tuple[Any, Tensor]] = {}
        for name, synapse, after in _pairs(network):
            if fires(after):
                _Recomputed(name, synapse, after)
                continue
            if synapse.bias is None:
                raise InputError(f"layer {name}: found no bias, expected one to hold the norm")
            running = torch.zeros(2, len(synapse.bias), device=synapse.bias.device)
            self.norms[name] = synapse, running
            _Packed(name, synapse, after, running, mask=mask)

    @contextmanager
    def deployed(self) -> Iterator[None]:
        """Fold the running norms into the biases while the block runs."""
        shifts = {name: synapse.bias.detach().clone() for name, (synapse, _) in self.norms.items()}
        with torch.no_grad():
            for name, (synapse, (mean, size)) in self.norms.items():
                scale = binary_scale(latent(synapse).float()).flatten()
                synapse.bias.copy_(0.5 + scale * (size * shifts[name] - mean))
        try:
            yield
        finally:
            with torch.no_grad():
                for name, (synapse, _) in self.norms.items():
                    synapse.bias.copy_(shifts[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Return the running norms."""
        return {name: running.clone() for name, (_, running) in self.norms.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the running norms."""
        for name, (_, running) in self.norms.items():
            running.copy_(state[name])


class _Pair(ABC):
    """Synapse and what comes right after it, whose forwards are replaced in training."""

    def __init__(self, name: str, synapse: Any, after: Any) -> None:
        self.name, self.synapse, self.after = name, synapse, after
        self.plain = type(synapse).forward, type(after).forward
        self.output: Tensor | None = None
        synapse.forward, after.forward = self._synapse, self._after

    def _take(self, given: Tensor) -> None:
        """Check that the second of the two is given the output of the first."""
        output, self.output = self.output, None
        if output is None or output.untyped_storage().data_ptr() != (
            given.untyped_storage().data_ptr()
        ):
            raise InputError(
                f"layer {self.name}: found other layers between it and its activation, expected "
                "none, as --quantization low_memory_bnn needs"
            )

    def _synapse(self, x: Tensor) -> Tensor:
        if not self.synapse.training:
            return self.plain[0](self.synapse, x)  # type: ignore[no-any-return]
        self.output = self.run(x)
        return self.output

    def _after(self, x: Tensor) -> Tensor:
        if not self.synapse.training:
            return self.plain[1](self.after, x)  # type: ignore[no-any-return]
        self._take(x)
        return self.finish(x)

    @abstractmethod
    def run(self, x: Tensor) -> Tensor:
        """Compute the synapse."""

    @abstractmethod
    def finish(self, x: Tensor) -> Tensor:
        """Compute what comes after it."""


class _Packed(_Pair):
    """Layer of signs, its l1 norm and its activation, in a CNN."""

    def __init__(self, *pair: Any, mask: bool) -> None:
        *names, self.running = pair
        super().__init__(*names)
        self.mask = mask

    def run(self, x: Tensor) -> Tensor:
        output: Tensor = SignSynapse.apply(x, latent(self.synapse), self.synapse)  # type: ignore[no-untyped-call]
        return output

    def finish(self, x: Tensor) -> Tensor:
        first = not self.running.any()
        if first:
            self._start(x.detach())
        found, mean, size = NormedSign.apply(x, self.synapse.bias, self.mask)  # type: ignore[no-untyped-call]
        self.running.lerp_(torch.stack([mean, size]), 1.0 if first else MOMENTUM)
        return found  # type: ignore[no-any-return]

    @torch.no_grad()
    def _start(self, sums: Tensor) -> None:
        """Shift the first batch's norm so that a bit is on where a trained ReLU's would be.

        That of s y + b, for sums y of signs times s, is on above half its ceiling.
        """
        scale = binary_scale(latent(self.synapse).float()).flatten()
        along = (-1, *(1 for _ in sums.shape[2:]))
        values = sums * scale.view(along) + self.synapse.bias.view(along)
        relu = QuantizedReLU(bits=1).to(sums.device)
        relu.start(values)
        mean, size = channel_moments(sums)
        threshold = mean + (self.synapse.bias - relu.ceiling / 2) / scale
        self.synapse.bias.copy_(threshold / size)


class _Recomputed(_Pair):
    """Layer of signs and its neurons in an SNN, which are computed again in the backward pass."""

    given: Tensor

    def run(self, x: Tensor) -> Tensor:
        self.given = x
        with torch.no_grad():
            return self.plain[0](self.synapse, x)  # type: ignore[no-any-return]

    def finish(self, x: Tensor) -> Tensor:
        given = self.given
        del self.given
        parameters = [*self.synapse.parameters(), *self.after.parameters()]
        again = partial(self._again, x.shape)
        spikes: Tensor = _Again.apply(  # type: ignore[no-untyped-call]
            given, partial(self.plain[1], self.after, x), again, *parameters
        )
        return spikes

    def _again(self, shape: torch.Size, x: Tensor) -> Tensor:
        current = self.plain[0](self.synapse, x)
        steps = current.numel() == shape.numel()
        spikes: Tensor = self.plain[1](
            self.after, current.view(shape) if steps else current.expand(shape)
        )
        return spikes


class _Again(torch.autograd.Function):
    """Function that keeps its input as bits and computes everything else anew."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, first: Callable[[], Tensor], again: Any, *parameters: Tensor
    ) -> Tensor:
        ctx.save_for_backward(keep(x.detach()), *parameters)
        ctx.again, ctx.shape, ctx.dtype = again, x.shape, x.dtype
        return first()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        stored, *parameters = ctx.saved_tensors
        x = kept(stored, ctx.shape, ctx.dtype).requires_grad_(ctx.needs_input_grad[0])
        with torch.enable_grad():
            spikes = ctx.again(x)
        wanted = [p for p in (x, *parameters) if p.requires_grad]
        found = iter(torch.autograd.grad(spikes, wanted, grads[0], allow_unused=True))
        of_x, *rest = [next(found) if p.requires_grad else None for p in (x, *parameters)]
        return of_x, None, None, *rest


class SignAdam(torch.optim.AdamW):
    """Adam whose gradients of binary layers' weights are one bit, kept packed.

    These weights and their momenta have 16 bits, and stay within -1 to 1. The second moment of
    gradients of size 1 is 1, and is not stored. All other parameters are trained as by AdamW.

    Args:
        latents: Weights of binary layers, put in 16 bits.
        others: All other parameters.
        rate: Peak learning rate.
        weight_decay: Decay of the other parameters.
    """

    def __init__(
        self, latents: list[Tensor], others: list[Tensor], rate: float, weight_decay: float
    ) -> None:
        super().__init__([*latents, *others], rate, weight_decay=weight_decay)
        self.latents, self.packed = latents, dict[Tensor, Tensor]()
        for weight in latents:
            weight.data = weight.data.clamp(-1, 1).half()
            weight.register_post_accumulate_grad_hook(self._pack)  # type: ignore[no-untyped-call]

    @classmethod
    def of_network(cls, network: nn.Module, rate: float, weight_decay: float) -> SignAdam:
        """Return the optimizer of a network with the quantizers of `plan`."""
        latents = [
            latent(m) for m in network.modules() if isinstance(weight_quantizer(m), SignWeight)
        ]
        own = set(latents)
        others: list[Tensor] = [p for p in network.parameters() if p not in own]
        return cls(latents, others, rate, weight_decay)

    def _pack(self, weight: Tensor) -> None:
        """Keep the signs of a gradient as soon as it is known, in its place."""
        assert weight.grad is not None
        self.packed[weight] = pack_bits(weight.grad < 0)
        weight.grad = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step once, layer by layer."""
        super().step(closure)
        rate = self.param_groups[0]["lr"]
        for weight, packed in self.packed.items():
            state = self.state[weight]
            if not state:
                state["step"] = torch.zeros(())
                state["exp_avg"] = torch.zeros_like(weight)
            state["step"] += 1
            down = unpack_bits(packed, weight.shape).to(weight.dtype)
            state["exp_avg"].lerp_(1 - 2 * down, 1 - BETA)
            change = rate / (1 - BETA ** float(state["step"]))
            weight.add_(state["exp_avg"], alpha=-change).clamp_(-1, 1)
        self.packed.clear()


def unpack(network: nn.Module, seen: Calibration) -> None:
    """Bring a trained network back into plain form: float32 weights, no replaced forwards."""
    for module in network.modules():
        vars(module).pop("forward", None)
        if isinstance(weight_quantizer(module), SignWeight):
            steps: Any = module.parametrizations
            steps.weight.original = nn.Parameter(latent(module).detach().float())
