"""Results of a search: front.json, the choice under limits, and the table on a terminal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from snnquant.report.table_parts import Section
from snnquant.search.halving import nearest
from snnquant.search.space import DEFAULT, shown

SCHEMA = 1


@dataclass(frozen=True)
class Rung:
    """One rung: a round of trainings of the same share of all epochs."""

    share: float
    """Share of all epochs."""
    cnns: int
    """CNNs that were trained for it, each shared by the candidates that differ later."""
    scores: tuple[dict[str, Any], ...]
    """Per candidate its `candidate`, `validation_oa` and `energy_nj`, or why it was `refused`."""


@dataclass(frozen=True)
class FrontEntry:
    """A candidate that no other beats in accuracy and energy, both on validation pixels."""

    candidate: int
    options: dict[str, Any]
    """Value per axis."""
    run: str
    """Its run folder, seen from that of the search."""
    validation_oa: float
    """Overall accuracy on validation pixels, 0 to 1."""
    energy_nj: float
    """Energy per pixel in nJ, memory included, on the chip and by the schedule below."""
    chip: str
    schedule: str
    latency_us: float
    prices: tuple[dict[str, Any], ...]
    """Energy and latency on every chip and by every schedule."""
    test_oa: float
    """Overall accuracy on test pixels, 0 to 1; nothing was chosen by it."""


@dataclass(frozen=True)
class Choice:
    """Entry of the front that keeps the limits best."""

    budget_nj: float | None
    min_oa: float | None
    """Limit of the accuracy on validation pixels, in percent."""
    candidate: int
    reached: bool
    """True if it keeps the limits; else it is the one that misses them by the smallest factor."""


@dataclass(frozen=True)
class Front:
    """Content of front.json."""

    scene: str
    in_map: bool
    """True for energies of a pixel in a map, false for those of a pixel on its own."""
    combinations: int
    impossible: int
    """Combinations looked at whose options exclude each other."""
    candidates: int
    rungs: tuple[Rung, ...]
    front: tuple[FrontEntry, ...]
    """By energy, the smallest first."""

    def choose(self, budget_nj: float | None, min_oa: float | None) -> Choice | None:
        """Return the entry that keeps limits in nJ and percent; None without limits.

        The most accurate one within the budget; without a budget that of the min energy.
        """
        if budget_nj is None and min_oa is None:
            return None
        errors = [round(1 - entry.validation_oa, 12) for entry in self.front]
        max_error = None if min_oa is None else round(1 - min_oa / 100, 12)
        energies = [entry.energy_nj for entry in self.front]
        row, reached = nearest(errors, energies, max_error, budget_nj)
        return Choice(budget_nj, min_oa, self.front[row].candidate, reached)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, ready for JSON."""
        return {"schema": SCHEMA, **asdict(self)}


def front_section(front: Front) -> Section:
    """Return the table of a front: options that differ, accuracies, energy."""

    def values(entry: FrontEntry) -> dict[str, Any]:
        return entry.options | {"chip": entry.chip, "schedule": entry.schedule}

    first = values(front.front[0])
    names = [n for n in first if any(values(entry)[n] != first[n] for entry in front.front)]
    rows = tuple(
        (
            f"{entry.candidate}",
            *(_words(values(entry)[name]) for name in names),
            f"{100 * entry.validation_oa:.2f}",
            f"{100 * entry.test_oa:.2f}",
            f"{entry.energy_nj:,.1f}",
        )
        for entry in front.front
    )
    where = "in a map" if front.in_map else "on its own"
    title = f"{front.scene}: front of {front.candidates} candidates, energy of a pixel {where}"
    same = [
        f"{name.replace('_', '-')} {_words(value)}"
        for name, value in first.items()
        if name not in names
    ]
    notes = [f"all: {', '.join(same)}"] if same else []
    sizes = " -> ".join(f"{len(rung.scores)} at {rung.share:.3g}" for rung in front.rungs)
    notes.append(f"candidates and share of all epochs: {sizes}")
    headings = (name.replace("_", " ") for name in names)
    columns = ("candidate", *headings, "val. OA %", "test OA %", "nJ/pixel")
    return Section(title, columns, rows, tuple(notes))


def _words(value: Any) -> str:
    return "own" if value == DEFAULT else shown(value)


def choice_line(front: Front, choice: Choice) -> str:
    """Return the choice in one line."""
    entry = next(entry for entry in front.front if entry.candidate == choice.candidate)
    limits = []
    if choice.budget_nj is not None:
        limits.append(f"max {choice.budget_nj:g} nJ")
    if choice.min_oa is not None:
        limits.append(f"min {choice.min_oa:g} %")
    what = (
        f"candidate {entry.candidate}, {100 * entry.validation_oa:.2f} % on validation pixels "
        f"({100 * entry.test_oa:.2f} % on test pixels), {entry.energy_nj:,.1f} nJ per pixel"
    )
    found = "pick" if choice.reached else "none; nearest"
    return f"{', '.join(limits)}: {found}: {what}: {entry.run}"
