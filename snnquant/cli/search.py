"""`snnquant search`: a Pareto search over the options of a run."""

from __future__ import annotations

import hashlib
import json as json_module
import shlex
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from snnquant.cli.options import DEFAULT_CONFIG, Config, Json
from snnquant.cli.progress import show_progress
from snnquant.config.options import OUTPUT, section
from snnquant.errors import InputError

if TYPE_CHECKING:
    from snnquant.search import Front, Search, Space

SEARCH = Group("Search", sort_key=-1)


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Space, limits and method of a search."""

    over: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Axis NAME=VALUE,VALUE of the space, repeated: any option of the network or its training, chip
    or schedule; numbers of one value are joined by /, default is the option's own default. Without
    any: networks, widths, time steps, bits, pixel bits and spike penalties."""
    space: Path | None = None
    """TOML file of axes, a list of values per name; --over beats it."""
    budget_nj: float | None = None
    """Max energy per pixel of the pick in nJ, memory included."""
    min_oa: float | None = None
    """Min overall accuracy of the pick on validation pixels, in percent."""
    map: Annotated[bool, Parameter(negative="")] = False
    """Energy of a pixel in a map, whose neighbours share its work, in place of one on its own."""
    candidates: int = 54
    """Max candidates; drawn by the seed where the space has more."""
    rungs: int = 3
    """Rungs: all candidates train briefly, the best longer, and so forth; the last in full."""
    reduction: float = 3.0
    """Factor between rungs: so many fewer candidates, so many more epochs."""

    def __post_init__(self) -> None:
        _require(1 <= self.candidates <= 10_000, "--candidates", self.candidates, "1 to 10,000")
        budget, oa = self.budget_nj, self.min_oa
        _require(budget is None or 0 < budget < 1e12, "--budget-nj", budget, "above 0 nJ")
        _require(oa is None or 0 <= oa < 100, "--min-oa", oa, "0 to below 100 %")


@dataclass(frozen=True, kw_only=True)
class SearchPlaces:
    """Folder and processes of a search."""

    output: Path | None = None
    """Folder of the search; the same command resumes there; by default searches/SCENE-DIGEST."""
    workers: int = 0
    """Processes, one thread each; 0: one per core."""
    scheduler: str | None = None
    """Address of a Dask scheduler whose workers train, in place of this machine."""
    config: Path | None = None
    """TOML file of options that are fixed, such as a run's config.toml."""
    json: Json = False

    def __post_init__(self) -> None:
        _require(0 <= self.workers <= 1024, "--workers", self.workers, "0 to 1,024")


def _require(condition: bool, flag: str, found: object, expected: str) -> None:
    if not condition:
        raise InputError(f"{flag}: found {found}, expected {expected}")


DEFAULT_SEARCH = SearchOptions()
DEFAULT_PLACES = SearchPlaces()


def search(
    config: Config = DEFAULT_CONFIG,
    options: Annotated[SearchOptions, section(SEARCH)] = DEFAULT_SEARCH,
    places: Annotated[SearchPlaces, section(OUTPUT)] = DEFAULT_PLACES,
) -> None:
    """Train candidates of a space, halve them, and return the front of accuracy over energy.

    Options of `run` are fixed for all candidates. Validation pixels decide; test pixels are read
    once, at the end, for the front only.
    """
    from snnquant.pipeline.run_start import large_classes
    from snnquant.scenes import load_scene
    from snnquant.search import Search, make_space, read_axes
    from snnquant.search import search as run_search
    from snnquant.search.stepwise import accepted

    # A network trained on the pixels that decide would be praised for what it has seen.
    base = replace(config, split=replace(config.split, refit=False))
    axes = read_axes(options.over, options.space)
    settings = Search(rungs=options.rungs, reduction=options.reduction, in_map=options.map)
    scene = large_classes(load_scene(base.scene), base.split)
    space = make_space(base, axes, options.candidates, lambda own: accepted(own, scene))
    folder = places.output or _folder(space, scene, settings)
    with show_progress() as progress:
        try:
            front = run_search(
                space,
                scene,
                folder,
                settings,
                processes=places.workers,
                scheduler=places.scheduler,
                progress=progress,
            )
        except KeyboardInterrupt:
            call = shlex.join(["snnquant", *sys.argv[1:]])
            print(f"snnquant: resume with: {call}", file=sys.stderr)
            raise
    _print(front, folder, options, places.json)


def _folder(space: Space, scene: Any, settings: Search) -> Path:
    from snnquant.search.stepwise import describe

    text = json_module.dumps(describe(space, scene, settings), sort_keys=True)
    name = "".join(c if c.isalnum() or c in "._" else "-" for c in scene.name)
    return Path("searches") / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _print(front: Front, folder: Path, options: SearchOptions, as_json: bool) -> None:
    choice = front.choose(options.budget_nj, options.min_oa)
    if as_json:
        found = {"folder": str(folder), "choice": None if choice is None else asdict(choice)}
        print(json_module.dumps(front.to_dict() | found))
        return
    from rich.console import Console

    from snnquant.report.terminal import print_section
    from snnquant.search.front import choice_line, front_section

    print_section(front_section(front), Console())
    if choice is not None:
        print(choice_line(front, choice))
    print(f"front: {folder / 'front.json'}")
