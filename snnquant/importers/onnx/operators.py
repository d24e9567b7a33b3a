"""ONNX operators as the layers that compute them; https://onnx.ai/onnx/operators has their meaning.

Layers are made without memory for their tensors, which come beside them: a file may state any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from snnquant.nn.graph import Sum
from snnquant.nn.wiring import Concatenate, Mean, Permute, Reshape

Array = NDArray[Any]
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
OF_AXES: dict[str, tuple[Callable[..., nn.Module], ...]] = {
    "conv": CONVOLUTIONS,
    "norm": (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    "pad": (nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d),
    "average": (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    "maximum": (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    "average of all": (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    "maximum of all": (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
}
"""torch's layers for one, two and three axes beside batch and channels."""


class Refused(ValueError):
    """What a node holds that no layer here computes; the message begins behind the node's name."""


@dataclass
class Call:
    """A node: attributes, names of its inputs, which of them are constants, shapes of the others.

    `producer` is the name of the layer before it and the layer, where no other node takes what that
    one gives. `version` is that of the operators. `biases` collects what was put into a layer
    before: (its name in the file, the layer's).
    """

    attributes: dict[str, Any]
    names: list[str]
    constants: list[Array | None]
    shapes: list[tuple[int, ...]]
    version: int
    producer: tuple[str, nn.Module] | None
    biases: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.unread = set(self.attributes)

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, by default `default`."""
        self.unread.discard(name)
        return self.attributes.get(name, default)

    def constant(self, place: int, attribute: str = "") -> Array | None:
        """An input that must be constant where it is there; older operators had an attribute."""
        if attribute in self.attributes:
            return np.asarray(self.get(attribute))
        if place >= len(self.names) or not self.names[place]:
            return None
        value = self.constants[place]
        if value is None:
            raise Refused(f"found input {self.names[place][:100]!r} computed, expected a constant")
        return value

    def weights(self, *names: str) -> dict[str, tuple[str, Array]]:
        """Constant inputs from the second on as a layer's tensors."""
        found = {}
        for place, name in enumerate(names, start=1):
            value = self.constant(place)
            if value is not None:
                found[name] = (self.names[place], value)
        return found

    def require(self, **expected: Any) -> None:
        """Refuse attributes that are there with another value than the one expected."""
        for name, value in expected.items():
            found = self.get(name, value)
            if found != value:
                raise Refused(f"found {name} {found!r}, expected {value!r}")

    def require_all_read(self) -> None:
        """Refuse attributes that nothing here looked at."""
        if self.unread:
            raise Refused(f"found the attribute {min(self.unread)!r}, which is not known here")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the one activation; refused where there are two, or a constant comes first."""
        if len(self.shapes) != 1 or self.constants[0] is not None:
            raise Refused("found other inputs than one activation, then constants")
        return self.shapes[0]

    def layer(self, kind: str, *settings: Any, **named: Any) -> nn.Module:
        """One of `OF_AXES` for as many axes as the activation has beside batch and channels."""
        axes = len(self.shape) - 2
        if not 1 <= axes <= 3:
            raise Refused(f"found an input of shape {self.shape}, expected 3 to 5 axes")
        return OF_AXES[kind][axes - 1](*settings, **named)


Tensors = Mapping[str, tuple[str, Array]]
Step = tuple[nn.Module, Tensors]
"""A layer and its tensors: by their names there, (name in the file, value)."""


def _plain(layer: nn.Module) -> list[Step]:
    return [(layer, {})]


def _window(call: Call, kernel: list[int]) -> tuple[tuple[int, ...], ...]:
    """Stride, dilation, and padding before and behind, of a kernel."""
    n, size = len(kernel), call.shape[2:]
    stride, dilation = call.get("strides", [1] * n), call.get("dilations", [1] * n)
    pads, automatic = call.get("pads", [0] * 2 * n), call.get("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max((math.ceil(length / s) - 1) * s + (k - 1) * d + 1 - length, 0)
            for length, k, s, d in zip(size, kernel, stride, dilation, strict=True)
        ]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = less + more if automatic == "SAME_UPPER" else more + less
    elif automatic == "VALID":
        pads = [0] * 2 * n
    elif automatic != "NOTSET":
        raise Refused(f"found auto_pad {automatic!r}, which is not known here")
    return tuple(stride), tuple(dilation), tuple(pads[:n]), tuple(pads[n:])


def _zeros(call: Call, before: tuple[int, ...], behind: tuple[int, ...]) -> list[Step]:
    """Zero padding of the last axes."""
    sides = zip(reversed(before), reversed(behind), strict=True)
    return _plain(call.layer("pad", tuple(n for side in sides for n in side)))


def _convolution(call: Call) -> list[Step]:
    tensors = call.weights("weight", "bias")
    channels, *kernel = tensors["weight"][1].shape[1:]
    call.require(kernel_shape=kernel)
    stride, dilation, before, behind = _window(call, kernel)
    groups = call.get("group", 1)
    pad = [] if before == behind else _zeros(call, before, behind)
    layer = call.layer(
        "conv",
        channels * groups,
        len(tensors["weight"][1]),
        tuple(kernel),
        stride,
        0 if pad else before,
        dilation,
        groups,
        bias="bias" in tensors,
    )
    return [*pad, (layer, tensors)]


def _linear(call: Call, weight: Array, tensors: dict[str, tuple[str, Array]]) -> list[Step]:
    """A dense layer whose weight is [in, out] in the file."""
    if weight.ndim != 2 or len(call.shape) < 2:
        raise Refused(f"found a weight of shape {weight.shape} for an input of shape {call.shape}")
    layer = nn.Linear(weight.shape[0], weight.shape[1], bias="bias" in tensors)
    return [(layer, {**tensors, "weight": (call.names[1], weight.T)})]


def _gemm(call: Call) -> list[Step]:
    call.require(alpha=1.0, beta=1.0, transA=0)
    tensors = call.weights("weight", "bias")
    weight = tensors["weight"][1]
    weight = weight.T if call.get("transB", 0) else weight
    if "bias" in tensors:
        name, bias = tensors["bias"]
        tensors["bias"] = (name, np.broadcast_to(bias, (1, weight.shape[-1])).reshape(-1))
    return _linear(call, weight, tensors)


def _matmul(call: Call) -> list[Step]:
    tensors = call.weights("weight")
    return _linear(call, tensors["weight"][1], tensors)


def _norm(call: Call) -> list[Step]:
    call.require(training_mode=0, spatial=1)
    call.get("momentum")
    tensors = call.weights("weight", "bias", "running_mean", "running_var")
    channels, epsilon = call.shape[1], call.get("epsilon", 1e-5)
    flat = len(call.shape) == 2
    layer = nn.BatchNorm1d(channels, epsilon) if flat else call.layer("norm", channels, epsilon)
    layer.num_batches_tracked = torch.tensor(0, device="cpu")
    return [(layer, tensors)]


def _average(call: Call) -> list[Step]:
    kernel = call.get("kernel_shape")
    stride, dilation, before, behind = _window(call, kernel)
    if set(dilation) != {1} or before != behind:
        raise Refused("found dilations or padding on one side, expected none")
    ceil, counted = bool(call.get("ceil_mode", 0)), bool(call.get("count_include_pad", 0))
    return _plain(call.layer("average", tuple(kernel), stride, before, ceil, counted))


def _maximum(call: Call) -> list[Step]:
    call.require(storage_order=0)
    kernel = call.get("kernel_shape")
    stride, dilation, before, behind = _window(call, kernel)
    if before != behind:
        raise Refused("found padding on one side, expected none")
    ceil = bool(call.get("ceil_mode", 0))
    layer = call.layer("maximum", tuple(kernel), stride, before, dilation, ceil_mode=ceil)
    return _plain(layer)


def _clip(call: Call) -> list[Step]:
    bounds = [call.constant(1, "min"), call.constant(2, "max")]
    low, high = (bound if bound is None else float(bound) for bound in bounds)
    if low == 0 and high is None:
        return _plain(nn.ReLU())
    return _plain(
        nn.Hardtanh(-math.inf if low is None else low, math.inf if high is None else high)
    )


def _mean(call: Call) -> list[Step]:
    axes = call.constant(1, "axes")
    call.require(noop_with_empty_axes=0)
    if axes is None:
        raise Refused("found no axes, expected those of a sample")
    kept = [int(axis) % len(call.shape) for axis in axes]
    return _plain(Mean(sorted(kept), bool(call.get("keepdims", 1))))


def _reshaped(call: Call, shape: list[int]) -> list[Step]:
    """Another shape of the same values, the batch as it was."""
    values = torch.empty(call.shape, device="meta").reshape(shape)
    if values.shape[0] != call.shape[0]:
        found = f"found the shape {tuple(values.shape)} for a batch of {call.shape[0]}"
        raise Refused(f"{found}, expected the batch as the first axis")
    return _plain(Reshape(values.shape[1:]))


def _reshape(call: Call) -> list[Step]:
    target, copied = call.constant(1, "shape"), not call.get("allowzero", 0)
    if target is None:
        raise Refused("found no shape")
    sizes = [int(n) for n in target]
    return _reshaped(call, [call.shape[i] if n == 0 and copied else n for i, n in enumerate(sizes)])


def _flatten(call: Call) -> list[Step]:
    call.require(axis=1)
    return _reshaped(call, [call.shape[0], -1])


def _squeeze(call: Call) -> list[Step]:
    axes, ndim = call.constant(1, "axes"), len(call.shape)
    dropped = [i for i, n in enumerate(call.shape) if i and n == 1]
    if axes is not None:
        dropped = [int(axis) % ndim for axis in axes]
    return _reshaped(call, [n for i, n in enumerate(call.shape) if i not in dropped])


def _unsqueeze(call: Call) -> list[Step]:
    axes = call.constant(1, "axes")
    if axes is None:
        raise Refused("found no axes")
    ndim, old = len(call.shape) + len(axes), iter(call.shape)
    new = {int(axis) % ndim for axis in axes}
    return _reshaped(call, [1 if i in new else next(old) for i in range(ndim)])


def _transpose(call: Call) -> list[Step]:
    return _plain(Permute(call.get("perm", [*reversed(range(len(call.shape)))])))


def _concatenate(call: Call) -> list[Step]:
    _require_activations(call)
    axis = call.get("axis") % len(call.shapes[0])
    if axis == 0:
        raise Refused("found axis 0, the batch, expected another")
    return _plain(Concatenate(axis))


def _require_activations(call: Call) -> None:
    if len(call.shapes) != len(call.names):
        raise Refused("found a constant, expected activations alone")


def _sum(sign: float) -> Callable[[Call], list[Step]]:
    def build(call: Call) -> list[Step]:
        if len(call.shapes) == 1 and sign == 1:
            return _bias(call)
        _require_activations(call)
        return _plain(Sum([1.0, sign]))

    return build


def _bias(call: Call) -> list[Step]:
    """A constant added to a layer that has weights and no bias yet becomes that bias."""
    place = next(i for i, value in enumerate(call.constants) if value is not None)
    value, (name, layer) = call.constants[place], call.producer or ("", nn.Identity())
    assert value is not None
    ndim = len(call.shapes[0])
    axis = ndim - 1 if isinstance(layer, nn.Linear) else 1
    shape = [call.shapes[0][i] if i == axis else 1 for i in range(ndim)]
    fits = value.ndim <= ndim and list(value.shape) == shape[ndim - value.ndim :]
    if not isinstance(layer, (nn.Linear, *CONVOLUTIONS)) or layer.bias is not None or not fits:
        raise Refused(
            f"adds a constant of shape {value.shape}, expected the sum of two activations, or the "
            "bias of a layer that has none"
        )
    layer.bias = nn.Parameter(torch.from_numpy(value.astype(np.float32).reshape(-1)))
    call.biases.append((call.names[place], f"{name}.bias"))
    return _plain(nn.Identity())


def _scaled(power: int) -> Callable[[Call], list[Step]]:
    def build(call: Call) -> list[Step]:
        numbers = [v for v in call.constants if v is not None and v.size == 1]
        fits = len(numbers) == 1 and numbers[0].ndim <= len(call.shapes[0])
        if not fits or (power < 0 and call.constants[0] is not None):
            raise Refused("found other inputs than one activation and one number")
        return _plain(Sum([float(numbers[0].item()) ** power]))

    return build


def _pad(call: Call) -> list[Step]:
    pads, value = call.constant(1, "pads"), call.constant(2, "value")
    call.require(mode="constant")
    ndim = len(call.shape)
    if pads is None or len(pads) != 2 * ndim or call.constant(3) is not None or (value or 0) != 0:
        raise Refused("found other padding than zeros on every axis in turn")
    before, behind = (tuple(int(n) for n in part) for part in (pads[:ndim], pads[ndim:]))
    if any((*before[:2], *behind[:2])):
        raise Refused("found padding of batch or channels, expected it on the other axes")
    return _zeros(call, before[2:], behind[2:])


def _cast(call: Call) -> list[Step]:
    call.require(to=1)  # float32
    return _nothing(call)


def _softmax(kind: type[nn.Module]) -> Callable[[Call], list[Step]]:
    def build(call: Call) -> list[Step]:
        axis = call.get("axis", -1 if call.version >= 13 else 1)
        if len(call.shape) != 2 or axis not in (1, -1):
            raise Refused(f"found axis {axis} of shape {call.shape}, expected [batch, classes]")
        return _plain(kind(1))

    return build


def _nothing(call: Call) -> list[Step]:
    for attribute in ("ratio", "seed", "is_test"):
        call.get(attribute)
    return _plain(nn.Identity())


OPERATORS: dict[str, Callable[[Call], list[Step]]] = {
    "Conv": _convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _norm,
    "Relu": lambda call: _plain(nn.ReLU()),
    "Clip": _clip,
    "LeakyRelu": lambda call: _plain(nn.LeakyReLU(call.get("alpha", 0.01))),
    "AveragePool": _average,
    "GlobalAveragePool": lambda call: _plain(call.layer("average of all", 1)),
    "ReduceMean": _mean,
    "MaxPool": _maximum,
    "GlobalMaxPool": lambda call: _plain(call.layer("maximum of all", 1)),
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Add": _sum(1.0),
    "Sub": _sum(-1.0),
    "Mul": _scaled(1),
    "Div": _scaled(-1),
    "Concat": _concatenate,
    "Softmax": _softmax(nn.Softmax),
    "LogSoftmax": _softmax(nn.LogSoftmax),
    "Pad": _pad,
    "Cast": _cast,
    "Dropout": _nothing,
    "Identity": _nothing,
}
"""By the operator's name: the layers, one after another, that compute a node."""
