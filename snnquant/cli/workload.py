"""`snnquant workload`: a checkpoint's layers as the input of `pim-sim`."""

from __future__ import annotations

from pathlib import Path


def workload(checkpoint: Path, output: Path, /, *, scene: str) -> None:
    """Write the layers of a quantized SNN as the workload file that pim-sim reads.

    Parameters
    ----------
    checkpoint
        A quantized SNN, such as a run's snn.safetensors.
    output
        File to write, JSON.
    scene
        Scene that it classifies: a card's name, a card's path, or synthetic:HxWxB.
    """
    from snnquant.energy import write_workload

    write_workload(checkpoint, scene, output)
