"""Folders of TOML files that come with the package, and files of the user's beside them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pim_sim.checks import refuse, shown
from pim_sim.errors import InputError

Thing = TypeVar("Thing")

_TEXT = re.compile(r"""^((?:[^#"']|"")*)("[^"]+"|'[^']*')""")
_NUMBER = re.compile(r"([\w-]+)\s*=[\s\[]*[-+]?\.?\d")


@dataclass(frozen=True)
class Catalogue:
    """The files of one kind, such as "hardware"."""

    kind: str
    folder: Path
    sourced: bool = False
    """Whether every number of a file must say its unit and source in a comment behind it."""

    def names(self) -> tuple[str, ...]:
        """Names of the files that come with the package."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.toml")))

    def file(self, name_or_path: str | Path) -> Path:
        """The file of a known name, or the path itself where it ends in ``.toml``.

        Raises `InputError` for a name that is neither.
        """
        path = Path(name_or_path)
        if path.suffix == ".toml":
            return path
        if str(name_or_path) not in self.names():
            expected = f"a path ending in .toml or one of {', '.join(self.names())}"
            raise refuse(self.kind, str(name_or_path), expected)
        return self.folder / f"{name_or_path}.toml"

    def load(
        self, name_or_path: str | Path, build: Callable[[str, dict[str, Any]], Thing]
    ) -> Thing:
        """What `build` makes of a file's name and content.

        Raises `InputError`, one line that starts with the file, where it cannot be read or `build`
        refuses it.
        """
        path = self.file(name_or_path)
        try:
            text = path.read_text(encoding="utf-8")
            built = build(path.stem, tomllib.loads(text))
            if self.sourced:
                _require_sources(text)
            return built
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (ValueError, RecursionError) as error:
            # not TOML (with the line), not UTF-8, a huge integer, endless nesting
            raise InputError(f"{path}: not TOML that can be read: {shown(str(error))}") from None


def _require_sources(text: str) -> None:
    """`InputError` for the first number, but the schema's, without a comment of two words."""
    for line in text.splitlines():
        code, _, comment = _without_text(line).partition("#")
        number = _NUMBER.search(code)
        if number and number[1] != "schema" and len(comment.split()) < 2:
            expected = "expected its unit and source in a comment behind it"
            raise InputError(f"{number[1]}: found {shown(comment.strip())}, {expected}")


def _without_text(line: str) -> str:
    """The line with what stands in quotes, before a comment, taken out."""
    while (shorter := _TEXT.sub(r'\1""', line)) != line:
        line = shorter
    return line
