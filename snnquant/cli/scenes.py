"""`snnquant scenes`: the known scenes, their cards and their data."""

from __future__ import annotations

import json as json_format
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from snnquant.cli.examples import epilogue
from snnquant.cli.options import Json

if TYPE_CHECKING:
    from rich.table import Table

    from snnquant.scenes.card import Card, DataFile

app = App(
    name="scenes",
    help="List the known scenes, show one's card, or fetch its data.",
    help_epilogue=epilogue("scenes"),
)

SceneName = Annotated[str, Parameter(help="A known scene, or a card's path ending in .toml.")]


@app.default
@app.command(name="list")
def list_scenes(*, json: Json = False) -> None:
    """List every known scene with its shape, classes and location."""
    from snnquant.scenes.known import known_scenes, load_card

    cards = [load_card(name) for name in known_scenes()]
    if json:
        print(json_format.dumps({"scenes": [_summary(card) for card in cards]}))
        return
    table = _table("scene", "shape", "classes", "data")
    for card in cards:
        shape = "x".join(map(str, card.shape)) if card.shape else "not stated"
        table.add_row(card.name, shape, str(len(card.classes)), _place(card))
    _print(table)
    _print("Any size, for tests: synthetic:HxWxB[:SEED[:LIGHT]]. Your own: the path of a card.")


@app.command
def show(name: SceneName, /, *, json: Json = False) -> None:
    """Show a scene's card, with the pixels per class where the labels are available."""
    from snnquant.scenes.known import load_card

    card = load_card(name)
    counts = _pixel_counts(card)
    if json:
        print(json_format.dumps(_description(card, counts)))
        return
    from rich.text import Text

    _print(card.title)
    for key, value in _facts(card).items():
        _print(f"{key + ':':<12} {value}")
    table = _table("label", "class", "colour", "pixels")
    for entry in card.classes:
        pixels = "" if counts is None else str(counts[entry.name])
        colour = Text(f"■ {entry.colour}", style=entry.colour)
        table.add_row(str(entry.label), entry.name, colour, pixels)
    if counts is not None:
        table.add_row("0", "unlabelled", "", str(counts["unlabelled"]))
    _print(table)


@app.command
def fetch(name: SceneName, /) -> None:
    """Download the missing files of a scene's cube and labels, check them, and print the paths."""
    from snnquant.scenes.known import load_card
    from snnquant.scenes.locate import obtain_file

    card = load_card(name)
    for path in dict.fromkeys(obtain_file(card, entry)[0] for entry in (card.cube, card.labels)):
        print(path)


def _summary(card: Card) -> dict[str, Any]:
    from snnquant.scenes.locate import find_file

    cube, labels = find_file(card, card.cube), find_file(card, card.labels)
    return {
        "name": card.name,
        "title": card.title,
        "shape": card.shape,
        "classes": len(card.classes),
        "at_hand": cube is not None and labels is not None,
        "cube": None if cube is None else str(cube),
        "labels": None if labels is None else str(labels),
    }


def _pixel_counts(card: Card) -> dict[str, int] | None:
    from snnquant.scenes.labels import read_labels
    from snnquant.scenes.locate import find_file, obtain_file

    if find_file(card, card.labels) is None:
        return None
    labels = read_labels(card, obtain_file(card, card.labels)[0])
    names = ("unlabelled", *(entry.name for entry in card.classes))
    return {name: int((labels == number).sum()) for number, name in enumerate(names)}


def _description(card: Card, counts: dict[str, int] | None) -> dict[str, Any]:
    return _summary(card) | {
        "card": str(card.path),
        "sensor": card.sensor,
        "licence": card.licence,
        "citation": card.citation,
        "class_names": [entry.name for entry in card.classes],
        "label_values": card.label_values,
        "colours": [entry.colour for entry in card.classes],
        "pixels": counts,
    }


def _facts(card: Card) -> dict[str, str]:
    waves = card.wavelengths
    facts = {
        "sensor": card.sensor,
        "shape": " x ".join(map(str, card.shape)) if card.shape else None,
        "licence": card.licence,
        "citation": card.citation,
        "wavelengths": None if waves is None else waves.source,
        "cube": _where(card, card.cube),
        "labels": _where(card, card.labels),
        "mask": None if card.mask is None else _where(card, card.mask.train),
        "card": str(card.path),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _place(card: Card) -> str:
    from snnquant.scenes.locate import find_file

    entries = (card.cube, card.labels)
    missing = [entry for entry in entries if find_file(card, entry) is None]
    if any(entry.url is None for entry in missing):
        return "missing (show says where it goes)"
    if missing:
        return "to be downloaded (fetch)"
    if card.cube.distribution is not None:
        return f"in the package {card.cube.distribution}"
    return f"in {_where(card, card.cube)}"


def _where(card: Card, entry: DataFile) -> str:
    from snnquant.scenes.locate import DATA_VARIABLE, find_file

    path = find_file(card, entry)
    if path is not None:
        return str(path)
    if entry.url is not None:
        return f"to be downloaded from {entry.url}"
    place = "beside the card" if card.own else f"in the folder that {DATA_VARIABLE} names"
    return f"missing: {entry.file}, to be put {place}"


def _table(*columns: str) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(*columns, box=SIMPLE, pad_edge=False)
    table.columns[-1].overflow = "fold"
    return table


def _print(item: Table | str) -> None:
    from rich.console import Console

    Console(highlight=False, markup=False).print(item, soft_wrap=isinstance(item, str))
