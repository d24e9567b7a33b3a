"""Page of the study: tables in Markdown and plots in SVG, made from the records."""

from __future__ import annotations

import math
import statistics
import tomllib
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snnquant.io import replacing
from snnquant.stored_networks import Network

Metrics = dict[str, Any]
Done = Callable[[str, dict[str, Any]], list[Metrics]]
PLACES = {"energy": "alone", "map_energy": "in a map"}
"""Settings in which a pixel is classified: key of the energy without `_pj`, and heading."""
HEADINGS = (
    *("", "seeds", *(f"{network.heading} OA" for network in Network), "SNN AA"),
    *("SNN kappa", "leakage", "coordinates", "s, %", "s in a map, %", "a", "nJ", "CNN / SNN"),
    *("nJ in a map", "CNN / SNN in a map", "options"),
)
FIRST_SEED = 21
"""The first of the seeds that chose nothing; smaller ones and 100 to 102 served the recipe."""
INTRODUCTION = f"""# Results

Made by `python scripts/reproduce_paper.py` (`make reproduce`); every run's record is in
[runs.jsonl](runs.jsonl), with the command that gives it. A row's command is
`snnquant run --scene SCENE` with the row's options, `--validation pixels --pixel-bits 32
--activation-bits 32` (pixels and activations in floating point) and `--seed` {FIRST_SEED},
{FIRST_SEED + 1} and so on: seeds that no part of the recipe was chosen by.
Mean ± standard deviation over seeds, in per cent. A version of this package that sums in another
order rounds otherwise, which training amplifies: the command then gives a figure within the
spread, not the same digits.

- OA, AA, kappa: overall accuracy, average accuracy and Cohen's kappa on test pixels. They set no
  option of a run, but some rows have more seeds than others because their first test OA was good:
  the best row of many flatters itself.
- Leakage: test patches that hold a training pixel. Coordinates: OA of the nearest training pixel's
  label.
- s: share of the first layer in the CNN's MACs, of a pixel alone and in a map; a: accumulates of
  the SNN per MAC of the layers after it.
- nJ: energy of one pixel classified by the SNN, alone and in a map, where overlapping windows share
  their work, by the cost table `ace_snn` (the records have `horowitz` too). CNN / SNN: energy of
  the 32-bit and of the quantized CNN over it.
"""


def options_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `snnquant run` in a row of the study."""
    return {key: value for key, value in row.items() if key != "label"}


def typed(options: dict[str, Any]) -> str:
    """Format options for the command line; true and false are a flag and its negation."""
    words = []
    for key, value in options.items():
        name = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            values = value if isinstance(value, (list, tuple)) else [value]
            words.append(" ".join([f"--{name}", *map(str, values)]))
    return " ".join(words)


def write_page(output: Path, studies: Sequence[dict[str, Any]], done: Done) -> None:
    """Write README.md and its plots to `output`; `done` returns the metrics of a row's runs."""
    parts = [INTRODUCTION]
    for study in studies:
        parts.append(f"## {study['title']}\n\n{study['text']}\n")
        for scene in study["scenes"]:
            rows = [(row, done(scene, options_of(row))) for row in study["rows"]]
            if any(runs for _, runs in rows):
                parts.append(_table(scene, rows, study.get("paper", False)))
                if "axis" in study and sum(bool(runs) for _, runs in rows) > 1:
                    name = f"{study['axis']}_{Path(scene).stem}.svg".replace(":", "-")
                    _plot(output / name, study["axis"], rows)
                    parts.append(f"![{study['title']}]({name})\n")
    with replacing(output / "README.md") as temporary:
        temporary.write_text("\n".join(parts), encoding="utf-8")


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Format mean ± standard deviation; only the mean of one value, a dash for none."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def _percent(runs: Sequence[Metrics], *keys: str) -> str:
    values = []
    for run in runs:
        value: Any = run
        for key in keys:
            value = value.get(key, {})
        if value != {}:
            values.append(100 * value)
    return spread(values)


def _table(
    scene: str, rows: Sequence[tuple[dict[str, Any], list[Metrics]]], with_paper: bool
) -> str:
    lines = [f"### {scene}\n", _line(HEADINGS), _line(["---"] * len(HEADINGS))]
    for row, runs in rows:
        if not runs:
            continue
        options = typed(options_of(row))
        scores = [_percent(runs, network, "oa") for network in Network]
        scores += [_percent(runs, "snn_trained", score) for score in ("aa", "kappa")]
        split = [_percent(runs, "split", name) for name in ("leakage", "coordinates_only_oa")]
        shape = [
            spread([_first_share(run, kind) for run in runs if f"{kind}_pj" in run], 1)
            for kind in PLACES
        ]
        shape += [spread([_accumulates(run) for run in runs])]
        code = f"`{options}`" if options else ""
        energy = [cell for kind in PLACES for cell in _energy(runs, kind)]
        lines.append(_line([row["label"], str(len(runs)), *scores, *split, *shape, *energy, code]))
    published = tomllib.loads(
        resources.files("snnquant.report")
        .joinpath("references", "ace_snn.toml")
        .read_text(encoding="utf-8")
    )
    reached = published["scenes"].get(scene)
    if reached and with_paper:
        ours = [f"{reached[k]:.2f}" if k in reached else "-" for k in ("oa", "aa", "kappa")]
        ratio = published["energy_ratio"]
        ratios = f"{ratio['cnn_fp32']}x, {ratio['cnn_quantized']}x"
        blank = ["-"] * 4
        cells = [*["-"] * len(Network), *ours, *blank, "-", "-", ratios, "-", "-", ""]
        lines.append(_line(["ACE-SNN (paper)", *cells]))
    return "\n".join(lines) + "\n"


