"""Functions and methods of a traced forward as the modules that compute the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from snnquant.nn import builders
from snnquant.nn.builders import BY_AXES, Refused
from snnquant.nn.kinds import DROPOUTS
from snnquant.nn.tracing import operation
from snnquant.nn.wiring import Reshape

Builder = Callable[[fx.Node], nn.Module | None]


def as_module(node: fx.Node, root: nn.Module) -> tuple[str, nn.Module | None]:
    """Name a node's operation and make a module that computes it; None where none does.

    Shapes are those in meta["shape"] (see `tracing.add_shapes`).
    """
    if node.op == "call_module":
        layer = root.get_submodule(str(node.target))
        return type(layer).__name__, layer
    name = "parameter" if node.op == "get_attr" else operation(node)
    build = BUILDERS.get(name)
    try:
        return name, build(node) if build and "shape" in node.meta else None
    except Refused:
        return name, None


SHIFTS, SCALES = ("add", "iadd", "sub", "isub"), ("mul", "imul", "div", "truediv", "itruediv")


def per_channel_steps(node: fx.Node, root: nn.Module) -> list[nn.Module] | None:
    """Make the layers of arithmetic between a tensor and a parameter of one number per channel.

    Return None where the node is anything else.
    """
    name, operands = operation(node), [*tensors(node)]
    constants = [source for source in operands if source.op == "get_attr"]
    if name not in SHIFTS + SCALES or len(operands) != 2 or len(constants) != 1:
        return None
    first = operands[0] is constants[0]
    value = _attribute(root, str(constants[0].target)).detach()
    shape = operands[0 if not first else 1].meta["shape"]
    lengths = [1] * (len(shape) - value.ndim) + list(value.shape)
    axes = [axis for axis, n in enumerate(lengths) if n > 1] or [1]
    backwards = name in ("div", "truediv", "itruediv") and first
    if len(axes) != 1 or axes[0] == 0 or value.ndim > len(shape) or backwards or node.kwargs:
        return None
    values = value.reshape(-1).float().expand(shape[axes[0]])
    try:
        before, layer, after = builders.per_channel(shape, axes[0])
    except Refused:
        return None
    scale, shift = torch.ones_like(values), torch.zeros_like(values)
    if name in ("sub", "isub"):
        scale, shift = (-scale, values) if first else (scale, -values)
    elif name in SHIFTS:
        shift = values
    else:
        scale = values if name in ("mul", "imul") else 1 / values
    with torch.no_grad():
        weight: Any = layer.weight
        weight.copy_(scale.view(-1, *[1] * (weight.ndim - 1)))
        layer.bias.copy_(shift)  # type: ignore[operator]
    return [*before, layer, *after]


def _attribute(root: nn.Module, path: str) -> Tensor:
    owner, _, last = path.rpartition(".")
    value: Tensor = getattr(root.get_submodule(owner), last)
    return value


def tensors(node: fx.Node) -> list[fx.Node]:
    """List the tensors that a node takes, in order; one that it takes twice stands there twice."""
    found: list[fx.Node] = []

    def note(source: fx.Node) -> fx.Node:
        found.append(source)
        return source

    fx.map_arg((node.args, node.kwargs), note)
    return [source for source in found if "shape" in source.meta]


def _given(node: fx.Node, *names: str) -> dict[str, Any]:
    """Return the arguments after the input by name, given by name or by place.

    Numbers that the forward computed (of shapes) are those that it computed for the example.
    """
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: n.meta.get("value", n))
    keywords = {key: value for key, value in kwargs.items() if key in names}
    return dict(zip(names, args[1:], strict=False)) | keywords


def _module(kind: Callable[..., nn.Module], *names: str) -> Builder:
    """Build a module of a function's arguments, without those that are not named."""
    return lambda node: kind(**_given(node, *names))


def _clamp(node: fx.Node) -> nn.Module | None:
    given = _given(node, "min", "max")
    return builders.clamp(given.get("min"), given.get("max"))


def _reshape(node: fx.Node) -> nn.Module | None:
    return Reshape(node.meta["shape"][1:])  # the caller checks the batch


