"""Checkpoints: a trained network with everything needed to use it on its scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from snnquant.checkpoints.checks import regular_file_size, require_numbers
from snnquant.checkpoints.tensorfile import read_json_header, read_tensors, write_tensors
from snnquant.config import MethodConfig, ModelConfig, NeuronConfig, read_method
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.models import build_model
from snnquant.nn import build_graph, parameter_count
from snnquant.quantization import install
from snnquant.sampling import Normalisation, PixelGrid

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Header:
    """Everything that a checkpoint states about its network, without the weights."""

    model: ModelConfig
    """Shape of the network."""
    bands: int
    """Bands of the scene."""
    classes: int
    """Classes of the scene."""
    scene_digest: str
    """Digest of the scene that the network was trained on."""
    split_digest: str
    """Digest of the split that the network was trained on."""
    quantization: MethodConfig | None = None
    """Options of the quantization method; None for weights in floating point."""
    neuron: NeuronConfig | None = None
    """Options of the neurons; None for a CNN."""
    graph: list[dict[str, Any]] | None = None
    """CNN as data where it is the user's own, see `GraphNetwork.describe`."""
    scaling: str = "standard"
    """Name of the scaling of the pixels."""
    grid: PixelGrid | None = None
    """Grid that the network's inputs lie on; None for floating point."""

    @property
    def bits(self) -> int | None:
        """Bits per weight; None for floating point."""
        return self.quantization.bits if self.quantization else None


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Network and what it was made from.

    `neuron` is None for a CNN, `quantization` for weights in floating point. `graph` describes the
    CNN where it is the user's own, see `GraphNetwork.describe`.
    """

    network: nn.Module
    model: ModelConfig
    bands: int
    classes: int
    normalisation: Normalisation
    scene_digest: str
    split_digest: str
    quantization: MethodConfig | None = None
    neuron: NeuronConfig | None = None
    graph: list[dict[str, Any]] | None = None

    @property
    def bits(self) -> int | None:
        """Bits per weight; None for floating point."""
        return self.quantization.bits if self.quantization else None

    @property
    def scaling(self) -> str:
        """Name of the scaling of the pixels."""
        return self.normalisation.scaling

    @property
    def grid(self) -> PixelGrid | None:
        """Grid that the network's inputs lie on; None for floating point."""
        return self.normalisation.grid


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as safetensors with a JSON header, whole or not at all.

    Args:
        path: File to write; an older file is replaced.
        checkpoint: Network with its configuration and normalisation.

    Raises:
        InputError: The file cannot be written.

    >>> import tempfile, numpy as np
    >>> from snnquant.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
    >>> from snnquant.config import ModelConfig
    >>> from snnquant.models import build_model
    >>> from snnquant.sampling import Normalisation, PixelGrid
    >>> model, one = ModelConfig(window=3), np.ones(20, np.float32)
    >>> network = build_model(model, bands=20, classes=4)
    >>> checkpoint = Checkpoint(network, model, 20, 4, Normalisation(one, one), "scene", "split")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(Path(folder) / "cnn.safetensors", checkpoint)
    ...     load_checkpoint(Path(folder) / "cnn.safetensors").classes
    4
    """
    header: dict[str, Any] = {"format": FORMAT, "what": "checkpoint"}
    for name in ("model", "quantization", "neuron"):
        config = getattr(checkpoint, name)
        header[name] = None if config is None else asdict(config)
    for name in ("bands", "classes", "scene_digest", "split_digest"):
        header[name] = getattr(checkpoint, name)
    if checkpoint.normalisation.scaling != "standard":
        header["scaling"] = checkpoint.normalisation.scaling
    if checkpoint.grid is not None:
        header["pixel_grid"] = asdict(checkpoint.grid)
    if checkpoint.graph is not None:
        header["graph"] = checkpoint.graph
    tensors = {f"network.{k}": v for k, v in checkpoint.network.state_dict().items()}
    tensors["normalisation.mean"] = torch.from_numpy(checkpoint.normalisation.mean)
    tensors["normalisation.std"] = torch.from_numpy(checkpoint.normalisation.std)
    if checkpoint.normalisation.components is not None:
        components = torch.from_numpy(checkpoint.normalisation.components)
        tensors["normalisation.components"] = components
    if checkpoint.normalisation.floor:
        tensors["normalisation.floor"] = torch.tensor(checkpoint.normalisation.floor)
    write_tensors(path, tensors, header)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and rebuild its network, in evaluation mode.

    Args:
        path: File that `save_checkpoint` wrote. Nothing in it is ever executed.

    Returns:
        The checkpoint, its network on the CPU.

    Raises:
        InputError: The file is missing, damaged, of another kind or format, or its weights do not
            fit the stated model or are not finite.

    >>> load_checkpoint(Path("missing.safetensors"))
    Traceback (most recent call last):
    pim_sim.errors.InputError: missing.safetensors: cannot be read (No such file or directory)
    """
    tensors, values = read_tensors(path)
    _require_format(path, values)
    require_numbers(path, tensors, path.stat().st_size)
    state = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    try:
        header = _header(values)
        normalisation = _normalisation(header, tensors)
        network = _network(header, sum(tensor.numel() for tensor in state.values()))
        network.load_state_dict(_renamed(state, network))
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"{path}: header not usable ({one_line(error)})") from None
    except RuntimeError as error:
        fit = f"weights do not fit model {header.model.name}"
        raise InputError(f"{path}: {fit} ({one_line(error)})") from None
    of_pixels = ("scaling", "grid")
    stated = {name: value for name, value in vars(header).items() if name not in of_pixels}
    return Checkpoint(network=network.eval(), normalisation=normalisation, **stated)


