from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnquant.report import RunMetrics, write_html
from snnquant.report.chip_prices import ChipPrices, Factor, InMemory
from snnquant.report.run_record import RunRecord
from snnquant.report.scene_views import Levels, SceneViews, Spikes
from snnquant.sampling import Split
from snnquant.scenes import Scene, load_scene
from snnquant.stored_networks import Network

NETWORKS = [network.value for network in Network]


def scores(start: float, parameters: int) -> dict[str, Any]:
    accuracies = [start + 0.0101, None, start + 0.0303]
    return {
        "oa": start,
        "aa": start + 0.0011,
        "kappa": start + 0.0022,
        "class_accuracy": accuracies,
        "parameters": parameters,
    }


METRICS: dict[str, Any] = {
    "schema": 1,
    "run": "runs/indian_pines-1",
    "seed": 7,
    "scene": {
        "name": "indian_pines",
        "shape": [145, 146, 200],
        "labelled": 10249,
        "class_names": ["Corn", "Oats", "Woods"],
    },
    "model": {
        "name": "cnn32h",
        "window": 5,
        "time_steps": 5,
        "bits": 6,
        "layers": [],
    },
    **{
        name: scores(0.9123 - 0.0525 * number, 296352 + number)
        for number, name in enumerate(NETWORKS)
    },
    "split": {
        "protocol": "blocks",
        "seed": 7,
        "train": 3688,
        "val": 411,
        "test": 6150,
        "leakage": 0.1357,
        "coordinates_only_oa": 0.6824,
        "notes": ["class 'Oats' is left out: no training pixel, 3 test pixels"],
    },
    "controls": {
        "coordinates": {"oa": 0.6824, "aa": 0.5111, "kappa": 0.4222},
        "lda": {"oa": 0.6637, "aa": 0.6012, "kappa": 0.5913},
        "svm": {"oa": 0.7131, "aa": 0.7032, "kappa": 0.6933},
    },
    "operations": {
        name: {"mac": 603576 + number, "ac": 0.0 if number < 2 else 331683.4 + number}
        for number, name in enumerate(NETWORKS)
    },
    "energy_pj": {
        "horowitz_widths": dict(
            zip(NETWORKS, (2782408.0, 107321.5, 71562.2, 1421516.0, 151192.0), strict=True)
        ),
        "ace_snn": dict(
            zip(NETWORKS, (1871086.0, 149506.1, 89888.0, 722253.0, 62784.3), strict=True)
        ),
        "horowitz": dict(
            zip(NETWORKS, (2776450.0, 80386.0, 48334.0, 1320929.0, 37.218), strict=True)
        ),
    },
    "energy_ratio": {
        "horowitz_widths": {"cnn_fp32": 18.4, "cnn_quantized": 0.7, "cnn_twin": 0.5},
        "ace_snn": {"cnn_fp32": 29.8, "cnn_quantized": 2.4, "cnn_twin": 1.4},
        "horowitz": {"cnn_fp32": 1074.4, "cnn_quantized": 2.2, "cnn_twin": 1.3},
    },
    "map_energy_pj": {
        "ace_snn": dict(
            zip(NETWORKS, (1017000.0, 81300.0, 31700.0, 81200.0, 10244.5), strict=True)
        ),
        "horowitz": dict(
            zip(NETWORKS, (1514357.0, 43845.0, 17065.0, 302156.0, 9739.0), strict=True)
        ),
    },
    "map_energy_ratio": {"ace_snn": {"cnn_fp32": 99.3, "cnn_quantized": 7.9, "cnn_twin": 2.5}},
    "effort": {
        "acev2": dict(
            zip(NETWORKS, (618252544, 22154321, 15143483, 268206377, 32423059), strict=True)
        )
    },
    "effort_ratio": {"acev2": {"cnn_fp32": 19.1, "cnn_quantized": 0.6}},
    "map_effort": {"ns_ace": dict(zip(NETWORKS, (337e6, 12e6, 5e6, 31e6, 4040978), strict=True))},
    "map_effort_ratio": {"ns_ace": {"cnn_fp32": 83.4, "cnn_quantized": 3.1}},
    "rival": {
        "chip": "edge_22nm",
        "twin_oa": 0.8073,
        "snn_oa": 0.7023,
        "zeros": 0.6311,
        "accumulates_per_mac": 0.9584,
        "spike_rate": 0.2158,
        "energy_nj": {
            "events": {"cnn_fp32": 135018.2, "cnn_twin": 169.71, "snn_trained": 404.73},
            "time_inner": {"cnn_fp32": 135014.4, "cnn_twin": 166.71, "snn_trained": 194.75},
            "dense": {"cnn_fp32": 272117.6, "cnn_twin": 279.42, "snn_trained": 340.08},
            "best": {"cnn_fp32": 134849.7, "cnn_twin": 135.12, "snn_trained": 170.59},
        },
        "ratio": {
            "events": {"twin_best": 2.9953, "same": 2.3848},
            "time_inner": {"twin_best": 1.4413, "same": 1.1682},
            "dense": {"twin_best": 2.5169, "same": 1.2171},
            "best": {"twin_best": 1.2625, "same": 1.2625},
        },
        "compute_ratio": 1.6997,
        "thresholds": [
            {
                "source": "Davidson & Furber 2021, Front. Neurosci.",
                "condition": "spikes per synapse",
                "figure": "accumulates_per_mac",
                "value": 0.9584,
                "limit": 1.72,
                "passed": True,
            },
            {
                "source": "Shen et al. 2024, CVPR",
                "condition": "T x spike bits x weight bits",
                "figure": "spike_bits",
                "value": 30.0,
                "limit": 18.0,
                "passed": False,
            },
        ],
        "map_energy_nj": {
            "events": {"cnn_fp32": 134363.8, "cnn_twin": 97.38, "snn_trained": 247.43},
            "best": {"cnn_fp32": 17308.3, "cnn_twin": 26.24, "snn_trained": 56.39},
        },
        "map_ratio": {
            "events": {"twin_best": 9.4294, "same": 2.5408},
            "best": {"twin_best": 2.1489, "same": 2.1489},
        },
        "map_compute_ratio": 1.5425,
    },
    "spike_rates": {"lif1": 0.23519, "lif2": 0.14913},
    "pim": {
        "hardware": "sram_65nm",
        "energy": {"factor": 1.837, "saved": 0.4556},
        "delay": {"factor": 0.535, "saved": -0.8701},
        "edp": {"factor": 0.981, "saved": -0.0191},
    },
}
SHOWN = [
    *("indian_pines", "145x146x200", "10,249", "cnn32h", "5x5", "seed 7"),
    *("CNN 32-bit", "CNN 6-bit", "SNN as", "converted"),
    *("91.23", "91.34", "91.45", "85.98", "86.09", "80.73", "75.48", "70.23", "70.34", "70.45"),
    *("10.2", "99.3x", "7.9x", "2.5x", "at OA 70.23 % beside 80.73 %"),
    *("296,352", "296,353", "296,354", "296,356", "603,576", "603,580", "331,686"),
    *("1,871", "150", "89.9", "62.8", "2,776,450", "80,386", "1,320,929", "37.2"),
    *("29.8x", "2.4x", "1,074.4x", "2.2x"),
    *("compute only", "2,782", "107", "71.6", "151"),
    *("nJ alone: A, events", "135,018", "170", "405", "nJ alone: B, time inner", "167", "195"),
    *("nJ alone: C, dense", "272,118", "279", "340", "nJ in a map: A, events", "97.4", "247"),
    *("2.38x", "3.00x", "1.17x", "1.44x", "1.22x", "2.52x", "1.26x", "2.54x", "9.43x", "2.15x"),
    *("1.70x", "1.54x", "edge_22nm", "Davidson & Furber 2021: spikes per synapse", "0.958", "1.72"),
    *("Shen et al. 2024: T x spike bits x weight bits", "yes", "no", "CVPR"),
    *("acev2", "618,252,544", "32,423,059", "19.1x", "0.6x"),
    *("ns_ace", "337,000,000", "4,040,978", "83.4x", "3.1x"),
    *("98.68", "98.34", "98.20", "560.6x, 44.8x", "Datta", "ace_snn", "horowitz"),
    *("blocks", "3,688 / 411 / 6,150", "13.57", "68.24", "no training pixel, 3 test pixels"),
    *("coordinates only", "51.11", "42.22", "66.37", "60.12", "59.13", "71.31", "70.32", "69.33"),
    "The SNN (OA 70.23 %) does not beat SVM on window mean (71.31 %).",
    *("lif1", "0.2352", "lif2", "0.1491"),
    *("sram_65nm", "1.84x", "45.6 %", "0.54x", "-87.0 %", "0.98x", "-1.9 %"),
    *("1.30x, 23.1 %", "1.43x, 30 %", "1.07x, 6.5 %", "1.38x, 27.5 %", "1.61x, 38 %"),
]
"""Parts of METRICS that both reports must show."""


