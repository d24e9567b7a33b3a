"""Figures of each class from a confusion matrix, and the matrix for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassRow:
    """Figures of one class on the test pixels; None where a share has no pixel."""

    name: str
    support: int
    producers: float | None
    """Producer's accuracy, recall: right over true pixels."""
    users: float | None
    """User's accuracy, precision: right over predicted pixels."""
    f1: float | None
    iou: float | None
    """Intersection over union."""
    confused: str
    """Class that its pixels are most often taken for; empty where none is wrong."""
    confused_share: float | None


def class_rows(confusion: NDArray[np.int64], names: Sequence[str]) -> list[ClassRow]:
    """Return the figures of every class.

    Args:
        confusion: Pixels [K, K] by true class (row) and predicted class (column).
        names: K names.

    >>> row, _ = class_rows(np.array([[3, 1], [0, 4]]), ["Corn", "Oats"])
    >>> row.producers, row.users, row.iou, row.confused
    (0.75, 1.0, 0.75, 'Oats')
    """
    rows = []
    for k, name in enumerate(names):
        right, true = int(confusion[k, k]), int(confusion[k].sum())
        predicted = int(confusion[:, k].sum())
        others = confusion[k].copy()
        others[k] = 0
        most = int(others.argmax())
        rows.append(
            ClassRow(
                name=name,
                support=true,
                producers=_share(right, true),
                users=_share(right, predicted),
                f1=_share(2 * right, true + predicted),
                iou=_share(right, true + predicted - right),
                confused=names[most] if others[most] else "",
                confused_share=_share(int(others[most]), true) if others[most] else None,
            )
        )
    return rows


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
