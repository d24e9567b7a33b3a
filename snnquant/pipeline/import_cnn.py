"""CNNs trained elsewhere, imported as the CNN of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.checkpoints import is_checkpoint, load_checkpoint, save_checkpoint
from snnquant.config import ModelConfig, RunConfig
from snnquant.conversion import fold_batch_norm
from snnquant.conversion.rewriting import rewrite
from snnquant.errors import InputError
from snnquant.importers import KeyMap, load_matching
from snnquant.importers.input_scaling import REMARK as SCALED
from snnquant.importers.input_scaling import fold_input_scaling
from snnquant.importers.layouts import (
    described,
    fits,
    layout_of,
    layouts_for,
    listed,
    sample_shape,
    windows_in,
)
from snnquant.importers.onnx.reader import read_onnx
from snnquant.importers.state_dict import read_weights
from snnquant.importers.unlabelled import REMARK, without_first_output, without_first_rows
from snnquant.importers.user_code import build_from_code
from snnquant.importers.widths import widths_in
from snnquant.io import one_line, write_json
from snnquant.models import build_model, require_convertible
from snnquant.nn import INPUT, GraphNetwork
from snnquant.nn.wiring import Reshaped
from snnquant.pipeline.import_choice import Candidate, choose
from snnquant.pipeline.run import Run
from snnquant.stored_networks import Network

UNKNOWN = (
    "its training pixels and normalisation are unknown: this run's training statistics are used, "
    "and this run's test pixels may be among the CNN's training pixels"
)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Settings for reading a CNN that the file does not hold."""

    trust_code: bool = False
    """Execute the file of a model FILE.py:CLASS."""
    layout: str | None = None
    """Layout of the patches, such as "N,1,h,w,B"; by default the one that fits best."""
    logits: int | None = None
    """Place of the logits where the CNN returns several tensors, from 0."""


DEFAULT = Reading()
SHOWN = 3
"""Layouts of which a message says why they do not fit."""


def import_cnn(run: Run, file: Path, reading: Reading = DEFAULT) -> list[str]:
    """Import a trained CNN into a new run: a snnquant checkpoint, a state dict or an ONNX file.

    A state dict (PyTorch's or safetensors) must fit the run's model, with or without its batch
    norms and under whatever names: see `load_matching`, whose map is written to key_map.json. If
    the model is FILE.py:CLASS, that file is executed, only where that is trusted, and the graph
    that its class computes is stored with the weights. `fitted_config` makes the options of a run
    for a file that holds the network too. Layout and scaling of the pixels are those with which the
    CNN is right most often on validation pixels, see `import_choice`.

    Args:
        run: A run without networks.
        file: File of the CNN.
        reading: Settings for reading it.

    Returns:
        Remarks for the user, such as that its training pixels are unknown.

    Raises:
        InputError: If the file holds no CNN for this run; nothing is written then.

    >>> from tempfile import TemporaryDirectory
    >>> config = RunConfig(scene="synthetic:24x24x16", model=ModelConfig(widths=(2, 2)))
    >>> with TemporaryDirectory() as folder:
    ...     run = Run.create(config, Path(folder) / "run")
    ...     cnn = build_model(config.model, run.scene.bands, run.scene.classes)
    ...     torch.save(cnn.state_dict(), Path(folder) / "cnn.pt")
    ...     remarks = import_cnn(run, Path(folder) / "cnn.pt")
    ...     run.has("cnn_fp32")
    True
    """
    if run.refits:  # a CNN of elsewhere cannot be trained without the validation blocks
        vars(run).pop("split", None)
        run.take(replace(run.config, split=replace(run.config.split, refit=False)))
    model = run.config.model
    if model.is_code and not reading.trust_code:
        raise InputError(
            f"--architecture {model.name}: its code would be executed, expected "
            "--trust-code if you know what it does"
        )
    require_convertible(model)
    if file.suffix == ".onnx":
        return _import_onnx(run, file, reading)
    if is_checkpoint(file):
        return _import_checkpoint(run, file)
    state, remarks = read_weights(file)
    # safetensors sorts the names
    ordered = file.suffix != ".safetensors"
    network, key_map, more = _with_weights(run, file, state, ordered)
    remarks += more
    if model.is_code:
        layouts = _layouts(reading, model.window)
        try:
            graph, found = _as_graph(run, dict.fromkeys(layouts, lambda: network), reading)
        except _NoLogits as error:
            raise InputError(f"--architecture {model.name}: {error}") from None
        network, more = graph.network, graph.remarks
        _save(run, network, key_map.to_dict() | found)
        return [*remarks, *more, *key_map.lines(), UNKNOWN]
    network = fold_batch_norm(network)
    outputs = run.scene.classes
    candidate = Candidate("N, 1, bands, window, window", network.eval(), outputs)
    _, normalisation, (_, *more) = choose(run, [candidate])
    run.use(normalisation)
    _save(run, network, key_map.to_dict())
    return [*remarks, *more, *key_map.lines(), UNKNOWN]