def _first_share(run: Metrics, kind: str) -> float:
    """Return the first layer's share of the CNN's MACs in per cent, alone or in a map."""
    first, total = run["model"]["layers"][0], run["operations"]["cnn_fp32"]["mac"]
    if kind == "energy":
        return float(100 * first["mac"] / total)
    # In 32 bits a CNN's energy is its MACs times one price; a map has one position per pixel.
    energy = {k: run[f"{k}_pj"]["ace_snn"]["cnn_fp32"] for k in PLACES}
    positions = math.prod(first["output_shape"][-2:])
    return float(100 * first["mac"] / positions / (total * energy[kind] / energy["energy"]))


def _accumulates(run: Metrics) -> float:
    """Return the SNN's accumulates per MAC of the layers after the first."""
    cnn, snn = (run["operations"][name] for name in ("cnn_fp32", "snn_trained"))
    return float(snn["ac"] / (cnn["mac"] - snn["mac"]))


def _energy(runs: Sequence[Metrics], kind: str) -> tuple[str, str]:
    """Format the trained SNN's energy in nJ and the CNNs' over it, dashes if not measured."""
    if f"{kind}_pj" not in runs[0]:
        return "-", "-"
    spent = [run[f"{kind}_pj"]["ace_snn"]["snn_trained"] / 1000 for run in runs]
    ratios = (
        spread([run[f"{kind}_ratio"]["ace_snn"][cnn] for run in runs], 1) + "x"
        for cnn in runs[0][f"{kind}_ratio"]["ace_snn"]
    )
    return spread(spent, 1), ", ".join(ratios)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plot(file: Path, axis: str, rows: Sequence[tuple[dict[str, Any], list[Metrics]]]) -> None:
    """Plot OA of the networks over an option, or of the trained SNN over energy per pixel."""
    rows = [(row, runs) for row, runs in rows if runs]
    if axis == "energy":
        figure = Figure(figsize=(10, 4.5), layout="constrained")
        for axes, (kind, place) in zip(figure.subplots(1, 2), PLACES.items(), strict=True):
            _plot_energy(axes, kind, rows)
            axes.set_xlabel(f"energy of the SNN, nJ per pixel {place} (ace_snn)")
    else:
        figure = Figure(figsize=(6, 3.5), layout="constrained")
        _plot_option(figure.subplots(), axis, rows)
    for axes in figure.axes:
        axes.set_ylabel("test OA, %")
        axes.grid(alpha=0.3)
    # The same picture for the same numbers.
    with mpl.rc_context({"svg.hashsalt": "snnquant"}), replacing(file) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _plot_energy(
    axes: Axes, kind: str, rows: Sequence[tuple[dict[str, Any], list[Metrics]]]
) -> None:
    """Plot every row, and a line through those that no other row beats in both."""
    points = []
    for row, runs in rows:
        if f"{kind}_pj" not in runs[0]:  # windows that share nothing have no price in a map
            continue
        oa = [100 * run["snn_trained"]["oa"] for run in runs]
        energy = [run[f"{kind}_pj"]["ace_snn"]["snn_trained"] / 1000 for run in runs]
        point = statistics.fmean(energy), statistics.fmean(oa)
        error = statistics.stdev(oa) if len(oa) > 1 else 0
        axes.errorbar(*point, yerr=error, fmt="o", capsize=3)
        axes.annotate(row["label"], point, xytext=(5, 4), textcoords="offset points", size=7)
        points.append(point)
    axes.plot(*zip(*front(points), strict=True), color="grey", linewidth=0.8, zorder=0)


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the Pareto front of points (cost, worth)."""
    found: list[tuple[float, float]] = []
    for cost, worth in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or worth > found[-1][1]:
            found.append((cost, worth))
    return found


def _plot_option(
    axes: Axes, option: str, rows: Sequence[tuple[dict[str, Any], list[Metrics]]]
) -> None:
    # Rows that change another option beside the axis are only in the table.
    plain = [(row, runs) for row, runs in rows if not options_of(row).keys() - {option}]
    for network in Network:
        points = sorted(
            (runs[0]["model"][option], [100 * run[network]["oa"] for run in runs])
            for _, runs in plain
            if network in runs[0]
        )
        axes.errorbar(
            [str(x) for x, _ in points],
            [statistics.fmean(oa) for _, oa in points],
            yerr=[statistics.stdev(oa) if len(oa) > 1 else 0 for _, oa in points],
            marker="o",
            capsize=3,
            label=network.heading,
        )
    axes.set_xlabel(option.replace("_", " "))
    axes.legend()