def _renamed(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Name tensors as the network does: an SNN's layers once had the prefix `layers_`."""
    if network.state_dict().keys() <= state.keys():
        return state
    return {name.replace("layers.layers_", "layers.", 1): t for name, t in state.items()}


def read_header(path: Path) -> Header:
    """Read what a checkpoint states about its network, without loading its weights.

    The weights are not checked against the file's digest, as `load_checkpoint` does.

    Args:
        path: File that `save_checkpoint` wrote.

    Raises:
        InputError: The file is missing or damaged, or its header is of another kind or format.
    """
    values = read_json_header(path)
    _require_format(path, values)
    try:
        return _header(values)
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"{path}: header not usable ({one_line(error)})") from None


def _require_format(path: Path, values: dict[str, Any]) -> None:
    if values.get("what") != "checkpoint" or values.get("format") != FORMAT:
        found = f"{values.get('what')!r} of format {values.get('format')!r}"
        raise InputError(f"{path}: found {found}, expected a checkpoint of format {FORMAT}")


def _header(values: dict[str, Any]) -> Header:
    """Return the typed header; headers without a method's name are of uniform quantization."""
    model, neuron, quantization = (values[name] for name in ("model", "neuron", "quantization"))
    grid = values.get("pixel_grid")
    lists = {name: tuple(value) for name, value in model.items() if isinstance(value, list)}
    return Header(
        model=ModelConfig(**model | lists),
        bands=values["bands"],
        classes=values["classes"],
        scene_digest=values["scene_digest"],
        split_digest=values["split_digest"],
        quantization=read_method(quantization) if quantization else None,
        neuron=NeuronConfig(**neuron) if neuron else None,
        graph=values.get("graph"),
        scaling=str(values.get("scaling", "standard")),
        grid=PixelGrid(**grid) if grid else None,
    )


def _normalisation(header: Header, tensors: dict[str, Tensor]) -> Normalisation:
    bands, components, forms = header.bands, None, header.model.forms
    mean, std = (tensors[f"normalisation.{name}"].numpy() for name in ("mean", "std"))
    prepared = (len(forms) * bands,) if type(bands) is int and bands else None
    if prepared is None or mean.shape != prepared or std.shape != prepared:
        raise InputError(f"bands: found {bands!r}, expected one for each of {len(mean)} means")
    inputs = header.model.inputs(bands)
    if (inputs,) != prepared or "normalisation.components" in tensors:
        components = tensors["normalisation.components"].numpy()
        if components.shape != (*prepared, inputs):
            raise InputError(f"components: found {components.shape}, expected one row per band")
    floor = float(tensors["normalisation.floor"]) if "log-derivative" in forms else 0.0
    spectra = "+".join(forms)
    return Normalisation(mean, std, components, header.scaling, spectra, floor, header.grid)


def _network(header: Header, numbers: int) -> nn.Module:
    """Return the network that a header states; `numbers` are those in the file."""
    network, model = _cnn(header, numbers), header.model
    if header.neuron:
        patch = torch.zeros(1, 1, model.inputs(header.bands), model.window, model.window)
        network = to_spiking(network, patch, header.neuron)
    if header.quantization:
        install(network, header.quantization)
    return network


def _cnn(header: Header, numbers: int) -> nn.Module:
    """Return the CNN that a header states; sizes that it makes up are never allocated."""
    model = header.model
    if model.is_own:
        if header.graph is None:
            raise KeyError("graph")
        return build_graph(header.graph, model.inputs(header.bands), model.window, numbers)
    with torch.device("meta"):
        stated = parameter_count(build_model(model, header.bands, header.classes))
    if stated > numbers:
        raise RuntimeError(f"found {numbers:,} numbers, expected {stated:,}")
    return build_model(model, header.bands, header.classes)


def is_checkpoint(path: Path) -> bool:
    """Return whether a file is safetensors with this package's header, not a bare state dict."""
    try:
        regular_file_size(path)  # a pipe would be waited for
        with safe_open(path, framework="pt") as file:
            return "header" in (file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return False
