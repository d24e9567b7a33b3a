"""Known scenes: cards by name or by path."""

from __future__ import annotations

import difflib
from pathlib import Path

from snnquant.errors import InputError
from snnquant.scenes.card import Card, read_card

SYNTHETIC = "synthetic:"
"""Prefix of the names of generated scenes."""
SAVED = ".npz"
"""Suffix of the files that `Scene.save` writes."""


def cards_folder() -> Path:
    """Return the folder of the package's cards: inside a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "datasets"
    return inside if inside.is_dir() else package.parent / "datasets"


def known_scenes() -> list[str]:
    """Return the names of the package's cards, sorted."""
    return sorted(path.stem for path in cards_folder().glob("*.toml"))


def load_card(name: str) -> Card:
    """Read the card of a known scene, or the card at a path ending in ".toml".

    Raises `InputError` that names the card and the key.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise InputError(f"{name}: found no such file, expected a scene card")
        return read_card(path, own=True)
    if name.startswith(SYNTHETIC):
        raise InputError(f"{name}: found a synthetic scene, expected a scene card")
    if name.endswith(SAVED):
        raise InputError(f"{name}: found a saved scene, expected a scene card")
    known = known_scenes()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(
            f"scene: found {name}{hint}, expected one of {', '.join(known)}, "
            f"a card's path ending in .toml, a saved scene's ending in {SAVED}, "
            f"or {SYNTHETIC}HxWxB[:SEED[:LIGHT]]"
        )
    return read_card(cards_folder() / f"{name}.toml", own=False)
