"""Metrics: the keys of the file, its types, its documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnquant.energy import load_costs
from snnquant.errors import InputError
from snnquant.report.rival_metrics import SCHEDULES
from snnquant.report.run_folder import run_folder_page
from snnquant.report.run_metrics import EarlyExit, FixedSteps, NetworkMetrics, RunMetrics
from snnquant.stored_networks import Network

GOLDEN = Path(__file__).with_name("golden_metrics_keys.txt")


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the path of every value; entries of a list of objects share theirs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from paths(inner, f"{prefix}[]")
    else:
        yield prefix


@pytest.fixture
def stored(finished: tuple[Path, RunMetrics]) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((finished[0] / "metrics.json").read_text())
    return values


def test_no_key_of_schema_1_is_lost(stored: dict[str, Any]) -> None:
    golden = GOLDEN.read_text().splitlines()
    assert golden == sorted(set(golden))
    assert len(golden) > 80
    assert set(golden) - set(paths(stored)) == set()
    assert stored["schema"] == 1


def test_metrics_survive_their_file(finished: tuple[Path, RunMetrics], stored: Any) -> None:
    _, metrics = finished
    assert RunMetrics.from_dict(stored) == metrics
    assert json.loads(json.dumps(metrics.to_dict())) == stored
    assert list(metrics.networks) == list(Network)


def test_files_of_before_and_of_later_are_read(stored: dict[str, Any]) -> None:
    """Confusion matrices came later; unknown keys may come."""
    for network in Network:
        del stored[network]["confusion"]
    later = ("operations_by_width", "effort", "effort_ratio", "map_effort", "map_effort_ratio")
    for table in ("energy_pj", "energy_ratio"):
        del stored[table]["horowitz_widths"]
    later = ("rival", *later)
    for name in ("controls", "pim", "spike_rates", "map_energy_pj", "map_energy_ratio", *later):
        del stored[name]
    read = RunMetrics.from_dict(stored | {"early_exit": {}, "conversion": 3})
    assert read.to_dict() == stored
    assert read.networks[Network.SNN_TRAINED].confusion is None


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("schema",), 2, "metrics: schema: found 2, expected 1"),
        (("seed",), "0", "metrics: seed: found '0', expected int"),
        (("seed",), True, "metrics: seed: found True, expected int"),
        (("cnn_fp32", "oa"), None, "metrics: networks: cnn_fp32: oa: found None, expected float"),
        (("scene", "shape"), 24, "metrics: scene: shape: found 24, expected tuple"),
        (
            ("model", "layers", 1),
            [],
            r"metrics: model: layers\[1\]: found \[\], expected LayerInfo",
        ),
        (("energy_pj", "horowitz"), 3.0, "metrics: energy_pj: horowitz: found 3.0, expected dict"),
    ],
)
def test_other_types_are_refused_with_their_place(
    stored: dict[str, Any], place: tuple[Any, ...], value: Any, message: str
) -> None:
    target: Any = stored
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    with pytest.raises(InputError, match=f"^{message}$"):
        RunMetrics.from_dict(stored)


def test_a_missing_key_is_named(stored: dict[str, Any]) -> None:
    del stored["split"]["leakage"]
    with pytest.raises(
        InputError, match=r"^metrics: split: leakage: found none, expected a value$"
    ):
        RunMetrics.from_dict(stored)


def test_scores_are_those_of_the_confusion_matrix(finished: tuple[Path, RunMetrics]) -> None:
    _, metrics = finished
    for network in metrics.networks.values():
        assert isinstance(network, NetworkMetrics)
        table = np.array(network.confusion)
        assert table.shape == (len(metrics.scene.class_names),) * 2
        assert table.sum() == metrics.split.test
        assert table.trace() / table.sum() == network.oa
        hits = [
            hit / row if row else None
            for hit, row in zip(table.diagonal(), table.sum(1), strict=True)
        ]
        assert hits == network.class_accuracy


def test_the_page_explains_every_key(finished: tuple[Path, RunMetrics]) -> None:
    """Each row has a meaning, and each key of a real file has its row."""
    rows = [line for line in run_folder_page().splitlines() if line.startswith("| `")]
    meanings = dict(row.removeprefix("| `").removesuffix(" |").split("` | ") for row in rows)
    assert [key for key, meaning in meanings.items() if len(meaning.split()) < 1] == []
    _, metrics = finished
    generic, names = set(), dict.fromkeys((cost.name for cost in load_costs()), "TABLE")
    names |= dict.fromkeys(SCHEDULES, "SCHEDULE")
    for path in paths(metrics.to_dict()):
        parts = [
            "NETWORK" if part in set(Network) else "LAYER" if part.startswith("lif") else part
            for part in path.replace("[]", ".[]").split(".")
        ]
        text = ".".join(names.get(part, part) for part in parts)
        text = text.replace(".[]", "[]")
        generic.add(text)
    assert generic - {key.replace("[][]", "").removesuffix("[]") for key in meanings} == set()


def test_early_exit_survives_its_file() -> None:
    fixed = (FixedSteps(1, 0.8, 0.2, {"a": 1.0}), FixedSteps(2, 0.9, 0.4, {"a": 2.0}))
    result = EarlyExit((0.5, 0.0), 2, 1.5, (0.5, 0.5), 0.9, 0.9, 1.0, {"a": 1.0}, {"a": 2.0}, fixed)
    assert EarlyExit.from_dict(json.loads(json.dumps(result.to_dict()))) == result