def _part(node: fx.Node) -> nn.Module | None:
    """Build indexing that keeps all values in their order: it adds or drops axes of length 1."""
    index = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    plain = all(i is None or i is Ellipsis or isinstance(i, (int, slice)) for i in index)
    sizes = [math.prod(n.meta["shape"]) for n in (*tensors(node), node)]
    return _reshape(node) if plain and len(set(sizes)) == 1 else None


def _permute(node: fx.Node) -> nn.Module | None:
    dims: Any = node.args[1:] or (node.kwargs["dims"],)
    return builders.permute(dims[0] if isinstance(dims[0], (tuple, list)) else dims)


def _transpose(node: fx.Node) -> nn.Module | None:
    first, second = _given(node, "dim0", "dim1").values()
    axes = list(range(len(node.meta["shape"])))
    axes[first], axes[second] = axes[second], axes[first]
    return builders.permute(axes)


def _mean(node: fx.Node) -> nn.Module | None:
    given = _given(node, "dim", "keepdim")
    dims: Any = given.get("dim", ())
    axes = (dims,) if isinstance(dims, int) else dims
    return builders.mean(len(tensors(node)[0].meta["shape"]), axes, given.get("keepdim", False))


def _sum(sign: float) -> Builder:
    def build(node: fx.Node) -> nn.Module | None:
        alpha: Any = node.kwargs.get("alpha", 1.0)
        return builders.weighted_sum(1, sign * alpha) if len(tensors(node)) == 2 else None

    return build


def _multiply(node: fx.Node) -> nn.Module | None:
    factors = [value for value in node.args if isinstance(value, (int, float))]
    return builders.weighted_sum(factors[0]) if factors else None


def _divide(node: fx.Node) -> nn.Module | None:
    divisor = node.args[-1]
    if not isinstance(divisor, (int, float)) or divisor == 0:
        return None
    return builders.weighted_sum(1 / divisor)


def _upsample(node: fx.Node) -> nn.Module | None:
    given = _given(node, "size", "scale_factor", "mode")
    if given.get("mode", "nearest") != "nearest":
        return None
    size, factor = given.get("size"), given.get("scale_factor")
    return nn.Upsample(size, factor, "nearest")


def _concatenate(node: fx.Node) -> nn.Module | None:
    axis: Any = _given(node, "dim").get("dim", node.kwargs.get("axis", 0))
    return builders.concatenate(len(node.meta["shape"]), axis)


def _pad(node: fx.Node) -> nn.Module | None:
    given = _given(node, "pad", "mode", "value")
    if given.get("mode", "constant") != "constant" or given.get("value"):
        return None
    return builders.zero_pad(given["pad"])


WINDOW = ("kernel_size", "stride", "padding")
POOL_ARGUMENTS = {
    "avg_pool": (*WINDOW, "ceil_mode", "count_include_pad", "divisor_override"),
    "max_pool": (*WINDOW, "dilation", "ceil_mode", "return_indices"),
    "adaptive_avg_pool": ("output_size",),
    "adaptive_max_pool": ("output_size",),
}
BUILDERS: dict[str, Builder] = {
    "relu": lambda node: nn.ReLU(),
    "relu6": lambda node: nn.ReLU6(),
    "hardtanh": _module(nn.Hardtanh, "min_val", "max_val"),
    **dict.fromkeys(("clamp", "clip", "clamp_min"), _clamp),
    **{kind.__name__.lower(): _module(kind, "p") for kind in DROPOUTS},
    **{
        f"{name}{axes}d": _module(kind, *arguments)
        for name, arguments in POOL_ARGUMENTS.items()
        for axes, kind in enumerate(BY_AXES[name], start=1)
    },
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"), _reshape),
    "getitem": _part,
    **dict.fromkeys(("contiguous", "clone"), lambda node: nn.Identity()),
    "permute": _permute,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    "mean": _mean,
    **dict.fromkeys(("add", "iadd"), _sum(1)),
    **dict.fromkeys(("sub", "isub"), _sum(-1)),
    **dict.fromkeys(("mul", "imul"), _multiply),
    **dict.fromkeys(("truediv", "itruediv", "div"), _divide),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concatenate),
    "pad": _pad,
    **dict.fromkeys(("interpolate", "upsample", "upsample_nearest"), _upsample),
}
"""By the plain name of a function, operator or method."""
