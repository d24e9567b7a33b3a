"""Runs beside a run that differ from it in their seed only: the spread of its scores."""

from __future__ import annotations

import hashlib
import json
import statistics
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnquant.stored_networks import Network


@dataclass(frozen=True)
class SeedRuns:
    """Overall accuracies of runs of the same options and scene, by seed.

    >>> runs = SeedRuns({7: {Network.CNN_FP32: 0.8}, 8: {Network.CNN_FP32: 0.9}})
    >>> runs.spread(Network.CNN_FP32)
    '85.00 ± 7.07 % over 2 seeds (7, 8)'
    >>> runs.spread(Network.SNN_TRAINED), SeedRuns({}).spread(Network.CNN_FP32)
    ('', '')
    """

    accuracies: dict[int, dict[Network, float]]
    """Overall accuracy, 0 to 1, by seed and network."""
    chosen: bool = False
    """True where the runs differ in spectra or scaling, which runs choose on their own pixels."""

    @classmethod
    def beside(cls, folder: Path) -> SeedRuns:
        """Read the scores of a run folder and of the run folders beside it.

        A run whose scaling is within-class may have chosen it and its spectra, so that these may
        differ; of several runs of a seed, one of the same choices counts.
        """
        options = _options(folder)
        if options is None:
            return cls({})
        own, scene = int(options.pop("seed", 0)), _scene(folder)
        found = {own: (options, _scores(folder))}
        try:
            others = sorted(path for path in folder.resolve().parent.iterdir() if path.is_dir())
        except OSError:
            others = []
        for path in others:
            theirs = _options(path)
            if theirs is None:
                continue
            seed = int(theirs.pop("seed", 0))
            known = seed in found and (seed == own or theirs != options)
            if known or _given(theirs) != _given(options) or _scene(path) != scene:
                continue
            if scores := _scores(path):
                found[seed] = (theirs, scores)
        return cls(
            {seed: found[seed][1] for seed in sorted(found)},
            chosen=any(theirs != options for theirs, _ in found.values()),
        )

    def spread(self, network: Network) -> str:
        """Return mean and standard deviation over the seeds; empty for fewer than two."""
        own = {seed: oa[network] for seed, oa in self.accuracies.items() if network in oa}
        if len(own) < 2:
            return ""
        percent = [100 * oa for oa in own.values()]
        seeds = ", ".join(map(str, own))
        figures = f"{statistics.mean(percent):.2f} ± {statistics.stdev(percent):.2f} %"
        chosen = ", spectra and scaling as each chose them" if self.chosen else ""
        return f"{figures} over {len(own)} seeds ({seeds}){chosen}"


def _options(folder: Path) -> dict[str, Any] | None:
    try:
        options = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return options if isinstance(options.get("seed", 0), int) else None


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return options without those that a run may have chosen itself."""
    if not str(options.get("scaling", "")).startswith("within-class"):
        return options
    return options | {"scaling": "within-class", "spectra": ""}


def _scene(folder: Path) -> str:
    """Return the digest of a run's scene; empty where its options describe it whole."""
    try:
        if (folder / "scene.npz").exists():
            return hashlib.sha256((folder / "scene.npz").read_bytes()).hexdigest()
        return str(json.loads((folder / "scene.json").read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _scores(folder: Path) -> dict[Network, float]:
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        return {name: float(metrics[name]["oa"]) for name in Network if name in metrics}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
