"""A CNN that was trained elsewhere becomes the CNN of a run."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from snnquant.conversion import fold_batch_norm
from snnquant.conversion.rewriting import Match, rewrite
from snnquant.errors import InputError
from snnquant.files import replacing
from snnquant.models import GraphNetwork, build_model, require_convertible
from snnquant.models.user_code import LAYOUTS, Reshaped, build_from_code
from snnquant.run import CHECKPOINTS, Run
from snnquant.training import (
    is_checkpoint,
    load_checkpoint,
    load_matching,
    load_state_dict,
    save_checkpoint,
)

UNKNOWN = (
    "its training pixels and normalisation are unknown: this run's training statistics are used, "
    "and this run's test pixels may be among the CNN's training pixels"
)


def adopt_cnn(run: Run, file: Path, *, trust_code: bool = False) -> list[str]:
    """Take a CNN trained elsewhere into the run: a snnquant checkpoint or a state dict.

    Returns what the user should know about it. A state dict (PyTorch's or safetensors) must fit the
    run's model, with or without its batch norms and under whatever names: see `load_matching`,
    whose map goes to key_map.json. Where the model is FILE.py:CLASS, that file is run, with
    `trust_code` alone, and what its class computes is stored with the weights.
    Raises InputError where the file is no CNN for this run; nothing is written then.
    """
    if run.config.model.is_code and not trust_code:
        raise InputError(
            f"--architecture {run.config.model.name}: its code would be run, expected --trust-code "
            "if you know what it does"
        )
    require_convertible(run.config.model)
    if file.suffix == ".onnx":
        raise InputError(f"{file}: found an ONNX file, expected a PyTorch or safetensors one")
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
    content = key_map.to_dict()
    if run.config.model.is_code:
        network, layout, matches = _as_graph(run, network)
        remarks.append(f"takes patches as [{layout}]")
        content["operations"] = [asdict(match) for match in matches]
    run.write()
    with replacing(run.path / "key_map.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    run.save(
        "cnn_fp32", fold_batch_norm(network) if isinstance(network, nn.Sequential) else network
    )
    return [*remarks, *key_map.lines(), UNKNOWN]


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


def _as_graph(run: Run, network: nn.Module) -> tuple[GraphNetwork, str, list[Match]]:
    """What a network of the user's own computes, as data; the layout of patches that it takes.

    And what was made of each of its operations.
    """
    example = run.patches.gather(run.split.train[:3])
    classes = run.scene.classes
    refusals = []
    for layout in LAYOUTS if run.config.model.window == 1 else list(LAYOUTS)[:2]:
        candidate = Reshaped(network, layout).eval()
        try:
            with torch.no_grad():
                shape = tuple(candidate(example).shape)
        except Exception as error:  # whatever the user's forward says about a wrong shape
            refusals.append(f"[{layout}]: {' '.join(str(error).split())}")
            continue
        if shape != (len(example), classes):
            refusals.append(f"[{layout}]: an output of shape {shape}")
            continue
        twin, matches = rewrite(candidate, example)
        inputs = {name: node.inputs for name, node in twin.nodes.items() if node.inputs}
        return GraphNetwork(dict(twin.layers.named_children()), inputs).eval(), layout, matches
    raise InputError(
        f"--architecture {run.config.model.name}: does not give {classes} logits a patch of shape "
        f"{tuple(example.shape[1:])} ({'; '.join(refusals)})"
    )
