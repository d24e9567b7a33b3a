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

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Read the record of a run folder."""
        card = _toml(folder / "card.toml")
        keys = ("title", "sensor", "licence", "citation")
        losses, accuracies = _history(folder / "history.csv")
        return cls(
            options={key: _text(value) for key, value in _toml(folder / "config.toml").items()},
            digests=_digests(folder),
            source={key: str(card[key]) for key in keys if key in card},
            losses=losses,
            accuracies=accuracies,
            imported=(folder / "key_map.json").exists(),
        )

    @property
    def command(self) -> str:
        """Command that repeats the run with the options of its config.toml."""
        if self.imported:
            return "snnquant convert CNN_FILE --finetune --config config.toml"
        return "snnquant run --config config.toml"

    @property
    def versions(self) -> str:
        """Versions of the packages and kind of the machine that wrote the page."""
        packages = " ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
        return f"{packages}, Python {platform.python_version()}, {platform.machine()}"


_PACKAGES = ("snnquant", "torch", "numpy")


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