def fitted_config(config: RunConfig, file: Path) -> RunConfig:
    """Return the options of a run for a CNN's file: of an ONNX file its network and window.

    Of weights for a network of the package it is their widths, where these differ.

    Args:
        config: The other options.
        file: The file.

    Raises:
        InputError: If the file cannot be read, its input is no patch, or `config` asks for another
            architecture or window.
    """
    model, default = config.model, ModelConfig()
    if file.suffix != ".onnx":
        if model.is_own or model.widths is not None or is_checkpoint(file):
            return config
        widths = widths_in(model, read_weights(file)[0])
        if widths is None:
            return config
        print(f"{file}: --widths {' '.join(map(str, widths))}, as its weights", file=sys.stderr)
        return replace(config, model=replace(model, widths=widths))
    if model.name != default.name or model.widths is not None:
        raise InputError(f"--architecture: found it beside {file}, expected none: the file has one")
    declared = read_onnx(file).shape
    sides = windows_in(declared)
    if not sides:
        found = f"found an input of {described(declared)}"
        raise InputError(f"{file}: {found}, expected one of {listed()}")
    window = next((side for side in sides if side is not None), model.window)
    if model.window not in (window, default.window):
        raise InputError(f"--window: found {model.window}, expected {window} as in {file}")
    try:
        return replace(config, model=replace(model, name=str(file), window=window))
    except InputError as error:  # an even window
        raise InputError(f"{file}: {error}") from None


def _layouts(reading: Reading, window: int) -> list[str]:
    if reading.layout is not None:
        return [layout_of(reading.layout, window)]
    return layouts_for(window)


def _import_onnx(run: Run, file: Path, reading: Reading) -> list[str]:
    cnn, model = read_onnx(file), run.config.model
    if model.name != str(file):
        raise InputError(f"{file}: found an ONNX file, expected weights of {model.name}")
    bands = model.inputs(run.scene.bands)
    pairs: dict[str, list[tuple[str, str]]] = {}

    def maker(layout: str, shape: tuple[int, ...]) -> Callable[[], nn.Module]:
        def make() -> nn.Module:
            network, pairs[layout] = cnn.network(shape)
            return network

        return make

    layouts = _layouts(reading, model.window)
    shapes = {layout: sample_shape(layout, bands, model.window) for layout in layouts}
    makers = {
        layout: maker(layout, shape) for layout, shape in shapes.items() if fits(shape, cnn.shape)
    }
    if not makers:
        found = f"found an input of {described(cnn.shape)}"
        expected = f"{bands} bands and a window of {model.window}, as {listed()}"
        raise InputError(f"{file}: {found}, expected {expected}")
    try:
        graph, operations = _as_graph(run, makers, reading)
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(file)) else f"{file}: {text}") from None
    key_map = KeyMap("graph", tuple(pairs[graph.layout])).to_dict()
    _save(run, graph.network, key_map | operations)
    return [*graph.remarks, UNKNOWN]


def _save(run: Run, network: nn.Module, key_map: dict[str, Any]) -> None:
    run.write()
    write_json(run.path / "key_map.json", key_map)
    run.save(Network.CNN_FP32, network)


def _import_checkpoint(run: Run, file: Path) -> list[str]:
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
    run.use(checkpoint.normalisation)
    on_grid = replace(checkpoint, normalisation=run.normalisation)
    save_checkpoint(run.file(Network.CNN_FP32), on_grid)
    if checkpoint.split_digest == run.split.digest:
        return []
    return ["trained on another split: this run's test pixels may be its training pixels"]


def _with_weights(
    run: Run, file: Path, state: dict[str, Tensor], ordered: bool
) -> tuple[nn.Module, KeyMap, list[str]]:
    """Return the run's model with the weights of a file, with remarks on how it was built.

    Weights of a CNN with an output for unlabelled pixels are tried where they do not fit one
    without; of a network of the package that output is gone then.
    """
    model, classes = run.config.model, run.scene.classes
    network, remarks = _network(run, state, classes)
    try:
        return network, load_matching(network, state, ordered), remarks
    except InputError as error:
        try:
            wider, more = _network(run, state, classes + 1)
            key_map = load_matching(wider, state, ordered)
        except InputError:
            fit = f"weights do not fit model {model.name} with {classes} classes"
            raise InputError(f"{file}: {fit} ({error})") from None
    if model.is_code:
        return wider, key_map, more
    for name in key_map.absent:
        network.set_submodule(name, nn.Identity())
    network.load_state_dict(without_first_rows(wider.state_dict(), network.state_dict()))
    return network, key_map, [*more, REMARK.format(found=classes + 1, classes=classes)]