@pytest.fixture
def metrics() -> dict[str, Any]:
    return copy.deepcopy(METRICS)


@pytest.fixture
def shown() -> list[str]:
    return SHOWN


@pytest.fixture
def trained_only(metrics) -> Callable[[], dict[str, Any]]:
    """Build the metrics of a run that stopped after its first CNN."""

    def build() -> dict[str, Any]:
        for name in (*NETWORKS[1:], "spike_rates", "pim", "rival"):
            del metrics[name]
        metrics["energy_ratio"] = {"ace_snn": {}, "horowitz": {}}
        metrics["map_energy_ratio"] = {"ace_snn": {}}
        metrics["effort_ratio"], metrics["map_effort_ratio"] = {"acev2": {}}, {"ns_ace": {}}
        prices = ("energy_pj", "map_energy_pj", "effort", "map_effort")
        by_table = [table for price in prices for table in metrics[price].values()]
        for table in (metrics["operations"], *by_table):
            for name in NETWORKS[1:]:
                del table[name]
        return metrics

    return build


@pytest.fixture(scope="session")
def synthetic_scene() -> Scene:
    return load_scene("synthetic:24x24x16")


@pytest.fixture(scope="session")
def views(synthetic_scene) -> SceneViews:
    """Views of a scene whose networks are mostly right, made without a network."""
    return views_of(synthetic_scene)


