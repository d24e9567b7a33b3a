"""ONNX: the network with its T steps unrolled, by torch's dynamo exporter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.export import NO_FACTS
from snnquant.export.deployed import Deployed
from snnquant.io import replacing, require_extra
from snnquant.sampling import Normalisation

OPSET = 20
INPUT, OUTPUT = "patches", "logits"


def write_onnx(
    network: nn.Module,
    example: Tensor,
    path: Path,
    *,
    normalisation: Normalisation | None = None,
    facts: Mapping[str, str] = NO_FACTS,
) -> None:
    """Write an SNN or CNN as ONNX: `patches` [batch, 1, B, h, w] to `logits` [batch, K], float32.

    With a `normalisation`, which goes into the graph, patches are raw, in the units of the scene.
    An SNN's time steps are unrolled into plain operators. Quantized weights are written as the
    values that they stand for, in float32. `facts` become the file's metadata.
    See `snnquant.export` for the arguments and errors.
    """
    save(path, to_model(Deployed(network, normalisation), example), facts)


def to_model(deployed: Deployed, example: Tensor) -> Any:
    """The ONNX ModelProto of a network; `example` holds patches as the network takes them."""
    require_extra("onnx", "onnx", "onnxscript")
    bands = deployed.mean.shape[0] if deployed.normalised else example.shape[2]
    patches = example.new_zeros(2, 1, bands, *example.shape[3:])
    batch = torch.export.Dim("batch")
    try:
        with torch.no_grad(), _quiet():
            program: Any = torch.onnx.export(
                deployed,
                (patches,),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: batch},),
            )
    except torch.onnx.OnnxExporterError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # the first of them says what it is
            cause = cause.__cause__
        reason = " ".join(str(cause).split())[:300]
        raise InputError(f"onnx: torch cannot write this network ({reason})") from error
    return program.model_proto


def save(path: Path, model: Any, facts: Mapping[str, str]) -> None:
    """Write a ModelProto with its metadata, checked, as one file."""
    (onnx,) = require_extra("onnx", "onnx")
    onnx.helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on torchvision and on its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
