"""`snnquant map`: the class of every pixel of the scene."""

from __future__ import annotations

from typing import Literal

from snnquant.cli.options import RunFolder, carry_out, reopen


def map(
    folder: RunFolder,
    /,
    *,
    network: Literal["cnn_fp32", "cnn_quantized", "snn_converted", "snn_trained"] = "snn_trained",
) -> None:
    """Classify the whole scene; writes map.png, map.npy and the ENVI classification map.img."""
    from snnquant import stages

    print(
        carry_out(
            lambda progress: reopen(folder, progress), lambda run: stages.draw_map(run, network)
        )
    )
