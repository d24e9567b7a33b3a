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

    @classmethod
    def beside(cls, folder: Path) -> SeedRuns:
        """Read the scores of a run folder and of the run folders beside it.

        The strength of a within-class scaling may differ too: a run chooses it on its own pixels.
        """
        options, found = _options(folder), dict[int, dict[Network, float]]()
        if options is None:
            return cls(found)
        seed, scene = options.pop("seed", 0), _scene(folder)
        try:
            others = sorted(path for path in folder.resolve().parent.iterdir() if path.is_dir())
        except OSError:
            others = []
        for path in [folder, *others]:
            theirs = _options(path)
            if theirs is None:
                continue
            number = theirs.pop("seed", 0)
            own = path is folder
            if number in found or (not own and (number == seed or theirs != options)):
                continue
            scores = _scores(path)
            if scores and (own or _scene(path) == scene):
                found[number] = scores
        return cls(dict(sorted(found.items())))

    def spread(self, network: Network) -> str:
        """Return mean and standard deviation over the seeds; empty for fewer than two."""
        own = {seed: oa[network] for seed, oa in self.accuracies.items() if network in oa}
        if len(own) < 2:
            return ""
        percent = [100 * oa for oa in own.values()]
        seeds = ", ".join(map(str, own))
        figures = f"{statistics.mean(percent):.2f} ± {statistics.stdev(percent):.2f} %"
        return f"{figures} over {len(own)} seeds ({seeds})"


def _options(folder: Path) -> dict[str, Any] | None:
    try:
        options = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    options["scaling"] = str(options.get("scaling", "")).partition(":")[0]
    return options


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
