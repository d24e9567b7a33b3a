"""Rectifiers and clips that a forward writes with comparisons, such as `torch.where(x < 0, 0, x)`.

A node that is computed of one tensor by operations on each value is a function of a number. It is a
ReLU, plain or clipped, where it is one at every number that matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from snnquant.nn.builders import clamp
from snnquant.nn.tracing import operation

ENDS = ("where", "maximum", "minimum", "max", "min", "mul", "imul", "truediv", "div", "threshold")
"""Operations that may end a rectifier."""
INSIDE = (
    *("lt", "gt", "le", "ge", "zeros_like", "ones_like", "full_like", "abs", "float", "to"),
    *("add", "sub", "neg", "type_as", "bool", "logical_not", "relu", *ENDS),
)
"""Operations on each value of a tensor that may stand within one."""
FAR = 1e6


@dataclass(frozen=True, eq=False)
class Clip:
    """A rectifier: the node that it takes, the nodes within it, and the layer that computes it."""

    source: fx.Node
    inside: frozenset[fx.Node]
    layer: nn.Module


def find_clips(graph: fx.Graph) -> dict[fx.Node, Clip]:
    """Return the nodes of a traced graph that end a rectifier, each with what it computes."""
    clips: dict[fx.Node, Clip] = {}
    hidden: set[fx.Node] = set()
    for node in reversed(list(graph.nodes)):
        if node in hidden or operation(node) not in ENDS or "shape" not in node.meta:
            continue
        clip = _clip(node)
        if clip is not None:
            clips[node] = clip
            hidden |= clip.inside
    return clips


def _clip(end: fx.Node) -> Clip | None:
    inside, sources = _ancestry(end)
    if len(sources) != 1 or not (inside or operation(end) in ("threshold", "maximum", "max")):
        return None
    (source,) = sources
    private = all(user in inside or user is end for node in inside for user in node.users)
    if not private or source.meta.get("shape") != end.meta["shape"]:
        return None
    try:
        limit = _limit(end, source)
    except Exception:  # an operation that takes other arguments than values
        return None
    if limit is None:
        return None
    return Clip(source, frozenset(inside), clamp(0, None if math.isinf(limit) else limit))


def _ancestry(end: fx.Node) -> tuple[set[fx.Node], set[fx.Node]]:
    """Return the nodes of operations on values that lead to a node, and the tensors they take."""
    inside: set[fx.Node] = set()
    sources: set[fx.Node] = set()
    waiting = list(end.all_input_nodes)
    while waiting:
        node = waiting.pop()
        if operation(node) not in INSIDE or operation(node) == "relu":
            if "shape" in node.meta:
                sources.add(node)
        elif node not in inside:
            inside.add(node)
            waiting += node.all_input_nodes
    return inside, sources


def _limit(end: fx.Node, source: fx.Node) -> float | None:
    """Return the value at which a rectifier clips, infinity for none; None for other functions."""
    top = float(_value(end, source, torch.tensor([FAR], dtype=torch.float64))[0])
    limit = math.inf if top == FAR else top
    span = 10.0 if math.isinf(limit) else 2 * limit
    steps = torch.linspace(-span, span, 2001, dtype=torch.float64)
    numbers = torch.cat([steps, torch.tensor([-FAR, FAR], dtype=torch.float64)])
    expected = numbers.clamp(0, limit)
    return limit if limit > 0 and torch.allclose(_value(end, source, numbers), expected) else None


def _value(node: fx.Node, source: fx.Node, numbers: Tensor) -> Tensor:
    """Compute a node for each of the numbers as the values of its source."""
    if node is source:
        return numbers

    def of(other: fx.Node) -> Any:
        return _value(other, source, numbers) if "value" not in other.meta else other.meta["value"]

    args, kwargs = fx.map_arg((node.args, node.kwargs), of)
    if node.op == "call_method":
        result = getattr(args[0], str(node.target))(*args[1:], **kwargs)
    else:
        result = node.target(*args, **kwargs)  # type: ignore[operator]
    if isinstance(result, Tensor) and result.is_floating_point():
        result = result.to(torch.float64)
    return result  # type: ignore[no-any-return]
