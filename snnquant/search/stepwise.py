"""A search from its space to its front, in a folder from which a stopped one resumes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import snnquant
from pim_sim import load_chip
from pim_sim.network.schedules import check_schedule
from pim_sim.sweep.pareto import undominated
from snnquant.config import RunConfig, write_config
from snnquant.errors import InputError
from snnquant.io import write_json
from snnquant.models import build_model, require_convertible
from snnquant.pipeline.run import Progress
from snnquant.pipeline.run_start import with_scaling
from snnquant.report import RunMetrics
from snnquant.scenes import Scene
from snnquant.search.candidate_runs import (
    SCORE_FILE,
    Pricing,
    cheapest,
    cnn_key,
    prepare,
    share_cnn,
    short,
    test_candidate,
    train_candidate,
    train_shared,
)
from snnquant.search.front import Front, FrontEntry, Rung
from snnquant.search.halving import rung_sizes, shares, survivors
from snnquant.search.space import Candidate, Space
from snnquant.search.workers import finished
from snnquant.spiking import build_neuron
from snnquant.stored_networks import Network

SEARCH_FILE = "search.json"
"""Description of the search that a folder holds."""
FRONT_FILE = "front.json"


@dataclass(frozen=True, kw_only=True)
class Search:
    """Settings of a search beside its space."""

    rungs: int = 3
    """Rungs of successive halving, at least 1."""
    reduction: float = 3.0
    """Factor between rungs: so many fewer candidates, so many more epochs; above 1."""
    in_map: bool = False
    """Price a pixel in a map, whose neighbours share its work."""

    def __post_init__(self) -> None:
        _require(1 <= self.rungs <= 10, "--rungs", self.rungs, "1 to 10")
        _require(1 < self.reduction <= 100, "--reduction", self.reduction, "above 1, at most 100")


def _require(condition: bool, flag: str, found: object, expected: str) -> None:
    if not condition:
        raise InputError(f"{flag}: found {found}, expected {expected}")


def accepted(config: RunConfig, scene: Scene) -> RunConfig:
    """Return a candidate's options with the scaling of its scene's card.

    Raises InputError where its network cannot be built or has no spiking form.
    """
    require_convertible(config.model)
    build_neuron(config.neuron)
    with torch.device("meta"):  # shapes only
        build_model(config.model, scene.bands, scene.classes)
    return with_scaling(config, scene)


def search(
    space: Space,
    scene: Scene,
    folder: Path,
    settings: Search,
    *,
    processes: int = 0,
    scheduler: str | None = None,
    progress: Progress = lambda *_: None,
) -> Front:
    """Train, score and halve the candidates of a space; write front.json.

    Every rung trains all networks anew for its share of the epochs, since the learning rate falls
    to zero within a training; the last rung is what `snnquant run` does with the same options.
    Accuracy and energy are those on validation pixels. Test pixels are read once, at the end, and
    for the front only.

    Args:
        space: The candidates.
        scene: The scene of all of them.
        folder: Folder of the search: new, or that of this very search, which resumes.
        settings: Rungs and energies.
        processes: Processes on this machine, of one thread each; 0 for one per core.
        scheduler: Address of a Dask scheduler that has the workers instead.
        progress: Receives the progress: a rung, jobs done, jobs in all, a remark.

    Returns:
        Content of front.json, the same for the same space, scene, settings and kind of processor.

    Raises:
        InputError: The folder holds something else, a chip or schedule is unknown, no candidate can
            be priced, or a file cannot be written.
    """
    chips = tuple(load_chip(str(name)) for name in space.chips)
    for chip in chips:
        for schedule in space.schedules:
            check_schedule(schedule, chip)
    pricing = Pricing(chips, space.schedules, settings.in_map)
    _claim(folder, space, scene, settings, [asdict(chip) for chip in chips])
    trials = _Trials(folder, scene, pricing, processes, scheduler, progress)
    left: Sequence[Candidate] = space.candidates
    sizes = rung_sizes(len(left), settings.rungs, settings.reduction)
    rungs: list[Rung] = []
    for number, share in enumerate(shares(settings.rungs, settings.reduction), 1):
        scores, cnns = trials.rung(number, settings.rungs, left, share)
        rungs.append(Rung(share, cnns, tuple(map(_brief, left, scores))))
        priced = [i for i, score in enumerate(scores) if score["prices"]]
        if not priced:
            raise InputError(f"--over: found no candidate with a price: {scores[0]['refused']}")
        points = np.array([_objectives(scores[i]) for i in priced])
        last = number == settings.rungs
        kept = undominated(points).tolist() if last else survivors(points, sizes[number])
        left, scores = [left[priced[i]] for i in kept], [scores[priced[i]] for i in kept]
    tested = trials.test(settings.rungs, left)
    entries = map(functools.partial(_entry, settings.rungs), left, scores, tested)
    found = Front(
        scene=scene.name,
        in_map=settings.in_map,
        combinations=space.combinations,
        impossible=space.impossible,
        candidates=len(space.candidates),
        rungs=tuple(rungs),
        front=tuple(sorted(entries, key=lambda entry: entry.energy_nj)),
    )
    write_json(folder / FRONT_FILE, found.to_dict())
    return found


def _objectives(score: dict[str, Any]) -> tuple[float, float]:
    """Return error and log of the energy, less is better: energies span decades."""
    return 1 - score["validation_oa"], float(np.log(cheapest(score["prices"])["energy_nj"]))


def _brief(candidate: Candidate, score: dict[str, Any]) -> dict[str, Any]:
    own = {"candidate": candidate.number, "validation_oa": score["validation_oa"]}
    if not score["prices"]:
        return own | {"refused": score["refused"]}
    return own | {"energy_nj": cheapest(score["prices"])["energy_nj"]}


def _entry(rung: int, candidate: Candidate, score: dict[str, Any], test_oa: float) -> FrontEntry:
    return FrontEntry(
        candidate=candidate.number,
        options=dict(candidate.values),
        run=_place(rung, candidate).as_posix(),
        validation_oa=score["validation_oa"],
        prices=tuple(score["prices"]),
        test_oa=test_oa,
        **cheapest(score["prices"]),
    )


def _place(rung: int, candidate: Candidate) -> Path:
    return Path(f"rung_{rung}") / f"candidate_{candidate.number:04}"


@dataclass(frozen=True)
class _Trials:
    """Trainings in the folder of a search; those that are done already are not repeated."""

    folder: Path
    scene: Scene
    pricing: Pricing
    processes: int
    scheduler: str | None
    progress: Progress

    def rung(
        self, number: int, rungs: int, candidates: Sequence[Candidate], share: float
    ) -> tuple[list[dict[str, Any]], int]:
        """Train candidates for a share of all epochs; return their scores, and how many CNNs."""
        title = f"rung {number} of {rungs}"
        configs = [short(candidate.config, share) for candidate in candidates]
        cnns = [self.folder / "cnns" / cnn_key(config) for config in configs]
        shared = dict(zip(cnns, configs, strict=True))
        for place, config in shared.items():
            prepare(place, config, self.scene)
        job = functools.partial(train_shared, scene=self.scene)
        self._work(f"{title}, CNNs", job, list(shared), lambda p: p / Network.CNN_FP32.file)
        places = [self.folder / _place(number, candidate) for candidate in candidates]
        for place, config, cnn in zip(places, configs, cnns, strict=True):
            share_cnn(place, config, self.scene, cnn)
        trains = functools.partial(train_candidate, scene=self.scene, pricing=self.pricing)
        self._work(f"{title}, SNNs", trains, places, lambda place: place / SCORE_FILE)
        return [_read(place / SCORE_FILE) for place in places], len(shared)

    def test(self, rung: int, candidates: Sequence[Candidate]) -> list[float]:
        """Score trained candidates on test pixels; return their overall accuracy."""
        places = [self.folder / _place(rung, candidate) for candidate in candidates]
        job = functools.partial(test_candidate, scene=self.scene)
        # Here, not on a cluster: what it writes names the folder.
        self._work("test pixels", job, places, lambda place: place / "metrics.json", here=True)
        found = [RunMetrics.from_dict(_read(place / "metrics.json")) for place in places]
        return [metrics.networks[Network.SNN_TRAINED].oa for metrics in found]

    def _work(
        self,
        title: str,
        job: Callable[[Path], None],
        places: Sequence[Path],
        result: Callable[[Path], Path],
        here: bool = False,
    ) -> None:
        missing = [place for place in places if not result(place).exists()]
        done = len(places) - len(missing)
        self.progress(title, done, len(places), "")
        scheduler = None if here else self.scheduler
        for place in finished(job, missing, self.processes, scheduler):
            done += 1
            self.progress(title, done, len(places), self._remark(place))

    def _remark(self, place: Path) -> str:
        if not (place / SCORE_FILE).exists():
            return ""
        score = _read(place / SCORE_FILE)
        if not score["prices"]:
            return f"{place.name}: {score['refused']}"
        energy = cheapest(score["prices"])["energy_nj"]
        return f"{place.name}: {100 * score['validation_oa']:.2f} %, {energy:,.1f} nJ"


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: damaged, expected a result ({error}); remove it") from None


def describe(space: Space, scene: Scene, settings: Search) -> dict[str, Any]:
    """Return what decides on the result of a search, except the content of chips' files."""
    return {
        "schema": 1,
        "snnquant": snnquant.__version__,
        "scene": {"name": scene.name, "digest": scene.digest},
        "settings": asdict(settings),
        "chip": [str(name) for name in space.chips],
        "schedule": list(space.schedules),
        "candidates": [
            {"number": c.number, "values": dict(c.values), "options": write_config(c.config)}
            for c in space.candidates
        ],
    }


def _claim(
    folder: Path, space: Space, scene: Scene, settings: Search, chips: list[dict[str, Any]]
) -> None:
    """Claim a new folder for this search, or check that it holds this search."""
    file = folder / SEARCH_FILE
    own = json.loads(json.dumps(describe(space, scene, settings) | {"chips": chips}))
    if not file.exists():
        if folder.exists() and not (folder.is_dir() and all(map(_is_hidden, folder.iterdir()))):
            raise InputError(f"{folder}: exists and holds no search, expected a new folder")
        write_json(file, own)
        return
    found = _read(file)
    if other := [name for name in own if found.get(name) != own[name]]:
        raise InputError(f"{folder}: holds a search with another {other[0]}, expected a new folder")


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")  # such as what a kill left half written
