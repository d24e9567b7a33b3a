"""The page docs/run_folder.md: files of a run folder, and every key of their JSON, with its unit.

python -m snnquant.report.run_folder > docs/run_folder.md
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from snnquant.conversion import ConversionReport
from snnquant.report.across_scenes import AcrossMetrics
from snnquant.report.run_metrics import EarlyExit, IntegerScores, RunMetrics
from snnquant.stored_networks import Network

_INTRODUCTION = """\
# The folder of a run

Made by `make docs` from the classes that write the files.

Every file is written whole or not at all. `snnquant evaluate`, `map`, `energy` and `export` need no
other file than those of the folder and those of the scene.

| file | content |
|---|---|
"""
_FILES = {
    "config.toml": "All options of the run; `--config` repeats it, `--resume` continues it.",
    "scene.npz": "The scene, only if it was built in Python.",
    "card.toml": "Copy of the scene's card; the run needs the card's own file no more.",
    "scene.json": "Folder of the scene's data, also as seen from here, and their digests; "
    "`--scene FOLDER` says where they went.",
    "hardware.toml, chip.toml, scaling.npz": "Copies of the files of `--hardware`, `--chip` and "
    "`--scaling`, if any.",
    "split.npz": "Flat indices of training, validation and test pixels, protocol, seed and notes.",
    **{
        network.file: f"{network.heading}, made by `snnquant {network.subcommand}`; `{network}` "
        "in the JSON files and after `--network`."
        for network in Network
    },
    "STAGE.state.safetensors": "State from which an interrupted stage resumes; removed at its end.",
    "training.json": "Figures that quantization methods report of their trainings, by stage.",
    "history.csv": "Losses and validation accuracy, one row per stage and epoch.",
    "tensorboard/": "Curves, one folder per stage, options and scores; only with `--track "
    "tensorboard`.",
    "mlflow.json, mlruns/": "Number of the run of MLflow, and MLflow's files where no server is "
    "named; only with `--track mlflow`.",
    "key_map.json": "How the names of an imported CNN were matched, and its operations.",
    "conversion.json": "Thresholds and errors of the conversion: [keys](#conversionjson).",
    "metrics.json": "Scores and energies: [keys](#metricsjson).",
    "confidence.json": "Temperatures, smoothing and threshold per network, which `map` takes.",
    "held_out/": "Run folder of the networks without validation blocks, by which these choices "
    "were made; only where blocks validate, without `--no-refit`.",
    "workload.json": "The layers of the trained, quantized SNN, as `pim-sim` reads them.",
    "workload_cnn_twin.json, workload_cnn_quantized.json, workload_cnn.json": "Those of the SNN's "
    "twin, of the quantized CNN and of the CNN in floating point.",
    "early_exit.json": "Result of `snnquant evaluate --early-exit`: [keys](#early_exitjson).",
    "integers.json": "Result of `snnquant evaluate --integers`: [keys](#integersjson).",
    "across_SCENE.json": "Result of `snnquant evaluate --scene OTHER`: [keys](#across_scenejson).",
    "map.png, map.npy, map.img, map.hdr": "Class of every pixel: picture, array, ENVI file.",
    "map.tif, map.tif.aux.xml": "The same as GeoTIFF with its class names (extra `geo`; scenes "
    "with a place on Earth).",
    "map_and_truth.png": "The map beside the ground truth, with a legend.",
    "map_smoothed.*": "The same of the smoothed class probabilities.",
    "map_known.*": "The same without the pixels whose confidence is too low, which are 0; "
    "only with `--unknown-accuracy`.",
    "map_confidence.png, map_confidence.npy": "Calibrated probability of the smoothed class, "
    "0 to 1; 0 without data.",
    "map_distance.png, map_distance.npy": "Mahalanobis distance of a spectrum from the nearest "
    "class mean of the training pixels over the root of the number of bands: 1 is typical of "
    "training pixels; 0 without data.",
    "map_CUBE.*, map_CUBE_*": "The same of another cube, by `snnquant map --cube`.",
    "views.npz": "What the networks gave for the page, so that `snnquant report` runs none again; "
    "may be deleted.",
    "record.json": "Seconds per training stage, the machine, and versions of what ran it.",
    "figures/": "Figures for papers, by `snnquant figure`.",
    "report.html": "Answer, map, spectra, classes, spikes, energy, training, calibration and all "
    "tables on one page, which needs no other file and no network; `snnquant "
    "report` writes it anew.",
}
_KEYS = {
    "metrics.json": RunMetrics,
    "conversion.json": ConversionReport,
    "early_exit.json": EarlyExit,
    "integers.json": IntegerScores,
    "across_SCENE.json": AcrossMetrics,
}
_ENTRIES = {
    **{"spike_rates": "LAYER", "operations": "NETWORK", "calibration": "NETWORK"},
    **{"scored": "CLASS", "left_out": "CLASS", "operations_by_width": "NETWORK"},
    "energy_by_layer": "NETWORK",
    **dict.fromkeys(("energy_nj", "map_energy_nj", "ratio", "map_ratio"), "SCHEDULE"),
}
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_NETWORKS = ", ".join(f"`{network}`" for network in Network)


def run_folder_page() -> str:
    """Return the page in Markdown.

    >>> "| `NETWORK.oa` | Overall accuracy" in run_folder_page()
    True
    """
    rows = "".join(f"| `{name}` | {content} |\n" for name, content in _FILES.items())
    parts = [_INTRODUCTION + rows]
    for file, cls in _KEYS.items():
        parts.append(f"## {file}\n\n{_described(file, cls)}\n| key | meaning |\n|---|---|\n")
        parts[-1] += "".join(f"| `{key}` | {meaning} |\n" for key, meaning in _rows(cls, ""))
    return "\n".join(parts)


def field_docs(cls: type) -> dict[str, str]:
    """Return the meaning of a dataclass's fields, one line each, inherited fields included.

    It is read from the docstring after a field and from the section "Attributes" of the class.

    >>> field_docs(IntegerScores)["agreement"]
    'Share of the test pixels with the same class in both, 0 to 1.'
    """
    found: dict[str, str] = {}
    for owner in reversed([base for base in cls.__mro__ if is_dataclass(base)]):
        _, _, section = (inspect.getdoc(owner) or "").partition("\nAttributes:\n")
        found |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(section)}
        body = ast.parse(inspect.cleandoc(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for entry, after in itertools.pairwise(body.body):
            match entry, after:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = " ".join(text.split())
    return found


def _described(file: str, cls: type) -> str:
    text = re.split(r"\n(?=Attributes:|Example:|>>>)", inspect.getdoc(cls) or "")[0].strip()
    if file == "metrics.json":
        text += (
            f"\n\nKeys are only added under a schema number, never removed. NETWORK is one of\n"
            f"{_NETWORKS}. `[]` stands\nfor each entry of a list, TABLE for a cost table, LAYER "
            "for a layer, SCHEDULE for\n`events` (A: step after step, as the events come), "
            "`time_inner` (B: all steps of an input at\nonce), `dense` (C: every product) or "
            "`best` (the cheapest for each layer)."
        )
    return text + "\n"


def _rows(cls: type, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the meaning of every key of a dataclass."""
    hints, docs = typing.get_type_hints(cls), field_docs(cls)
    for entry in fields(cls):
        path, hint = f"{prefix}{entry.name}", _without_none(hints[entry.name])
        if entry.name == "networks":  # stands at the top level
            path, hint = "NETWORK", typing.get_args(hint)[1]
        else:
            path, hint = _entry(entry.name, path, hint)
        yield path, docs.get(entry.name, "")
        if is_dataclass(hint):
            assert isinstance(hint, type)
            yield from _rows(hint, f"{path}.")


def _entry(name: str, path: str, hint: typing.Any) -> tuple[str, typing.Any]:
    """Return the path of one entry of a container, and the type of that entry."""
    if typing.get_origin(hint) is dict:
        inner = typing.get_args(hint)[1]
        if typing.get_origin(inner) is dict:
            return f"{path}.{_ENTRIES.get(name, 'TABLE')}.NETWORK", typing.get_args(inner)[1]
        path, hint = f"{path}.{_ENTRIES.get(name, 'TABLE')}", inner
    while typing.get_origin(hint) in (list, tuple):
        hint, path = typing.get_args(hint)[0], f"{path}[]"
    return path, hint


def _without_none(hint: typing.Any) -> typing.Any:
    if typing.get_origin(hint) is types.UnionType:
        (hint,) = (choice for choice in typing.get_args(hint) if choice is not types.NoneType)
    return hint


if __name__ == "__main__":
    print(run_folder_page(), end="")
