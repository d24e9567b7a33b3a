"""Typed scores of a run's networks on another scene, and their table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from snnquant.report.calibration import SmoothedScores
from snnquant.report.json_records import Record, from_json, to_json
from snnquant.report.run_metrics import ControlScores, SceneMetrics
from snnquant.report.sections import CONTROLS
from snnquant.report.table_parts import BLANK, Section, percent
from snnquant.stored_networks import Network
from snnquant.training import Scores


@dataclass(frozen=True)
class AcrossScores(Scores):
    """Scores of one network on the scored pixels, its classes those of the run."""

    smoothed: SmoothedScores
    """Scores of the smoothed map on the same pixels; its strength is that of the run's maps."""


@dataclass(frozen=True)
class AcrossControls:
    """Classifiers that need no network, learnt from the run's pixels, scored on the same."""

    lda: ControlScores
    """Shrinkage linear discriminant analysis of the pixel's and the window's mean spectrum."""
    svm: ControlScores
    """Support vector machine with a Gaussian kernel on the window's mean spectrum."""


@dataclass(frozen=True)
class AcrossMetrics(Record):
    """Content of across_SCENE.json: scores of a run's networks on another scene.

    >>> same = ControlScores(0.5, 0.5, 0.4)
    >>> metrics = AcrossMetrics(
    ...     run="runs/mine",
    ...     trained_on="north",
    ...     scene=SceneMetrics("south", (20, 30, 100), 250, ("corn", "Oats", "Rye")),
    ...     bits=6,
    ...     time_steps=5,
    ...     scored={"Corn": 90, "Oats": 110},
    ...     left_out={"Rye": 50},
    ...     networks={},
    ...     controls=AcrossControls(same, same),
    ... )
    >>> AcrossMetrics.from_dict(metrics.to_dict()) == metrics
    True
    """

    run: str
    """Run folder."""
    trained_on: str
    """Name of the run's scene."""
    scene: SceneMetrics
    """The other scene."""
    bits: int
    """Bits per weight after quantization; 32 is floating point."""
    time_steps: int
    """Time steps T per classification of the SNN."""
    scored: dict[str, int]
    """Pixels that are scored, all labelled ones, by the run's classes."""
    left_out: dict[str, int]
    """Labelled pixels that are not scored, by classes of their scene that the run did not learn."""
    networks: dict[Network, AcrossScores]
    """Scores by network, each at the top level under its key; only networks that the run has."""
    controls: AcrossControls
    """Classifiers that need no network; a network worth its cost beats them."""
    activation_bits: int = 32
    """Bits per activation of the quantized CNN; 32 is floating point."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read a JSON object; raise InputError for a missing key or a value of another type."""
        networks = {key: values[key] for key in Network if key in values}
        return from_json(cls, {**values, "networks": networks}, "across")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of across_SCENE.json."""
        values: dict[str, Any] = {}
        for key, value in to_json(self).items():
            values |= value if key == "networks" else {key: value}
        return values


def across_section(metrics: AcrossMetrics) -> Section:
    """Return the table of the scores, with notes that say which pixels they are of."""
    names = ("OA", "AA", "kappa")
    rows = []
    for network, scores in metrics.networks.items():
        found = (scores.oa, scores.aa, scores.kappa)
        smoothed = (scores.smoothed.oa, scores.smoothed.aa, scores.smoothed.kappa)
        widths = metrics.bits, metrics.time_steps, metrics.activation_bits
        heading = network.heading_of(*widths)
        rows.append((heading, *map(percent, found + smoothed)))
    for key in ("lda", "svm"):
        control = getattr(metrics.controls, key)
        values = map(percent, (control.oa, control.aa, control.kappa))
        rows.append((CONTROLS[key], *values, *[BLANK] * 3))
    title = f"Scores on {metrics.scene.name} after training on {metrics.trained_on}, %"
    columns = (*names, f"smoothed: {names[0]}", *names[1:])
    return Section(title, columns, tuple(rows), _notes(metrics))


def _notes(metrics: AcrossMetrics) -> tuple[str, ...]:
    scored, left_out = metrics.scored, metrics.left_out
    classes = ", ".join(f"{name} ({count:,})" for name, count in scored.items())
    notes = [f"Scored: {sum(scored.values()):,} labelled pixels. {classes}."]
    if left_out:
        classes = ", ".join(f"{name} ({count:,})" for name, count in left_out.items())
        notes.append(f"Not scored, classes that the run did not learn: {classes}.")
    notes.append(
        f"Networks, smoothing and controls learnt from {metrics.trained_on} only; pixels that both "
        "scenes have in common are scored too."
    )
    return tuple(notes)