def _network(run: Run, state: dict[str, Tensor], classes: int) -> tuple[nn.Module, list[str]]:
    """Build the run's model without the weights, with remarks on how it was built."""
    model = run.config.model
    if not model.is_code:
        batch_norm = any(name.endswith("running_mean") for name in state)
        return build_model(model, run.scene.bands, classes, batch_norm=batch_norm), []
    if classes == run.scene.classes:
        print(f"{model.name}: its code is executed now (--trust-code)", file=sys.stderr)
    inputs = model.inputs(run.scene.bands)
    network, call = build_from_code(model.name, inputs, classes, model.window)
    return network, [f"built as {call}"]


class _NoLogits(InputError):
    """Raised for a network that takes patches in no layout; the message lacks its name."""


@dataclass(frozen=True, eq=False)
class _Graph:
    network: GraphNetwork
    layout: str
    remarks: list[str]


def _as_graph(
    run: Run, makers: Mapping[str, Callable[[], nn.Module]], reading: Reading
) -> tuple[_Graph, dict[str, Any]]:
    """Return a user's network as a graph with the scaling chosen, and its operations.

    The operations go to key_map.json. `makers` build the network for a layout.
    """
    example = run.patches.gather(run.split.train[:3]).cpu()
    classes = run.scene.classes
    candidates, refusals = _candidates(makers, example, classes, reading.logits)
    if not candidates:
        raise _NoLogits(
            f"does not give {classes} logits per patch of shape {tuple(example.shape[1:])}, or one "
            f"more for unlabelled pixels ({'; '.join(refusals)}); another layout (--layout) takes "
            "a class around it that permutes the axes"
        )
    candidate, normalisation, remarks = choose(run, candidates)
    reference, matches = rewrite(candidate.network, example)
    layers = dict(reference.layers.named_children())
    network = GraphNetwork(layers, reference.inputs).eval()
    patch = tuple(example.shape[1:])
    network, normalisation, gone = fold_input_scaling(network, normalisation, patch)
    if gone:
        remarks.append(SCALED)
        into = {"action": "folded", "layer": INPUT, "remark": "into the scaling of the pixels"}
        matches = [replace(match, **into) if match.layer in gone else match for match in matches]
    if candidate.outputs > classes:
        network = without_first_output(network, example)
        remarks.append(REMARK.format(found=classes + 1, classes=classes))
    run.use(normalisation)
    operations = {"operations": [asdict(match) for match in matches]}
    return _Graph(network, candidate.layout, remarks), operations


def _candidates(
    makers: Mapping[str, Callable[[], nn.Module]],
    example: Tensor,
    classes: int,
    logits: int | None,
) -> tuple[list[Candidate], list[str]]:
    """Return the layouts in which a network gives logits, and reasons against the others."""
    candidates, refusals, outputs = [], [], []
    for layout, make in makers.items():
        try:
            network = Reshaped(make(), layout, logits).eval()
            with torch.no_grad():
                output: Any = network(example)
        except InputError as error:
            if len(makers) == 1:
                raise
            refusals.append(str(error))
            continue
        except Exception as error:  # the user's forward may raise anything for a wrong shape
            refusals.append(f"[{layout}]: {one_line(error)}")
            continue
        shape = tuple(getattr(output, "shape", ()))
        if shape in ((len(example), classes), (len(example), classes + 1)):
            candidates.append(Candidate(layout, network, shape[1]))
        else:
            outputs.append(f"[{layout}]: {_found(output, len(example), classes)}")
    shown = (outputs or refusals)[:SHOWN]  # a layout in which it runs tells more
    return candidates, shown


def _found(output: Any, samples: int, classes: int) -> str:
    """Describe an output that is not one tensor of logits."""
    if isinstance(output, Tensor):
        return f"an output of shape {tuple(output.shape)}"
    kind = type(output).__name__
    if not isinstance(output, (tuple, list)):
        return f"found an output of type {kind}, expected one tensor of logits"
    shapes = [tuple(getattr(part, "shape", ())) for part in output]
    fitting = [i for i, s in enumerate(shapes) if s in ((samples, classes), (samples, classes + 1))]
    advice = f": --logits {fitting[0]} takes that of shape {shapes[fitting[0]]}" if fitting else ""
    listed_shapes = ", ".join(map(str, shapes))
    return f"found a {kind} of shapes {listed_shapes}, expected one tensor of logits{advice}"
