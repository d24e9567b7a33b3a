"""Record of a run for its page: options, command, versions, digests, source, training curves."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
import shlex
import tomllib
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from snnquant.report.seed_runs import SeedRuns
from snnquant.stored_networks import Network

Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class RunRecord:
    """Content of the run folder's files that the page shows; empty where a file is missing.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "config.toml").write_text('scene = "field.toml"\\nseed = 3\\n')
    ...     record = RunRecord.read(Path(folder))
    >>> record.options, record.digests
    ({'scene': 'field.toml', 'seed': '3'}, {})
    """

    options: dict[str, str] = field(default_factory=dict)
    """Options by name, as text."""
    digests: dict[str, str] = field(default_factory=dict)
    """sha256 by file: the scene's data, then the networks."""
    source: dict[str, str] = field(default_factory=dict)
    """Sensor, licence and citation of the scene, where its card has them."""
    losses: dict[str, Curve] = field(default_factory=dict)
    """Loss by epoch, by stage."""
    accuracies: dict[str, Curve] = field(default_factory=dict)
    """Validation accuracy in per cent by epoch, by stage."""
    imported: bool = False
    """True where the CNN came from a file."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Duration in seconds, by stage."""
    machine: str = ""
    """Machine of the run; empty where it was not recorded."""
    packages: dict[str, str] = field(default_factory=dict)
    """Versions of the packages of the run."""
    seeds: SeedRuns = field(default_factory=lambda: SeedRuns({}))
    """Scores of this run and of those beside it that differ in their seed only."""

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Read the record of a run folder."""
        card = _toml(folder / "card.toml")
        keys = ("title", "sensor", "licence", "citation")
        losses, accuracies = _history(folder / "history.csv")
        seconds, machine, packages = _recorded(folder / "record.json")
        return cls(
            options={key: _text(value) for key, value in _toml(folder / "config.toml").items()},
            digests=_digests(folder),
            source={key: str(card[key]) for key in keys if key in card},
            losses=losses,
            accuracies=accuracies,
            imported=(folder / "key_map.json").exists(),
            seconds=seconds,
            machine=machine,
            packages=packages,
            seeds=SeedRuns.beside(folder),
        )

    @property
    def command(self) -> str:
        """Command that repeats the run with the options of its config.toml."""
        if self.imported:
            return "snnquant convert CNN_FILE --finetune --config config.toml"
        return "snnquant run --config config.toml"

    @property
    def versions(self) -> str:
        """Versions of the packages that ran the run, or that wrote the page, and of Python."""
        found = self.packages or {name: metadata.version(name) for name in _PACKAGES}
        packages = " ".join(f"{name} {version}" for name, version in found.items())
        return f"{packages}, Python {platform.python_version()}, {platform.machine()}"

    @property
    def durations(self) -> list[tuple[str, str]]:
        """Stages with their durations, and the sum of all."""
        found = [(stage, _minutes(seconds)) for stage, seconds in self.seconds.items()]
        whole = [("in all", _minutes(sum(self.seconds.values())))] if len(found) > 1 else []
        return [*found, *whole]


_PACKAGES = ("snnquant", "torch", "numpy")


def _minutes(seconds: float) -> str:
    """Format a duration.

    >>> _minutes(8.26), _minutes(95), _minutes(7300)
    ('8.3 s', '1 min 35 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def _recorded(file: Path) -> tuple[dict[str, float], str, dict[str, str]]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        seconds = {str(stage): float(value) for stage, value in found["seconds"].items()}
        versions = {str(name): str(version) for name, version in found["versions"].items()}
        return seconds, str(found["machine"]), versions
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, "", {}  # a folder of before


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else shlex.quote(str(value))


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _digests(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        files = json.loads((folder / "scene.json").read_text(encoding="utf-8"))["files"]
        found |= {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # a synthetic scene, or a folder of before
    for network in Network:
        file = folder / network.file
        if file.exists():
            found[network.file] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def _history(file: Path) -> tuple[dict[str, Curve], dict[str, Curve]]:
    losses: dict[str, Curve] = {}
    accuracies: dict[str, Curve] = {}
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                stage, epoch = row["stage"], float(row["epoch"]) + 1
                losses.setdefault(stage, []).append((epoch, float(row["loss"])))
                percent = 100 * float(row["validation_accuracy"])
                accuracies.setdefault(stage, []).append((epoch, percent))
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}, {}
    return losses, accuracies
