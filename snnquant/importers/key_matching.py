"""Matching of a state dict's tensors with a network's, by name or by shape and order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.checkpoints.checks import COUNTER
from snnquant.errors import InputError
from snnquant.nn.kinds import BATCH_NORMS

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""Prefixes that DataParallel, torch.compile and wrapping modules put before every name."""


@dataclass(frozen=True)
class KeyMap:
    """The tensors of a file that became a network's, and the network's tensors that it lacks.

    Attributes:
        by: `name`; `order` where names differ: equal shapes in equal order; or `graph` where the
            file holds the network as well.
        pairs: Pairs of (name in the file, name in the network).
        zeros: Biases that the file lacks, which became zero.
        absent: Batch norms that the file lacks, which were removed from the network.
        left_out: Tensors of the file beside the network, such as the weights of a loss.

    Example:
        >>> KeyMap("order", (("fc.weight", "classifier.weight"),), ("classifier.bias",)).lines()
        ['fc.weight is classifier.weight', 'classifier.bias is missing: set to zero']
    """

    by: str
    pairs: tuple[tuple[str, str], ...]
    zeros: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Describe pairs that differ by more than a prefix, and the tensors that are missing."""
        pairs = [pair for pair in self.pairs if not _unwrapped(pair[0]).endswith(pair[1])]
        lines = [f"{theirs} is {ours}" for theirs, ours in pairs]
        lines += [f"{ours} is missing: set to zero" for ours in self.zeros]
        lines += [f"{ours} is missing: left out" for ours in self.absent]
        if self.left_out:
            more = f" and {len(self.left_out) - 3} more" if len(self.left_out) > 3 else ""
            lines.append(f"left out, beside the network: {', '.join(self.left_out[:3])}{more}")
        return lines


@dataclass
class _Layer:
    """The tensors of one module by their last name, such as weight."""

    name: str
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def shapes(self) -> tuple[object, ...]:
        """Shapes that must be equal for two layers to match; a bias may be missing."""
        named = sorted(self.tensors.items())
        return tuple((key, _essential(t)) for key, t in named if key != "bias")


def load_matching(network: nn.Module, state: Mapping[str, Tensor], ordered: bool) -> KeyMap:
    """Copy a state dict into a network, as float32, whatever its names are.

    Names are tried as they are, below any prefix and without the parts that wrapping modules put
    in; then layers are matched by their shapes, and those of equal shape by their order. Shapes
    are equal up to ones at their end, so that a kernel along one dimension fits either way of
    writing it.

    Args:
        network: The network, which is changed in place.
        state: The tensors by name.
        ordered: Whether the file keeps the order of its tensors. Where it does not, layers of equal
            shape are matched only if their names differ by a number.

    Returns:
        The pairs of names, and the tensors that the state dict lacks.

    Raises:
        InputError: Without a file's name, where the two do not match; `network` is not changed.

    Example:
        >>> from collections import OrderedDict
        >>> import torch
        >>> from torch import nn
        >>> from snnquant.importers import load_matching
        >>> network = nn.Sequential(OrderedDict(hidden=nn.Linear(4, 3), classifier=nn.Linear(3, 2)))
        >>> state = {
        ...     "fc1.weight": torch.ones(3, 4),
        ...     "fc1.bias": torch.ones(3),
        ...     "fc2.weight": torch.ones(2, 3),
        ...     "fc2.bias": torch.ones(2),
        ... }
        >>> load_matching(network, state, ordered=True).pairs[2]
        ('fc2.weight', 'classifier.weight')
        >>> network.classifier.weight.sum().item()
        6.0
    """
    names, left_out = _names_within(state, network)
    theirs = _layers({name: state[old] for name, old in names.items()})
    ours = _layers(network.state_dict())
    by_name = {layer.name for layer in theirs} == {layer.name for layer in ours}
    if by_name:
        mine = {layer.name: layer for layer in ours}
        couples = [(layer, mine[layer.name]) for layer in theirs]
    else:
        couples = _by_shape(theirs, ours, ordered)
    matched = {id(ours_of) for _, ours_of in couples}
    norms = {name for name, module in network.named_modules() if isinstance(module, BATCH_NORMS)}
    absent = [layer.name for layer in ours if id(layer) not in matched and layer.name in norms]
    unused = {id(layer) for layer in theirs} - {id(layer) for layer, _ in couples}
    missing = [layer for layer in ours if id(layer) not in matched and layer.name not in norms]
    if missing or unused:
        unexpected = [layer for layer in theirs if id(layer) in unused]
        raise InputError(f"missing {_listed(missing)}; unexpected {_listed(unexpected)}")
    pairs, zeros = _copy(couples)
    for name in absent:
        network.set_submodule(name, nn.Identity())
    pairs = [(names[name], ours_of) for name, ours_of in pairs]
    by = "name" if by_name else "order"
    return KeyMap(by, tuple(pairs), tuple(zeros), tuple(absent), tuple(left_out))


def _names_within(
    state: Mapping[str, Tensor], network: nn.Module
) -> tuple[dict[str, str], list[str]]:
    """Return the file's names by what they are within the network, and those beside it."""
    ours = {name for name in network.state_dict() if not name.endswith(COUNTER)}
    heads = {name.partition(".")[0] for name in ours}
    beside = [
        name
        for name in state
        if LOSS.match(_unwrapped(name)) and name.partition(".")[0] not in heads
    ]
    kept = [name for name in state if name not in beside]
    for wrapped in (False, True):
        names = {_unwrapped(name) if wrapped else name: name for name in kept}
        prefix = _prefix_of(names, ours)
        if prefix is not None and len(names) == len(kept):
            inside = {n.removeprefix(prefix): o for n, o in names.items() if n.startswith(prefix)}
            return inside, beside + [o for n, o in names.items() if not n.startswith(prefix)]
    prefix = _common_prefix(kept, ours)
    return {name.removeprefix(prefix): name for name in kept}, beside


