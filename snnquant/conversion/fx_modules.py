"""Functions and methods of a user's forward as the modules that do the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import fx, nn

from snnquant.conversion.tracing import operation
from snnquant.nn.wiring import Concatenate, Mean, Permute, Reshape, WeightedSum

Builder = Callable[[fx.Node], nn.Module | None]


def as_module(node: fx.Node, root: nn.Module) -> tuple[str, nn.Module | None]:
    """What a node is called, and a module that computes it; None where there is no such module.

    Shapes are those in meta["shape"] (see `tracing.add_shapes`).
    """
    if node.op == "call_module":
        layer = root.get_submodule(str(node.target))
        return type(layer).__name__, layer
    name = "parameter" if node.op == "get_attr" else operation(node)
    build = BUILDERS.get(name)
    return name, build(node) if build and "shape" in node.meta else None


def tensors(node: fx.Node) -> list[fx.Node]:
    """The tensors that a node takes, in order; one that it takes twice stands there twice."""
    found: list[fx.Node] = []

    def note(source: fx.Node) -> fx.Node:
        found.append(source)
        return source

    fx.map_arg((node.args, node.kwargs), note)
    return [source for source in found if "shape" in source.meta]


def _given(node: fx.Node, *names: str) -> dict[str, Any]:
    """Arguments behind the input, by name, whether they were given by name or by place.

    Numbers that the forward computed (of shapes) are those that it computed for the example.
    """
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: n.meta.get("value", n))
    keywords = {key: value for key, value in kwargs.items() if key in names}
    return dict(zip(names, args[1:], strict=False)) | keywords


def _module(kind: Callable[..., nn.Module], *names: str) -> Builder:
    """A module that takes the function's arguments, but for those that are left out."""
    return lambda node: kind(**_given(node, *names))


def _clamp(node: fx.Node) -> nn.Module | None:
    given = _given(node, "min", "max")
    low, high = given.get("min"), given.get("max")
    if low is None:
        return None
    return nn.Hardtanh(low, math.inf if high is None else high)


def _hardtanh(node: fx.Node) -> nn.Module | None:
    return nn.Hardtanh(**_given(node, "min_val", "max_val"))


def _reshape(node: fx.Node) -> nn.Module | None:
    return Reshape(node.meta["shape"][1:])


def _part(node: fx.Node) -> nn.Module | None:
    """Indexing that takes nothing away and reorders nothing: it adds or drops axes of length 1."""
    index = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    plain = all(i is None or i is Ellipsis or isinstance(i, (int, slice)) for i in index)
    sizes = [math.prod(n.meta["shape"]) for n in (*tensors(node), node)]
    return _reshape(node) if plain and len(set(sizes)) == 1 else None


def _permute(node: fx.Node) -> nn.Module | None:
    dims: Any = node.args[1:] or (node.kwargs["dims"],)
    axes = dims[0] if isinstance(dims[0], (tuple, list)) else dims
    return _in_order([axis % len(axes) for axis in axes])


def _transpose(node: fx.Node) -> nn.Module | None:
    first, second = _given(node, "dim0", "dim1").values()
    axes = list(range(len(node.meta["shape"])))
    axes[first], axes[second] = axes[second], axes[first]
    return _in_order(axes)


def _in_order(axes: list[int]) -> nn.Module | None:
    return Permute(axes) if axes[0] == 0 else None


def _mean(node: fx.Node) -> nn.Module | None:
    given = _given(node, "dim", "keepdim")
    dims: Any = given.get("dim", ())
    ndim = len(tensors(node)[0].meta["shape"])
    axes = sorted(dim % ndim for dim in ((dims,) if isinstance(dims, int) else dims))
    if not axes or 0 in axes:
        return None
    return Mean(axes, given.get("keepdim", False))


def _sum(sign: float) -> Builder:
    def build(node: fx.Node) -> nn.Module | None:
        if len(tensors(node)) != 2:
            return None
        alpha: Any = node.kwargs.get("alpha", 1.0)
        return WeightedSum([1.0, sign * float(alpha)])

    return build


def _multiply(node: fx.Node) -> nn.Module | None:
    factors = [value for value in node.args if isinstance(value, (int, float))]
    return WeightedSum([float(factors[0])]) if factors else None


def _divide(node: fx.Node) -> nn.Module | None:
    divisor = node.args[-1]
    return WeightedSum([1 / divisor]) if isinstance(divisor, (int, float)) and divisor else None


def _concatenate(node: fx.Node) -> nn.Module | None:
    axis: Any = _given(node, "dim").get("dim", node.kwargs.get("axis", 0))
    axis %= len(node.meta["shape"])
    return Concatenate(axis) if axis else None


def _pad(node: fx.Node) -> nn.Module | None:
    given = _given(node, "pad", "mode", "value")
    if given.get("mode", "constant") != "constant" or given.get("value"):
        return None
    layer = nn.ZeroPad3d(0)
    layer.padding = tuple(given["pad"])  # any number of axes, as the function takes them
    return layer


POOL = ("kernel_size", "stride", "padding")
DROP = ("p",)
BUILDERS: dict[str, Builder] = {
    "relu": lambda node: nn.ReLU(),
    "relu6": lambda node: nn.ReLU6(),
    "hardtanh": _hardtanh,
    **dict.fromkeys(("clamp", "clip", "clamp_min"), _clamp),
    "dropout": _module(nn.Dropout, *DROP),
    "dropout1d": _module(nn.Dropout1d, *DROP),
    "dropout2d": _module(nn.Dropout2d, *DROP),
    "dropout3d": _module(nn.Dropout3d, *DROP),
    "avg_pool1d": _module(nn.AvgPool1d, *POOL, "ceil_mode", "count_include_pad"),
    **{
        f"avg_pool{n}d": _module(kind, *POOL, "ceil_mode", "count_include_pad", "divisor_override")
        for n, kind in ((2, nn.AvgPool2d), (3, nn.AvgPool3d))
    },
    **{
        f"max_pool{n}d": _module(kind, *POOL, "dilation", "ceil_mode", "return_indices")
        for n, kind in ((1, nn.MaxPool1d), (2, nn.MaxPool2d), (3, nn.MaxPool3d))
    },
    "adaptive_avg_pool1d": _module(nn.AdaptiveAvgPool1d, "output_size"),
    "adaptive_avg_pool2d": _module(nn.AdaptiveAvgPool2d, "output_size"),
    "adaptive_avg_pool3d": _module(nn.AdaptiveAvgPool3d, "output_size"),
    "adaptive_max_pool1d": _module(nn.AdaptiveMaxPool1d, "output_size"),
    "adaptive_max_pool2d": _module(nn.AdaptiveMaxPool2d, "output_size"),
    "adaptive_max_pool3d": _module(nn.AdaptiveMaxPool3d, "output_size"),
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"), _reshape),
    "getitem": _part,
    **dict.fromkeys(("contiguous", "clone"), lambda node: nn.Identity()),
    "permute": _permute,
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    "mean": _mean,
    **dict.fromkeys(("add", "iadd"), _sum(1.0)),
    **dict.fromkeys(("sub", "isub"), _sum(-1.0)),
    **dict.fromkeys(("mul", "imul"), _multiply),
    **dict.fromkeys(("truediv", "itruediv", "div"), _divide),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concatenate),
    "pad": _pad,
}
"""By the plain name of the function, operator or method."""
