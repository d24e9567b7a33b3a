"""A trained network with everything needed to use it on the scene that it was trained for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.errors import InputError
from snnquant.models import build_model, to_spiking
from snnquant.quantization import quantize
from snnquant.sampling import Normalisation
from snnquant.training.tensorfile import read_tensors, write_tensors

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network and what it was made from; `neuron` is None for a CNN, `quantization` for float."""

    network: nn.Module
    model: ModelConfig
    bands: int
    classes: int
    normalisation: Normalisation
    scene_digest: str
    split_digest: str
    quantization: QuantizationConfig | None = None
    neuron: NeuronConfig | None = None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as safetensors with a JSON header, whole or not at all."""
    header: dict[str, Any] = {"format": FORMAT, "what": "checkpoint"}
    for name in ("model", "quantization", "neuron"):
        config = getattr(checkpoint, name)
        header[name] = None if config is None else asdict(config)
    for name in ("bands", "classes", "scene_digest", "split_digest"):
        header[name] = getattr(checkpoint, name)
    tensors = {f"network.{k}": v for k, v in checkpoint.network.state_dict().items()}
    tensors["normalisation.mean"] = torch.from_numpy(checkpoint.normalisation.mean)
    tensors["normalisation.std"] = torch.from_numpy(checkpoint.normalisation.std)
    write_tensors(path, tensors, header)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and rebuild its network, in evaluation mode.

    Raises InputError where `read_tensors` does, and for another format version, another kind of
    file, weights that do not fit the stated model, or weights that are not finite.
    """
    tensors, header = read_tensors(path)
    if header.get("what") != "checkpoint" or header.get("format") != FORMAT:
        found = f"{header.get('what')} of format {header.get('format')}"
        raise InputError(f"{path}: found a {found}, expected a checkpoint of format {FORMAT}")
    state = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{path}: {name} holds NaN or infinite values, expected finite weights"
            )
    try:
        if header["model"]["widths"] is not None:
            header["model"]["widths"] = tuple(header["model"]["widths"])
        model = ModelConfig(**header["model"])
        neuron = header["neuron"] and NeuronConfig(**header["neuron"])
        quantization = header["quantization"] and QuantizationConfig(**header["quantization"])
        network: nn.Module = build_model(model, header["bands"], header["classes"])
        if neuron:
            assert isinstance(network, nn.Sequential)
            network = to_spiking(network, neuron)
        if quantization:
            quantize(network, quantization)
        network.load_state_dict(state)
        checkpoint = Checkpoint(
            network.eval(),
            model,
            header["bands"],
            header["classes"],
            Normalisation(
                tensors["normalisation.mean"].numpy(), tensors["normalisation.std"].numpy()
            ),
            header["scene_digest"],
            header["split_digest"],
            quantization,
            neuron,
        )
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"{path}: header not usable ({error})") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: weights do not fit model {model.name} ({reason})") from None
    return checkpoint