LOSS = re.compile(r"(\w*_)?(criterion|loss|loss_?fn|loss_?func\w*|metrics?)(_\w*)?\.")
"""Names of a training program's losses and metrics, whose tensors are no part of the network."""
WRAPPERS = ("module", "_orig_mod")


def _unwrapped(name: str) -> str:
    """Return a name without the parts that DataParallel and torch.compile put in."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _prefix_of(names: Iterable[str], ours: set[str]) -> str | None:
    """Find what stands before every name of the network in a file; None where one is missing."""
    found = set(names)
    needed = {name for name in ours if not name.endswith("bias")}
    if not needed:
        return None
    first = min(needed)
    for name in names:
        prefix = name[: len(name) - len(first)]
        if name != prefix + first or (prefix and not prefix.endswith(".")):
            continue
        if all(prefix + other in found for other in needed):
            return prefix
    return None


def _common_prefix(state: Iterable[str], ours: set[str]) -> str:
    """Find the longest run of `PREFIXES` before all names, without names of the network's own."""
    names, found = ours, ""
    while state and not any(name[len(found) :] in names for name in state):
        following = (p for p in PREFIXES if all(name.startswith(found + p) for name in state))
        prefix = next(following, None)
        if prefix is None:
            break
        found += prefix
    return found


def _layers(state: Mapping[str, Tensor]) -> list[_Layer]:
    layers: dict[str, _Layer] = {}
    for name, tensor in state.items():
        layer, _, last = name.rpartition(".")
        if last != COUNTER:
            layers.setdefault(layer, _Layer(layer)).tensors[last] = tensor
    return list(layers.values())


def _essential(tensor: Tensor) -> tuple[int, ...]:
    """Return a shape without the ones at its end."""
    shape = list(tensor.shape)
    while shape and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _by_shape(
    theirs: list[_Layer], ours: list[_Layer], ordered: bool
) -> list[tuple[_Layer, _Layer]]:
    """Match layers of equal shapes, in order; those of equal name and shapes come first."""
    names = {layer.name: layer for layer in ours}
    couples, rest = [], []
    for layer in theirs:
        same = names.get(layer.name)
        if same and same.shapes == layer.shapes:
            couples.append((layer, same))
            del names[layer.name]
        else:
            rest.append(layer)
    if not ordered:
        rest.sort(key=lambda layer: _natural(layer.name))
    waiting: dict[tuple[object, ...], list[_Layer]] = {}
    for layer in rest:
        waiting.setdefault(layer.shapes, []).append(layer)
    for layer in names.values():
        group = waiting.get(layer.shapes)
        if not group:
            continue
        if not ordered and len({re.sub(r"\d+", "", other.name) for other in group}) > 1:
            raise InputError(
                f"found {_listed(group)} of one shape in a format that keeps no order, expected "
                "the model's own names"
            )
        couples.append((group.pop(0), layer))
    return couples


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts conv10 after conv2."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


@torch.no_grad()
def _copy(couples: list[tuple[_Layer, _Layer]]) -> tuple[list[tuple[str, str]], list[str]]:
    """Copy the tensors of matched layers; return pairs of names, and the biases that were zeroed.

    Everything is compared before anything is copied.
    """
    pairs, zeros, copies = [], [], []
    for theirs, ours in couples:
        for last, tensor in ours.tensors.items():
            name = _joined(ours, last)
            found = theirs.tensors.get(last)
            if found is None and last == "bias":
                zeros.append(name)
                copies.append((tensor, torch.zeros(())))
                continue
            if found is None or _essential(found) != _essential(tensor):
                shape = "none" if found is None else tuple(found.shape)
                raise InputError(f"{name}: found {shape}, expected {tuple(tensor.shape)}")
            pairs.append((_joined(theirs, last), name))
            copies.append((tensor, found.reshape(tensor.shape)))
        more = [_joined(theirs, last) for last in theirs.tensors if last not in ours.tensors]
        if more:
            raise InputError(f"unexpected {more[0]}")
    for tensor, value in copies:
        tensor.copy_(value)
    return pairs, zeros


def _joined(layer: _Layer, last: str) -> str:
    return f"{layer.name}.{last}" if layer.name else last


def _listed(layers: Iterable[_Layer]) -> str:
    """Count the tensors and list the first three with their shapes."""
    names = [
        f"{_joined(layer, last)} {tuple(tensor.shape)}"
        for layer in layers
        for last, tensor in layer.tensors.items()
    ]
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} ({shown})" if names else "nothing"
