"""Libraries that only some users install."""

from __future__ import annotations

import importlib
from typing import Any

from snnquant.errors import InputError


def require(extra: str, *modules: str) -> list[Any]:
    """The modules of an extra, imported; InputError that says how to install it."""
    try:
        return [importlib.import_module(module) for module in modules]
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name}: not installed, expected the extra: pip install 'snnquant[{extra}]'"
        ) from None
