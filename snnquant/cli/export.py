"""`snnquant export`: a trained network as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from snnquant.cli.options import Moved, NetworkKey, open_run
from snnquant.cli.progress import show_progress
from snnquant.errors import InputError
from snnquant.exporters import FORMATS, ExportRequest, FormatName, exporter
from snnquant.stored_networks import Network

if TYPE_CHECKING:
    from torch import Tensor

    from snnquant.checkpoints import Checkpoint

EXAMPLES = 16
"""Test pixels, or random patches, given to the exporter as an example."""


def export(
    source: Path,
    /,
    *,
    format: Annotated[
        FormatName,
        Parameter(
            help="onnx: SNN or CNN with all time steps, raw patches to logits; qdq: the same with "
            "8-bit integer weights and their scales; nir, snntorch: for other simulators of "
            "spiking networks; brian2: a script that runs the neurons in Brian2."
        ),
    ],
    output: Path,
    network: NetworkKey | None = None,
    scene: Moved = None,
) -> None:
    """Write a network for other programs to run.

    Parameters
    ----------
    source
        Folder of a run, or a checkpoint.
    output
        File to write.
    network
        Network of the run: by default cnn_quantized for qdq, or snn_trained where the run
        has none, and snn_trained for all others.
    """
    from snnquant.exporters.metadata import metadata_of

    write = exporter(format)
    if source.is_dir():
        checkpoint, example, name, class_names = _of_run(
            source, network or FORMATS[format].network, scene
        )
    elif network or scene:
        option, found = ("--network", network) if network else ("--scene", scene)
        raise InputError(f"{option}: found {found} beside a file, expected it with a run's folder")
    else:
        checkpoint, example, name, class_names = _of_file(source)
    metadata = metadata_of(checkpoint, name, class_names)
    request = ExportRequest(checkpoint.network, example, checkpoint.normalisation, metadata)
    write(request, output)
    print(output)


def _of_run(
    folder: Path, name: str, scene: str | None
) -> tuple[Checkpoint, Tensor, str, tuple[str, ...]]:
    with show_progress() as progress:
        run = open_run(folder, progress, scene=scene)
        if name == Network.CNN_QUANTIZED and not run.has(name):
            if not run.has(Network.SNN_TRAINED):
                found = f"{folder}: found no quantized network"
                raise InputError(f"{found}, expected one: snnquant finetune {folder} trains it")
            name = Network.SNN_TRAINED  # a run of an imported CNN has no quantized one
        checkpoint = run.load(name)
        example = run.patches.gather(run.split.test[:EXAMPLES])
    return checkpoint, example, run.scene.name, run.scene.class_names


def _of_file(file: Path) -> tuple[Checkpoint, Tensor, str, tuple[str, ...]]:
    import torch

    from snnquant.checkpoints import load_checkpoint

    checkpoint = load_checkpoint(file)
    inputs = checkpoint.model.inputs(checkpoint.bands)
    shape = (EXAMPLES, 1, inputs, checkpoint.model.window, checkpoint.model.window)
    return checkpoint, torch.randn(shape, generator=torch.Generator().manual_seed(0)), "", ()
