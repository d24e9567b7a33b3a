"""Views of a run for its page, kept in the run folder: no network is run for them twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnquant.io import replacing
from snnquant.pipeline.readouts import kept_readout
from snnquant.pipeline.run import Run
from snnquant.report.scene_views import Levels, Spikes
from snnquant.stored_networks import Network

VIEWS_FILE = "views.npz"
"""File of the views in a run folder."""
_FORMAT = 1
"""Number that changes with the content of the file."""
_MAPS = ("smoothed", "known", "confidence", "best", "shares")
"""Views that are one array each."""
Arrays = dict[str, NDArray[Any]]


def key_of(run: Run, main: Network) -> str:
    """Return a digest of all that the views of a run depend on."""
    readout = kept_readout(run, main)
    parts = [str(_FORMAT), main, repr(readout), run.scene.digest, run.split.digest]
    found = hashlib.sha256(" ".join([*parts, str(run.config.seed)]).encode())
    for name in dict.fromkeys((main, Network.CNN_FP32)):
        if run.has(name):
            found.update(hashlib.sha256(run.file(name).read_bytes()).digest())
    return found.hexdigest()


def keep_views(folder: Path, key: str, views: dict[str, Any]) -> None:
    """Write views by their names in `SceneViews`; raise InputError where that fails."""
    arrays: Arrays = {"key": np.array(key)}
    arrays |= {f"map_{name}": classes for name, classes in views["maps"].items()}
    shares = np.rint(100 * views["probabilities"]).astype(np.uint8)  # as fine as the page's
    for name, value in {**views, "shares": shares}.items():
        if name in _MAPS and value is not None:
            arrays[name] = value
    for step, classes in enumerate(views.get("by_step", ()), 1):
        arrays[f"step_{step}"] = classes
    for k, levels in enumerate(views["levels"]):
        arrays[f"codes_{k}"], arrays[f"counts_{k}"] = levels.codes, levels.counts
    about: dict[str, Any] = {"levels": [[entry.layer, entry.bits] for entry in views["levels"]]}
    spikes: Spikes | None = views.get("spikes")
    if spikes is not None:
        numbers = list(spikes.rasters)
        about["spikes"] = [dict(spikes.rates), spikes.pixels, spikes.layer, numbers]
        arrays["rasters"] = np.stack([spikes.rasters[number] for number in numbers])
        arrays["places"] = np.array([spikes.places[number] for number in numbers])
        if spikes.potentials:
            arrays["potentials"] = np.stack([spikes.potentials[number] for number in numbers])
    arrays["about"] = np.array(json.dumps(about))
    with replacing(folder / VIEWS_FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_views(folder: Path, key: str) -> dict[str, Any] | None:
    """Read the views of that digest; None where the file is missing, damaged or of another."""
    try:
        with np.load(folder / VIEWS_FILE, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            arrays: Arrays = {name: file[name] for name in file.files}
        return _views(arrays, json.loads(str(arrays["about"])))
    except (OSError, ValueError, KeyError, TypeError, EOFError, IndexError, AttributeError):
        return None


def _views(arrays: Arrays, about: dict[str, Any]) -> dict[str, Any]:
    maps = {name: arrays[f"map_{name}"] for name in Network if f"map_{name}" in arrays}
    views: dict[str, Any] = {"maps": maps}
    views |= {name: arrays.get(name) for name in _MAPS}
    views["probabilities"] = views.pop("shares").astype(np.float32) / 100
    views["by_step"] = tuple(
        arrays[f"step_{step}"] for step in range(1, 1 + sum("step_" in name for name in arrays))
    )
    views["levels"] = tuple(
        Levels(layer, bits, arrays[f"codes_{k}"], arrays[f"counts_{k}"])
        for k, (layer, bits) in enumerate(about["levels"])
    )
    if "spikes" in about:
        rates, pixels, layer, numbers = about["spikes"]

        def by_number(values: NDArray[Any]) -> dict[int, NDArray[Any]]:
            return dict(zip(numbers, values, strict=True))

        places = {
            number: (int(r), int(c)) for number, (r, c) in by_number(arrays["places"]).items()
        }
        views["spikes"] = Spikes(
            {name: tuple(values) for name, values in rates.items()},
            pixels,
            layer,
            by_number(arrays["rasters"]),
            places,
            by_number(arrays["potentials"]) if "potentials" in arrays else {},
        )
    return views
