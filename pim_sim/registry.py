"""Sockets: registries by name that files outside of the package can add to.

A plugin is a Python module that registers something when it is imported. Installed packages name
theirs as entry points of the group ``snnquant.plugins``; a single file is named by the environment
variable ``SNNQUANT_PLUGINS`` (paths of .py files or names of modules, separated as in ``PATH``).
Both are imported at the first look-up of any registry, so that `--help` imports none of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from pim_sim.errors import InputError
from pim_sim.io import one_line

Entry = TypeVar("Entry")
PLUGIN_VARIABLE = "SNNQUANT_PLUGINS"
ENTRY_POINT_GROUP = "snnquant.plugins"


class Registry(Generic[Entry]):
    """The only list of the things of one kind, by name.

    >>> shapes: Registry[int] = Registry("shape")
    >>> shapes.register("square")(4)
    4
    >>> shapes.get("square"), shapes.names()
    (4, ['square'])
    """

    def __init__(self, kind: str, package: str | None = None) -> None:
        """Make an empty registry.

        Args:
            kind: Name of the kind, for messages.
            package: Package whose modules register entries; imported at the first look-up.
        """
        self.kind = kind
        self._package = package
        self._entries: dict[str, Entry] = {}

    def _load(self) -> None:
        if self._package is not None:
            package, self._package = importlib.import_module(self._package), None
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{package.__name__}.{module.name}")
        load_plugins()

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Decorate an entry to add it under `name`; raise `InputError` where the name is taken."""

        def add(entry: Entry) -> Entry:
            if name in self._entries:
                raise InputError(f"{self.kind} {name!r}: registered twice, expected a new name")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> Entry:
        """Return the entry called `name`; raise `InputError` that lists the names there are."""
        self._load()
        if name not in self._entries:
            known = ", ".join(self._entries)
            raise InputError(f"{self.kind}: found {name!r}, expected one of {known}")
        return self._entries[name]

    def names(self) -> list[str]:
        """Return all names, in the order of registration."""
        self._load()
        return list(self._entries)

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        self._load()
        return iter(list(self._entries.values()))


@cache
def load_plugins() -> None:
    """Import every plugin once; raise `InputError` that names one that cannot be imported."""
    for name in filter(None, os.environ.get(PLUGIN_VARIABLE, "").split(os.pathsep)):
        try:
            _import(name)
        except Exception as error:  # whatever the code of a plugin raises
            raise InputError(f"{PLUGIN_VARIABLE}: {name}: {one_line(error)}") from error
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            point.load()
        except Exception as error:
            raise InputError(f"plugin {point.name} ({point.value}): {one_line(error)}") from error


def _import(name: str) -> None:
    if not name.endswith(".py"):
        importlib.import_module(name)
        return
    path = Path(name).resolve()
    module_name = f"snnquant_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None  # a name that ends in .py has both
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
