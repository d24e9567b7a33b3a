"""Tables of a comparison as text, the same for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snnquant.report.compared_runs import Compared, Comparison, Pair
from snnquant.report.table_parts import BLANK, Section, percent

_ENERGY = (
    "nJ per pixel classified on its own. Memory: buffers and DRAM; transfer: links, arrival and "
    "leakage; 45 nm: arithmetic only, at true widths (horowitz_widths)."
)
_TEST = (
    "McNemar's test on test pixels of both runs: exact for fewer than 25 pixels on which only one "
    "is right, else chi-squared with correction. Holm: corrected for the number of tests. Both "
    "test the networks at hand, not the methods that trained them: repeat with other seeds."
)


def names_of(networks: Sequence[Compared]) -> dict[int, str]:
    """Return short names by number: the folder's, its path where two agree, and the network."""
    several = len({row.network for row in networks}) > 1
    short = {row.run: Path(row.run).name or row.run for row in networks}
    twice = len(set(short.values())) < len(short)
    return {
        row.number: " ".join(
            (
                str(row.number),
                *((row.run,) if twice else (short[row.run],)),
                *((row.network,) if several else ()),
            )
        )
        for row in networks
    }


def comparison_sections(comparison: Comparison) -> list[Section]:
    """Return the tables: scores with the front, energies, paired tests."""
    names = names_of(comparison.networks)
    found = [_scores(comparison, names)]
    if any(row.energy is not None or row.compute_only_nj for row in comparison.networks):
        found.append(_energies(comparison, names))
    if comparison.pairs:
        found.append(_tests(comparison.pairs))
    return found


def front_word(row: Compared) -> str:
    """Return the place of a network in the front, as a cell."""
    if row.energy is None:
        return BLANK
    beaten = ", ".join(map(str, row.dominated_by))
    return f"dominated by {beaten}" if row.dominated_by else "front"


def number(value: float | None) -> str:
    """Format an energy or a size."""
    if value is None:
        return BLANK
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def probability(p: float | None) -> str:
    """Format a p-value; very small ones as a bound.

    >>> probability(0.0123), probability(1e-20), probability(None)
    ('0.012', '<1e-12', '-')
    """
    if p is None:
        return BLANK
    return "<1e-12" if p < 1e-12 else f"{p:.2g}"


def _scores(comparison: Comparison, names: dict[int, str]) -> Section:
    rows = tuple(
        (
            names[row.number],
            *(percent(row.oa), percent(row.aa), percent(row.kappa)),
            f"{row.test_pixels:,}",
            number(None if row.energy is None else row.energy.total_nj),
            front_word(row),
        )
        for row in comparison.networks
    )
    columns = ("OA, %", "AA, %", "kappa, %", "test pixels", "nJ per pixel", "OA over energy")
    origins = {row.number: f"{row.scene}, split {row.split}" for row in comparison.networks}
    if len(set(origins.values())) == 1:
        notes = [next(iter(origins.values()))]
    else:
        notes = [f"{key}: {origin}" for key, origin in sorted(origins.items())]
    if any(pair.remark for pair in comparison.pairs):
        notes.append("Test pixels differ: scores of different pixels are no fair comparison.")
    return Section("Networks", columns, rows, tuple(notes))


def _energies(comparison: Comparison, names: dict[int, str]) -> Section:
    rows = []
    for row in comparison.networks:
        spent = row.energy
        cells: tuple[float | None, ...] = (None,) * 5
        if spent is not None:
            cells = spent.total_nj, spent.memory_nj, spent.compute_nj, spent.transfer_nj
            cells += (spent.weight_bytes,)
        rows.append((names[row.number], *map(number, cells), number(row.compute_only_nj)))
    chips = sorted({row.energy.chip for row in comparison.networks if row.energy is not None})
    notes = [_ENERGY]
    if len(chips) > 1:
        notes.append(f"Chips differ ({', '.join(chips)}): --chip NAME prices all on one.")
    columns = ("total", "memory", "compute", "transfer", "weights, bytes", "45 nm")
    return Section(f"Energy on {', '.join(chips) or 'no chip'}", columns, tuple(rows), tuple(notes))


def _tests(pairs: Sequence[Pair]) -> Section:
    rows, notes = [], [_TEST]
    for pair in pairs:
        name = f"{pair.first} and {pair.second}"
        cells: tuple[str, ...] = (BLANK,) * 5
        if pair.test is not None:
            counts = pair.test.first_only, pair.test.second_only, pair.test.both_wrong
            counted = map("{:,}".format, counts)
            cells = (*counted, probability(pair.test.p), probability(pair.p_holm))
        rows.append((name, f"{pair.common:,}", *cells))
        if pair.remark is not None:
            notes.append(f"{name}: {pair.remark}.")
    columns = ("pixels", "only 1st right", "only 2nd right", "both wrong", "p", "p, Holm")
    return Section("Paired test", columns, tuple(rows), tuple(notes))
