"""ONNX: the network with its T steps unrolled, by torch's dynamo exporter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from snnquant.errors import InputError
from snnquant.exporters import ExportRequest
from snnquant.exporters.deployed import Deployed
from snnquant.io import one_line, replacing, require_extra

OPSET = 20
INPUT, OUTPUT = "patches", "logits"


def write_onnx(request: ExportRequest, path: Path) -> None:
    """Write an SNN or CNN as ONNX: `patches` [batch, 1, B, h, w] to `logits` [batch, K], float32.

    With a normalisation, which goes into the graph, patches are raw, in the units of the scene.
    An SNN's time steps are unrolled into plain operators. Quantized weights are written as the
    values that they stand for, in float32.
    """
    save(path, to_model(request), request.metadata)


def to_model(request: ExportRequest) -> Any:
    """Return the ONNX ModelProto of a network."""
    require_extra("onnx", "onnx", "onnxscript")
    example = request.example
    deployed = Deployed(request.network, request.normalisation)
    bands = deployed.bands or example.shape[2]
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
        while cause.__cause__ is not None:  # only the first names the operator
            cause = cause.__cause__
        raise InputError(f"onnx: torch cannot write this network ({one_line(cause)})") from error
    return program.model_proto


def save(path: Path, model: Any, metadata: Mapping[str, str]) -> None:
    """Write a ModelProto with its metadata, checked, as one file."""
    (onnx,) = require_extra("onnx", "onnx")
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks on torchvision and on its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
