"""A small scene on disk and its card, for tests to damage."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CARD = """
[cube]
file = "cube.npy"

[labels]
file = "labels.npy"

[[classes]]
label = 3
name = "maize"

[[classes]]
label = 7
name = "barley"
colour = "#00ff00"
"""


@pytest.fixture
def cube() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 9000, (6, 5, 4)).astype(np.uint16)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(1).choice([0, 3, 7], (6, 5)).astype(np.uint8)


@pytest.fixture
def make_card(tmp_path: Path, cube: np.ndarray, labels: np.ndarray) -> Callable[..., str]:
    """Write cube, labels and card, replaced where given; return the card's path for --scene."""

    def make(text: str = CARD, **replaced: np.ndarray) -> str:
        np.save(tmp_path / "cube.npy", replaced.get("cube", cube))
        np.save(tmp_path / "labels.npy", replaced.get("labels", labels))
        path = tmp_path / "field.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return make


@pytest.fixture
def card_text() -> str:
    return CARD
