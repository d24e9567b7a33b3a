"""Records of the study's runs: one JSON object per line, by name, in one file."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnquant.errors import InputError
from snnquant.io import replacing

Record = dict[str, Any]


class Records:
    """The records in a file such as docs/results/runs.jsonl; a missing file holds none."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._by_name = self._read()

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> Record | None:
        """Return the record of a run, None if it is missing."""
        return self._by_name.get(name)

    def add(self, name: str, record: Record) -> None:
        """Add or replace a record; the file is written whole, sorted by name.

        Threads and processes may add at the same time: each reads what the others have written.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.file.parent):
            self._by_name = self._read() | {name: record}
            lines = (
                json.dumps({"name": key, **self._by_name[key]}) + "\n"
                for key in sorted(self._by_name)
            )
            with replacing(self.file) as temporary:
                temporary.write_text("".join(lines), encoding="utf-8")

    def _read(self) -> dict[str, Record]:
        found: dict[str, Record] = {}
        if self.file.exists():
            lines = self.file.read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines, start=1):
                try:
                    record: Record = json.loads(line)
                    found[record.pop("name")] = record
                except (ValueError, KeyError, TypeError, AttributeError):
                    where = f"{self.file}: line {number}"
                    raise InputError(f"{where}: found no record, expected one per line") from None
        return found


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a folder; the lock ends with its holder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
