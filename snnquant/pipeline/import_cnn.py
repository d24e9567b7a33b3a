"""A CNN that was trained elsewhere becomes the CNN of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.checkpoints import is_checkpoint, load_checkpoint, save_checkpoint
from snnquant.config import ModelConfig, RunConfig
from snnquant.conversion import fold_batch_norm
from snnquant.conversion.rewriting import rewrite
from snnquant.errors import InputError
from snnquant.importers import KeyMap, load_matching, load_state_dict
from snnquant.importers.onnx.reader import read_onnx
from snnquant.importers.user_code import build_from_code
from snnquant.io import replacing
from snnquant.models import build_model, require_convertible
from snnquant.nn import GraphNetwork
from snnquant.nn.wiring import LAYOUTS, Reshaped
from snnquant.pipeline.run import CHECKPOINTS, Run

UNKNOWN = (
    "its training pixels and normalisation are unknown: this run's training statistics are used, "
    "and this run's test pixels may be among the CNN's training pixels"
)


def adopt_cnn(run: Run, file: Path, *, trust_code: bool = False) -> list[str]:
    """Take a CNN trained elsewhere into the run: a snnquant checkpoint or a state dict.

    Returns what the user should know about it. A state dict (PyTorch's or safetensors) must fit the
    run's model, with or without its batch norms and under whatever names: see `load_matching`,
    whose map goes to key_map.json. Where the model is FILE.py:CLASS, that file is run, with
    `trust_code` alone, and what its class computes is stored with the weights. An ONNX file holds
    the network too; `with_onnx` makes the options of its run.
    Raises InputError where the file is no CNN for this run; nothing is written then.
    """
    if run.config.model.is_code and not trust_code:
        raise InputError(
            f"--architecture {run.config.model.name}: its code would be run, expected --trust-code "
            "if you know what it does"
        )
    require_convertible(run.config.model)
    if file.suffix == ".onnx":
        return _adopt_onnx(run, file)
    if is_checkpoint(file):
        return _adopt_checkpoint(run, file)
    state = load_state_dict(file)
    network, remarks = _network(run, state)
    try:
        # safetensors sorts the names
        key_map = load_matching(network, state, ordered=file.suffix != ".safetensors")
    except InputError as error:
        raise InputError(
            f"{file}: weights do not fit model {run.config.model.name} ({error})"
        ) from None
    operations: dict[str, Any] = {}
    if run.config.model.is_code:
        layouts = list(LAYOUTS)[: 4 if run.config.model.window == 1 else 2]
        try:
            network, layout, operations = _as_graph(run, dict.fromkeys(layouts, lambda: network))
        except _NoLogits as error:
            raise InputError(f"--architecture {run.config.model.name}: {error}") from None
        remarks.append(f"takes patches as [{layout}]")
    elif isinstance(network, nn.Sequential):
        network = fold_batch_norm(network)
    _save(run, network, key_map.to_dict() | operations)
    return [*remarks, *key_map.lines(), UNKNOWN]


def with_onnx(config: RunConfig, file: Path) -> RunConfig:
    """The options of a run whose CNN, and whose window, are those of an ONNX file.

    Raises InputError where `read_onnx` does, for an input that is no patch, and where the options
    ask for another architecture or window.
    """
    model, default = config.model, ModelConfig()
    if model.name != default.name or model.widths is not None:
        raise InputError(f"--architecture: found it beside {file}, expected none: the file has one")
    declared = read_onnx(file).shape
    sides = [side for layout in LAYOUTS for side in _sides(layout, declared)]
    if not sides:
        found = f"found an input of {_described(declared)}"
        raise InputError(f"{file}: {found}, expected one of {_listed()}")
    window = next((side for side in sides if side is not None), model.window)
    if model.window not in (window, default.window):
        raise InputError(f"--window: found {model.window}, expected {window} as in {file}")
    try:
        return replace(config, model=replace(model, name=str(file), window=window))
    except InputError as error:  # an even window
        raise InputError(f"{file}: {error}") from None


def _adopt_onnx(run: Run, file: Path) -> list[str]:
    cnn, model = read_onnx(file), run.config.model
    if model.name != str(file):
        raise InputError(f"{file}: found an ONNX file, expected weights of {model.name}")
    bands = model.inputs(run.scene.bands)
    pairs: list[tuple[str, str]] = []

    def maker(shape: tuple[int, ...]) -> Callable[[], nn.Module]:
        def make() -> nn.Module:
            network, pairs[:] = cnn.network(shape)
            return network

        return make

    shapes = {layout: _sample(layout, bands, model.window) for layout in LAYOUTS}
    makers = {
        layout: maker(shape)
        for layout, shape in shapes.items()
        if (model.window == 1 or "window" in layout) and _fits(shape, cnn.shape)
    }
    if not makers:
        found = f"found an input of {_described(cnn.shape)}"
        expected = f"{bands} bands and a window of {model.window}, as {_listed()}"
        raise InputError(f"{file}: {found}, expected {expected}")
    try:
        network, layout, operations = _as_graph(run, makers)
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(file)) else f"{file}: {text}") from None
    _save(run, network, KeyMap("graph", tuple(pairs)).to_dict() | operations)
    return [f"takes patches as [{layout}]", UNKNOWN]


def _sample(layout: str, bands: int, window: int) -> tuple[int, ...]:
    """Shape of a patch in a layout, without the batch."""
    patch = torch.empty(1, 1, bands, window, window, device="meta")
    return tuple(LAYOUTS[layout]()(patch).shape[1:])


def _fits(shape: tuple[int, ...], declared: tuple[int | None, ...]) -> bool:
    """Whether a file that declares a shape, None for what may be any length, takes another."""
    pairs = zip(shape, declared, strict=False)
    return len(shape) == len(declared) and all(theirs in (None, own) for own, theirs in pairs)


def _sides(layout: str, declared: tuple[int | None, ...]) -> list[int | None]:
    """The window of an input in a layout, None for any; nothing where it cannot be in this one."""
    bands, window = 10007, 101 if "window" in layout else 1  # not found by chance
    shape = _sample(layout, bands, window)
    sides = {d for s, d in zip(shape, declared, strict=False) if s == window} - {None}
    likely = tuple(d if s == 1 else None for s, d in zip(shape, declared, strict=False))
    if len(shape) != len(declared) or len(sides) > 1 or not _fits(shape, likely):
        return []
    return [1 if window == 1 else next(iter(sides), None)]


def _described(declared: tuple[int | None, ...]) -> str:
    lengths = ["any" if length is None else str(length) for length in declared]
    return f"[N, {', '.join(lengths)}]"


def _listed() -> str:
    return "; ".join(f"[{layout}]" for layout in LAYOUTS)


def _save(run: Run, network: nn.Module, key_map: dict[str, Any]) -> None:
    run.write()
    with replacing(run.path / "key_map.json") as temporary:
        temporary.write_text(json.dumps(key_map, indent=2) + "\n", encoding="utf-8")
    run.save("cnn_fp32", network)


def _adopt_checkpoint(run: Run, file: Path) -> list[str]:
    checkpoint = load_checkpoint(file)
    if checkpoint.neuron or checkpoint.quantization:
        raise InputError(f"{file}: found an SNN or a quantized CNN, expected a 32-bit CNN")
    if checkpoint.model != run.config.model:
        raise InputError(f"{file}: found {checkpoint.model}, expected {run.config.model}")
    bands, classes = run.scene.bands, run.scene.classes
    if (checkpoint.bands, checkpoint.classes) != (bands, classes):
        found = f"found {checkpoint.bands} bands and {checkpoint.classes} classes"
        raise InputError(f"{file}: {found}, expected {bands} and {classes} as in the scene")
    run.write()
    save_checkpoint(run.path / CHECKPOINTS["cnn_fp32"], checkpoint)
    if checkpoint.split_digest == run.split.digest:
        return []
    return ["trained on another split: this run's test pixels may be its training pixels"]


def _network(run: Run, state: dict[str, Tensor]) -> tuple[nn.Module, list[str]]:
    """The run's model without the weights, and how it was made."""
    model = run.config.model
    if not model.is_code:
        batch_norm = any(name.endswith("running_mean") for name in state)
        shape = (run.scene.bands, run.scene.classes)
        return build_model(model, *shape, batch_norm=batch_norm), []
    print(f"{model.name}: its code is run now (--trust-code)", file=sys.stderr)
    inputs = model.inputs(run.scene.bands)
    network, call = build_from_code(model.name, inputs, run.scene.classes, model.window)
    return network, [f"made as {call}"]


class _NoLogits(InputError):
    """A network that takes patches in no layout; the message lacks its name."""


def _as_graph(
    run: Run, makers: Mapping[str, Callable[[], nn.Module]]
) -> tuple[GraphNetwork, str, dict[str, Any]]:
    """What a network of the user's own computes, as data; the layout of patches that it takes.

    And what was made of each of its operations, for key_map.json. `makers` give the network for a
    layout.
    """
    example = run.patches.gather(run.split.train[:3]).cpu()
    classes = run.scene.classes
    refusals = []
    for layout, make in makers.items():
        try:
            candidate = Reshaped(make(), layout).eval()
            with torch.no_grad():
                shape = tuple(candidate(example).shape)
        except InputError as error:
            if len(makers) == 1:
                raise
            refusals.append(str(error))
            continue
        except Exception as error:  # whatever the user's forward says about a wrong shape
            refusals.append(f"[{layout}]: {' '.join(str(error).split())}")
            continue
        if shape != (len(example), classes):
            refusals.append(f"[{layout}]: an output of shape {shape}")
            continue
        reference, matches = rewrite(candidate, example)
        layers = dict(reference.layers.named_children())
        network = GraphNetwork(layers, reference.inputs).eval()
        return network, layout, {"operations": [asdict(match) for match in matches]}
    raise _NoLogits(
        f"does not give {classes} logits a patch of shape {tuple(example.shape[1:])} "
        f"({'; '.join(refusals)})"
    )
