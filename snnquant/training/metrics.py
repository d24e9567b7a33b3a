"""Scores of a classification: overall and average accuracy, kappa, accuracy per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def confusion(
    labels: NDArray[np.integer], predictions: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """Count pixels by true class (row) and predicted class (column).

    Args:
        labels: True classes [N], numbered 0 to `classes` - 1.
        predictions: Predicted classes [N], numbered alike.
        classes: Number of classes K.

    Returns:
        Counts [K, K].

    Raises:
        ValueError: The lengths differ, or a class number is out of range.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"{labels.shape} labels and {predictions.shape} predictions")
    for values in (labels, predictions):
        if len(values) and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(f"classes {values.min()}..{values.max()} outside 0..{classes - 1}")
    cells = labels.astype(np.int64) * classes + predictions
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class Scores:
    """Scores of a classifier on labelled pixels, all in 0..1 (kappa from -1).

    >>> Scores.from_confusion(np.array([[3, 1], [0, 4]])).oa
    0.875
    """

    oa: float
    """Overall accuracy: share of the pixels classified correctly."""
    aa: float
    """Average accuracy: mean of the class accuracies, over classes that have pixels."""
    kappa: float
    """Agreement beyond chance: (p_o - p_e) / (1 - p_e) (Cohen 1960, Educ. Psychol. Meas. 20:37)."""
    class_accuracy: list[float | None]
    """Share of each class's pixels classified correctly; None for a class without pixels."""

    @classmethod
    def from_confusion(cls, matrix: NDArray[np.int64]) -> Scores:
        """Return the scores of a confusion matrix.

        Args:
            matrix: Pixels by true class (row) and predicted class (column), [K, K].

        Raises:
            ValueError: The matrix counts no pixel.
        """
        total, correct = int(matrix.sum()), int(matrix.trace())
        if not total:
            raise ValueError("a confusion matrix without pixels has no scores")
        rows, columns = matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist()
        # In whole numbers, both terms times total^2: exact, and equal on every machine.
        chance = sum(row * column for row, column in zip(rows, columns, strict=True))
        kappa = 1.0  # all pixels of one class, and all found: nothing is left to chance
        if chance != total**2:
            kappa = (total * correct - chance) / (total**2 - chance)
        hits = matrix.diagonal().tolist()
        by_class = [hit / row if row else None for hit, row in zip(hits, rows, strict=True)]
        present = [accuracy for accuracy in by_class if accuracy is not None]
        return cls(correct / total, sum(present) / len(present), kappa, by_class)