def views_of(scene: Scene) -> SceneViews:
    draw, labels = np.random.default_rng(0), scene.labels
    guessed = draw.integers(1, scene.classes + 1, labels.shape)
    snn = np.where((labels > 0) & (draw.random(labels.shape) < 0.9), labels, guessed)
    cnn = np.where((labels > 0) & (draw.random(labels.shape) < 0.95), labels, guessed)
    labelled = np.flatnonzero(labels)
    parts = labelled[::4], labelled[1::4], np.sort(np.r_[labelled[2::4]])
    confidence = draw.uniform(0.4, 1, labels.shape)
    others = 1 + snn % scene.classes
    spikes = Spikes(
        rates={"lif1": (0.2, 0.1), "lif2": (0.3, 0.4)},
        pixels=9,
        layer="lif2",
        rasters={1: draw.random((2, 12)) < 0.3},
        places={1: (2, 3)},
        potentials={1: draw.normal(0.5, 0.6, (2, 12)).astype(np.float32)},
    )
    levels = Levels("conv1", 6, np.arange(-9, 10), draw.integers(1, 99, 19))
    return SceneViews(
        scene,
        Split(*parts, protocol="random", seed=0),
        Network.SNN_TRAINED,
        maps={Network.SNN_TRAINED: snn, Network.CNN_FP32: cnn},
        smoothed=np.where(labels > 0, labels, snn),
        known=snn * (confidence > 0.5),
        confidence=confidence,
        best=np.stack([snn, others, others], axis=2),
        probabilities=np.stack([confidence, 1 - confidence, 0 * confidence], axis=2),
        by_step=(guessed, snn),
        distance=draw.uniform(0, 4, labels.shape),
        spikes=spikes,
        levels=(levels,),
    )


@pytest.fixture(scope="session")
def scene_metrics(views) -> dict[str, Any]:
    return metrics_of(views)


def metrics_of(views: SceneViews) -> dict[str, Any]:
    """Return metrics that fit a scene of any number of classes."""
    found, scene = copy.deepcopy(METRICS), views.scene
    found["scene"] = {
        "name": scene.name,
        "shape": list(scene.cube.shape),
        "labelled": int((scene.labels > 0).sum()),
        "class_names": list(scene.class_names),
    }
    table = np.zeros((scene.classes, scene.classes), int)
    np.add.at(table, (scene.labels[scene.labels > 0] - 1, views.classes[scene.labels > 0] - 1), 1)
    for name in NETWORKS:
        found[name]["class_accuracy"] = [0.9] * scene.classes
        found[name]["confusion"] = table.tolist()
    return found


@pytest.fixture(scope="session")
def synthetic_page(tmp_path_factory, views, scene_metrics) -> Path:
    page = tmp_path_factory.mktemp("page") / "report.html"
    curve = [(1.0, 2.0), (2.0, 0.5)]
    record = RunRecord(
        options={"seed": "7"},
        digests={"snn.safetensors": "0" * 64},
        source={"licence": "CC BY 4.0"},
        losses={"snn": curve},
        accuracies={"snn": curve},
        seconds={"cnn": 1.0, "snn": 95.0},
        machine="a processor, 2 cores available",
    )
    write_html(RunMetrics.from_dict(scene_metrics), page, views, record, chip_prices())
    return page


def chip_prices() -> ChipPrices:
    costs = {"multiplies": 60.0, "weight_reads": 80.0, "links": 20.0, "leakage": 0.5}
    layers = {"conv1": costs, "fc": {"membranes": 9.0, "adds": 30.0}}
    networks = {name: layers for name in NETWORKS if name != "snn_converted"}
    breakdown = {schedule: networks for schedule in ("events", "best")}
    gain = InMemory(Factor(3, 1.6, 4.8), Factor(2, 0.9, 3), Factor(6, 1.4, 9), 94.5, 30.6)
    return ChipPrices("edge_22nm", breakdown, breakdown, gain, "sram_65nm", gain)


PartsOf = Callable[[Scene], tuple[SceneViews, dict[str, Any]]]


@pytest.fixture(scope="session")
def parts_of() -> PartsOf:
    """Make views and metrics of a scene, as difficult to compress as maps may be."""

    def build(scene: Scene) -> tuple[SceneViews, dict[str, Any]]:
        views = views_of(scene)
        return views, metrics_of(views)

    return build
