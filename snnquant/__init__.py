"""Hyperspectral classifiers as quantized spiking neural networks.

From arrays to a map:

>>> import numpy as np
>>> import snnquant
>>> scene = snnquant.load_scene("synthetic:16x16x20")
>>> classifier = snnquant.SpikingClassifier(window=3, cnn_epochs=2, snn_epochs=2)
>>> classifier = classifier.fit(scene.cube, scene.labels)
>>> class_map = classifier.predict(scene.cube)
>>> class_map.shape
(16, 16)

Names are imported when they are first asked for, so that ``import snnquant`` and the commands'
``--help`` stay fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snnquant.config import (
        ConversionConfig,
        ModelConfig,
        NeuronConfig,
        QuantizationConfig,
        RunConfig,
        SplitConfig,
        TrainingConfig,
    )
    from snnquant.conversion import convert
    from snnquant.errors import InputError
    from snnquant.exporters import ExportRequest, export
    from snnquant.models import build_model
    from snnquant.pipeline.classifier import SpikingClassifier
    from snnquant.pipeline.run import Run
    from snnquant.quantization import freeze, quantize
    from snnquant.sampling import make_split
    from snnquant.scenes import Scene, load_scene
    from snnquant.spiking import LIF, SpikingNetwork
    from snnquant.training import Samples, Stage, train

    __version__: str

_ROOMS = {
    "config": (
        "ConversionConfig",
        "ModelConfig",
        "NeuronConfig",
        "QuantizationConfig",
        "RunConfig",
        "SplitConfig",
        "TrainingConfig",
    ),
    "conversion": ("convert",),
    "errors": ("InputError",),
    "exporters": ("ExportRequest", "export"),
    "models": ("build_model",),
    "pipeline.classifier": ("SpikingClassifier",),
    "pipeline.run": ("Run",),
    "quantization": ("freeze", "quantize"),
    "sampling": ("make_split",),
    "scenes": ("Scene", "load_scene"),
    "spiking": ("LIF", "SpikingNetwork"),
    "training": ("Samples", "Stage", "train"),
}
"""Public names by the room that they are imported from."""
_PLACES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "LIF",
    "ConversionConfig",
    "ExportRequest",
    "InputError",
    "ModelConfig",
    "NeuronConfig",
    "QuantizationConfig",
    "Run",
    "RunConfig",
    "Samples",
    "Scene",
    "SpikingClassifier",
    "SpikingNetwork",
    "SplitConfig",
    "Stage",
    "TrainingConfig",
    "__version__",
    "build_model",
    "convert",
    "export",
    "freeze",
    "load_scene",
    "make_split",
    "quantize",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("snnquant")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
