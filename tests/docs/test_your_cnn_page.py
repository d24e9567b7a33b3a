"""The page docs/your_cnn.md lists every layout, scaling and place of weights in a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnquant.config.scaling_names import SCALINGS
from snnquant.importers.onnx.operators import OPERATORS
from snnquant.importers.state_dict import NESTED
from snnquant.nn.wiring import LAYOUTS

PAGE = (Path(__file__).parents[2] / "docs" / "your_cnn.md").read_text(encoding="utf-8")
# The conversion refuses LeakyRelu; the others are forms of Softmax and Identity.
UNNAMED = {"LeakyRelu", "LogSoftmax", "Cast"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    assert f"[{layout}]" in PAGE


@pytest.mark.parametrize("scaling", [*SCALINGS, "divide:X", "FILE.npz"])
def test_scalings(scaling: str) -> None:
    assert f"| `{scaling}` |" in PAGE


@pytest.mark.parametrize("key", NESTED)
def test_keys_of_checkpoints(key: str) -> None:
    assert f"`{key}`" in PAGE


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - UNNAMED))
def test_operators(operator: str) -> None:
    section = PAGE[PAGE.index("## ONNX files") : PAGE.index("## What converts")]
    assert operator in section
