"""A trained network with everything needed to use it on the scene that it was trained for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from snnquant.checkpoints.checks import regular_file_size, require_numbers
from snnquant.checkpoints.tensorfile import read_tensors, write_tensors
from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.nn import build_graph, parameter_count
from snnquant.quantization import quantize
from snnquant.sampling import Normalisation

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network and what it was made from; `neuron` is None for a CNN, `quantization` for float.

    `graph` describes the CNN where its model is the user's own: see `GraphNetwork.describe`.
    """

    network: nn.Module
    model: ModelConfig
    bands: int
    classes: int
    normalisation: Normalisation
    scene_digest: str
    split_digest: str
    quantization: QuantizationConfig | None = None
    neuron: NeuronConfig | None = None
    graph: list[dict[str, Any]] | None = None

    @property
    def bits(self) -> int | None:
        """Bits of a weight; None for floating point."""
        return self.quantization.bits if self.quantization else None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as safetensors with a JSON header, whole or not at all."""
    header: dict[str, Any] = {"format": FORMAT, "what": "checkpoint"}
    for name in ("model", "quantization", "neuron"):
        config = getattr(checkpoint, name)
        header[name] = None if config is None else asdict(config)
    for name in ("bands", "classes", "scene_digest", "split_digest"):
        header[name] = getattr(checkpoint, name)
    if checkpoint.graph is not None:
        header["graph"] = checkpoint.graph
    tensors = {f"network.{k}": v for k, v in checkpoint.network.state_dict().items()}
    tensors["normalisation.mean"] = torch.from_numpy(checkpoint.normalisation.mean)
    tensors["normalisation.std"] = torch.from_numpy(checkpoint.normalisation.std)
    if checkpoint.normalisation.components is not None:
        components = torch.from_numpy(checkpoint.normalisation.components)
        tensors["normalisation.components"] = components
    write_tensors(path, tensors, header)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and rebuild its network, in evaluation mode.

    Raises InputError where `read_tensors` does, and for another format version, another kind of
    file, weights that do not fit the stated model, or weights that are not finite.
    """
    tensors, header = read_tensors(path)
    if header.get("what") != "checkpoint" or header.get("format") != FORMAT:
        found = f"{header.get('what')!r} of format {header.get('format')!r}"
        raise InputError(f"{path}: found {found}, expected a checkpoint of format {FORMAT}")
    require_numbers(path, tensors, path.stat().st_size)
    state = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    try:
        if header["model"]["widths"] is not None:
            header["model"]["widths"] = tuple(header["model"]["widths"])
        model = ModelConfig(**header["model"])
        neuron = header["neuron"] and NeuronConfig(**header["neuron"])
        quantization = header["quantization"] and QuantizationConfig(**header["quantization"])
        bands = header["bands"]
        mean, std = (tensors[f"normalisation.{name}"].numpy() for name in ("mean", "std"))
        components = None
        if model.inputs(bands) < bands:
            components = tensors["normalisation.components"].numpy()
            if components.shape != (bands, model.components):
                raise InputError(f"components: found {components.shape}, expected one a band")
        if not bands or mean.shape != (bands,) or std.shape != (bands,):
            raise InputError(f"bands: found {bands!r}, expected one for each of {len(mean)} means")
        numbers = sum(tensor.numel() for tensor in state.values())
        network = _build_cnn(model, bands, header, numbers)
        if neuron:
            patch = torch.zeros(1, 1, model.inputs(bands), model.window, model.window)
            network = to_spiking(network, patch, neuron)
        if quantization:
            quantize(network, quantization)
        network.load_state_dict(state)
        checkpoint = Checkpoint(
            network.eval(),
            model,
            bands,
            header["classes"],
            Normalisation(mean, std, components),
            header["scene_digest"],
            header["split_digest"],
            quantization,
            neuron,
            header.get("graph"),
        )
    except (KeyError, TypeError, AttributeError, InputError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: header not usable ({reason})") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: weights do not fit model {model.name} ({reason})") from None
    return checkpoint


def _build_cnn(model: ModelConfig, bands: int, header: dict[str, Any], numbers: int) -> nn.Module:
    """The network that a header states; sizes that it makes up are never allocated."""
    if model.is_own:
        return build_graph(header["graph"], model.inputs(bands), model.window, numbers)
    with torch.device("meta"):
        stated = parameter_count(build_model(model, bands, header["classes"]))
    if stated > numbers:
        raise RuntimeError(f"found {numbers:,} numbers, expected {stated:,}")
    return build_model(model, bands, header["classes"])


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a safetensors file with our header, rather than a bare state dict."""
    try:
        regular_file_size(path)  # a pipe would be waited for
        with safe_open(path, framework="pt") as file:
            return "header" in (file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return False
