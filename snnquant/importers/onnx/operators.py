"""ONNX operators as the layers that compute them, after https://onnx.ai/onnx/operators.

Layers are made without memory for their tensors, which are returned beside them: a file may state
any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from snnquant.importers.onnx.call import Array, Call
from snnquant.nn import builders
from snnquant.nn.builders import Refused
from snnquant.nn.kinds import SYNAPSES

Tensors = Mapping[str, tuple[str, Array]]
Step = tuple[nn.Module, Tensors]
"""A layer and its tensors: by their names there, (name in the file, value)."""


def _plain(layer: nn.Module) -> list[Step]:
    return [(layer, {})]


def _window(call: Call, kernel: list[int]) -> tuple[tuple[int, ...], ...]:
    """Read stride, dilation, and padding before and after each axis, of a kernel."""
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


def _zeros(before: tuple[int, ...], after: tuple[int, ...]) -> list[Step]:
    """Pad the last axes with zeros."""
    sides = zip(reversed(before), reversed(after), strict=True)
    return _plain(builders.zero_pad([n for side in sides for n in side]))


def _convolution(call: Call) -> list[Step]:
    tensors = call.weights("weight", "bias")
    channels, *kernel = tensors["weight"][1].shape[1:]
    call.require(kernel_shape=kernel)
    stride, dilation, before, after = _window(call, kernel)
    groups = call.get("group", 1)
    pad = [] if before == after else _zeros(before, after)
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
    """Make a dense layer whose weight is [in, out] in the file."""
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
    layer = (
        nn.BatchNorm1d(channels, epsilon) if flat else call.layer("batch_norm", channels, epsilon)
    )
    layer.num_batches_tracked = torch.tensor(0, device="cpu")
    return [(layer, tensors)]


def _average(call: Call) -> list[Step]:
    kernel = tuple(call.get("kernel_shape"))
    stride, dilation, before, after = _window(call, list(kernel))
    if set(dilation) != {1}:
        raise Refused("found dilations, expected none")
    counted = bool(call.get("count_include_pad", 0))
    ceil = bool(call.get("ceil_mode", 0))
    if before == after:
        return _plain(call.layer("avg_pool", kernel, stride, before, ceil, counted))
    if counted and not ceil:
        return [*_zeros(before, after), *_plain(call.layer("avg_pool", kernel, stride))]
    _require_rounded_up(call, kernel, before, after)
    return _plain(call.layer("avg_pool", kernel, stride, before, True, False))


def _maximum(call: Call) -> list[Step]:
    call.require(storage_order=0)
    kernel = tuple(call.get("kernel_shape"))
    stride, dilation, before, after = _window(call, list(kernel))
    ceil = bool(call.get("ceil_mode", 0))
    if before != after:
        reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        _require_rounded_up(call, reach, before, after)
        ceil = True
    return _plain(call.layer("max_pool", kernel, stride, before, dilation, ceil_mode=ceil))


def _require_rounded_up(
    call: Call, reach: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    """Refuse padding that is not what rounding the number of windows up comes to.

    Only then a window that reaches over the end leaves out what is not there, as torch's pools do.
    """
    stride = call.attributes.get("strides", [1] * len(reach))
    for n, k, s, b, a in zip(call.shape[2:], reach, stride, before, after, strict=True):
        windows = (n + b + a - k) // s + 1
        rounded = -((n + 2 * b - k) // -s) + 1
        rounded -= (rounded - 1) * s >= n + b  # torch leaves out a window that starts at the end
        if windows != rounded or call.attributes.get("ceil_mode", 0):
            found = f"found padding of {b} before and {a} after an axis of {n}"
            raise Refused(f"{found}, expected the same on both sides")


def _clip(call: Call) -> list[Step]:
    bounds = [call.constant(1, "min"), call.constant(2, "max")]
    return _plain(builders.clamp(*(None if bound is None else float(bound) for bound in bounds)))


def _mean(call: Call) -> list[Step]:
    axes = call.constant(1, "axes")
    call.require(noop_with_empty_axes=0)
    if axes is None:
        raise Refused("found no axes, expected those of a sample")
    keep = bool(call.get("keepdims", 1))
    return _plain(builders.mean(len(call.shape), [int(axis) for axis in axes], keep))


def _reshaped(call: Call, shape: list[int]) -> list[Step]:
    """Reshape a sample; one length may be -1, which follows from the others."""
    values = torch.empty(call.shape, device="meta").reshape(shape)
    return _plain(builders.reshape(call.shape, values.shape))


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
    return _plain(builders.permute(call.get("perm", [*reversed(range(len(call.shape)))])))


def _concatenate(call: Call) -> list[Step]:
    _require_activations(call)
    return _plain(builders.concatenate(len(call.shapes[0]), call.get("axis")))


def _require_activations(call: Call) -> None:
    if len(call.shapes) != len(call.names):
        raise Refused("found a constant, expected activations only")


def _sum(sign: float) -> Callable[[Call], list[Step]]:
    def build(call: Call) -> list[Step]:
        if len(call.shapes) == 1 and sign == 1:
            return _bias(call)
        if len(call.shapes) == 1:
            return _per_channel(call, shifts=True, sign=sign)
        _require_activations(call)
        return _plain(builders.weighted_sum(1, sign))

    return build


def _per_channel(call: Call, *, shifts: bool, sign: float = 1.0) -> list[Step]:
    """Add a constant of one number per place of an axis, or multiply by it to the power of sign."""
    place = next(i for i, value in enumerate(call.constants) if value is not None)
    value, name = call.constants[place], call.names[place]
    assert value is not None
    shape = call.shapes[0]
    lengths = [1] * (len(shape) - value.ndim) + list(value.shape)
    axes = [axis for axis, n in enumerate(lengths) if n > 1] or [1]
    axis = axes[0]
    fits = len(axes) == 1 and axis > 0 and lengths[axis] in (1, shape[axis])
    if not fits or value.ndim > len(shape) or (not shifts and sign < 0 and place == 0):
        raise Refused(f"found a constant of shape {value.shape}, expected one number per channel")
    values = np.broadcast_to(value.astype(np.float32).reshape(-1), (shape[axis],))
    ones = np.ones(shape[axis], np.float32)
    if shifts:
        first = sign < 0 and place == 0  # constant - x
        scale, shift = (-ones if first else ones), (values if first else sign * values)
    else:
        scale, shift = values**sign, 0 * ones
    before, layer, after = builders.per_channel(shape, axis)
    weight = scale.reshape(tuple(layer.get_parameter("weight").shape))
    tensors = {"weight": (name, weight), "bias": (name, shift)}
    return [*((b, {}) for b in before), (layer, tensors), *((a, {}) for a in after)]


def _bias(call: Call) -> list[Step]:
    """Turn a constant that is added to a layer with weights and no bias into that bias."""
    place = next(i for i, value in enumerate(call.constants) if value is not None)
    value, (name, layer) = call.constants[place], call.producer or ("", nn.Identity())
    assert value is not None
    ndim = len(call.shapes[0])
    axis = ndim - 1 if isinstance(layer, nn.Linear) else 1
    shape = [call.shapes[0][i] if i == axis else 1 for i in range(ndim)]
    fits = value.ndim <= ndim and list(value.shape) == shape[ndim - value.ndim :]
    if not isinstance(layer, SYNAPSES) or layer.bias is not None or not fits:
        return _per_channel(call, shifts=True)
    layer.bias = nn.Parameter(torch.from_numpy(value.astype(np.float32).reshape(-1)))
    call.biases.append((call.names[place], f"{name}.bias"))
    return _plain(nn.Identity())


def _scaled(power: int) -> Callable[[Call], list[Step]]:
    def build(call: Call) -> list[Step]:
        numbers = [v for v in call.constants if v is not None and v.size == 1]
        if not numbers and len(call.shapes) == 1:
            return _per_channel(call, shifts=False, sign=float(power))
        fits = len(numbers) == 1 and numbers[0].ndim <= len(call.shapes[0])
        if not fits or (power < 0 and call.constants[0] is not None):
            raise Refused("found other inputs than one activation and one number")
        return _plain(builders.weighted_sum(float(numbers[0].item()) ** power))

    return build


def _pad(call: Call) -> list[Step]:
    pads, value = call.constant(1, "pads"), call.constant(2, "value")
    call.require(mode="constant")
    ndim = len(call.shape)
    if pads is None or len(pads) != 2 * ndim or call.constant(3) is not None or (value or 0) != 0:
        raise Refused("found other padding than zeros on every axis in turn")
    before, after = (tuple(int(n) for n in part) for part in (pads[:ndim], pads[ndim:]))
    if any((*before[:2], *after[:2])):
        raise Refused("found padding of batch or channels, expected it on the other axes")
    return _zeros(before[2:], after[2:])


def _resize(call: Call) -> list[Step]:
    """Read nearest upsampling by whole factors, of Resize and of the older Upsample."""
    call.require(mode="nearest", exclude_outside=0, antialias=0)
    for name in ("coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a"):
        call.get(name)
    for name in ("extrapolation_value", "keep_aspect_ratio_policy"):
        call.get(name)
    place = 1 if call.version < 11 else 2
    scales = call.constant(place, "scales")
    sizes = call.constant(3) if scales is None or not scales.size else None
    if sizes is not None:
        scales = np.array([n / m for n, m in zip(sizes, call.shape, strict=True)])
    if scales is None or len(scales) != len(call.shape) or any(s % 1 or s < 1 for s in scales):
        raise Refused("found other scales than whole factors from 1 on")
    if scales[0] != 1 or scales[1] != 1:
        raise Refused("found scales of batch or channels, expected 1 there")
    return _plain(nn.Upsample(scale_factor=tuple(float(s) for s in scales[2:])))


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
    "GlobalAveragePool": lambda call: _plain(call.layer("adaptive_avg_pool", 1)),
    "ReduceMean": _mean,
    "MaxPool": _maximum,
    "GlobalMaxPool": lambda call: _plain(call.layer("adaptive_max_pool", 1)),
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
    "Resize": _resize,
    "Upsample": _resize,
    "Cast": _cast,
    "Dropout": _nothing,
    "Identity": _nothing,
}
"""By the operator's name: the layers, in order, that compute a node."""
