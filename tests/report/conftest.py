from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

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
        name: scores(0.9123 - 0.07 * number, 296352 + number)
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
            zip(NETWORKS, (2782408.0, 107321.5, 1421516.0, 151192.0), strict=True)
        ),
        "ace_snn": dict(zip(NETWORKS, (1871086.0, 149506.1, 722253.0, 62784.3), strict=True)),
        "horowitz": dict(zip(NETWORKS, (2776450.0, 80386.0, 1320929.0, 37.218), strict=True)),
    },
    "energy_ratio": {
        "horowitz_widths": {"cnn_fp32": 18.4, "cnn_quantized": 0.7},
        "ace_snn": {"cnn_fp32": 29.8, "cnn_quantized": 2.4},
        "horowitz": {"cnn_fp32": 1074.4, "cnn_quantized": 2.2},
    },
    "map_energy_pj": {
        "ace_snn": dict(zip(NETWORKS, (1017000.0, 81300.0, 81200.0, 10244.5), strict=True)),
    },
    "map_energy_ratio": {"ace_snn": {"cnn_fp32": 99.3, "cnn_quantized": 7.9}},
    "effort": {
        "acev2": dict(zip(NETWORKS, (618252544, 22154321, 268206377, 32423059), strict=True))
    },
    "effort_ratio": {"acev2": {"cnn_fp32": 19.1, "cnn_quantized": 0.6}},
    "map_effort": {"ns_ace": dict(zip(NETWORKS, (337e6, 12e6, 31e6, 4040978), strict=True))},
    "map_effort_ratio": {"ns_ace": {"cnn_fp32": 83.4, "cnn_quantized": 3.1}},
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
    *("91.23", "91.34", "91.45", "84.23", "84.34", "84.45", "77.23", "70.23", "70.34", "70.45"),
    *("10,244", "99.3x", "7.9x"),
    *("296,352", "296,353", "296,354", "296,355", "603,576", "603,579", "331,685", "331,686"),
    *("1,871,086", "149,506", "722,253", "62,784", "2,776,450", "80,386", "1,320,929", "37.2"),
    *("29.8x", "2.4x", "1,074.4x", "2.2x"),
    *("horowitz_widths", "2,782,408", "107,322", "151,192", "18.4x", "0.7x"),
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
        for name in (*NETWORKS[1:], "spike_rates", "pim"):
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
