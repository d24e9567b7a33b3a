"""Maps of whole scenes: the integer engine beside the dense CNN of the same weights."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.contenders import PIXEL_BITS, train_a_little
from benchmarks.peaks import BOUND_TITLES, Bound, Peaks, as_numbers, bound, bound_cells
from benchmarks.peers import of_torch
from benchmarks.runtimes import Map, dense_maps, missing
from benchmarks.timing import as_cell, interleave, per_processor_second, per_second, ratio
from numpy.typing import NDArray
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import convert
from snnquant.conversion.folding import fold_front_end
from snnquant.energy import measure, shared_between_windows
from snnquant.inference import Cube, classify_scene, dense_form
from snnquant.inference.integer.integer_engine import IntegerNetwork
from snnquant.models import build_model, spans_all_bands
from snnquant.quantization import quantize
from snnquant.sampling import Normalisation, Patches
from snnquant.scenes import Scene, load_scene
from snnquant.spiking import SpikingNetwork

WINDOW = 5
DEFAULT = ModelConfig().name
SCENES = ("indian_pines", "synthetic:610x340x103")
STEPS = (1, 2, 5)
CASES = ((DEFAULT, STEPS), ("cnn32h", (5,)))
"""Networks and their time steps."""
COUNTED = 256
"""Pixels whose operations are counted, about."""
SECONDS = 12.0
"""Time that the rounds of one network and scene take together, about."""
RIVALS = {
    "torch": "CNN, torch fp32",
    "onnxruntime": "CNN, onnxruntime fp32",
    "onnxruntime_int8": "CNN, onnxruntime int8",
    "openvino_fp32": "CNN, OpenVINO fp32",
    "openvino_bf16": "CNN, OpenVINO bf16",
    "openvino_int8": "CNN, OpenVINO int8",
}


@dataclass(frozen=True)
class Trained:
    """A CNN on a scene, its normalisation, and calibration patches."""

    scene: Scene
    cnn: nn.Module
    normalisation: Normalisation
    patches: Tensor

    def bound(self, network: nn.Module, peaks: Peaks, *, floats: bool) -> Bound:
        """Return the bound of a map by a network, its operations counted on some pixels."""
        cube = self.scene.cube
        pixels = torch.arange(0, cube[..., 0].size, cube[..., 0].size // COUNTED)
        patches = Patches(cube, WINDOW, self.normalisation)
        layers = measure(network, patches, pixels, pixel_bits=PIXEL_BITS)
        steps = network.time_steps if isinstance(network, SpikingNetwork) else 1
        each = cube.shape[2] * cube.itemsize
        return bound(shared_between_windows(layers), each, peaks, steps=steps, floats=floats)


def trained(scene: Scene, name: str) -> Trained:
    """Train a CNN for some steps as a run does, whitening merged where its kernel can take it."""
    torch.manual_seed(0)
    labels = torch.from_numpy(scene.labels.reshape(-1))
    labelled = labels.nonzero().ravel()
    pixels = labelled[torch.randperm(len(labelled))[:2000]]
    train = pixels.numpy()
    scaling = "within-class:0.3" if spans_all_bands(ModelConfig(name=name)) else "standard"
    normalisation = Normalisation.fit(scene, train, scaling=scaling)
    cnn = build_model(ModelConfig(name=name, dropout=0), scene.bands, scene.classes)
    train_a_little(cnn, Patches(scene.cube, WINDOW, normalisation), pixels, labels)
    if normalisation.components is not None:
        scores = normalisation.without_matrix(scene.cube, train)
        cnn, normalisation = fold_front_end(cnn, normalisation, scores), scores
    normalisation = normalisation.on_grid(scene.cube, train, PIXEL_BITS)
    patches = Patches(scene.cube, WINDOW, normalisation).gather(pixels[:256])
    return Trained(scene, cnn.eval(), normalisation, patches)


def engine_map(found: Trained, time_steps: int, peaks: Peaks) -> tuple[Map, list[float], Bound]:
    """Return the map of the SNN by the integer engine, its spike rates and its bound."""
    neuron = NeuronConfig(time_steps=time_steps)
    snn, _ = convert(found.cnn, found.patches, found.patches, neuron=neuron)
    quantize(snn, QuantizationConfig())
    scene, normalisation = found.scene, found.normalisation
    engine = IntegerNetwork(snn, scene.bands, WINDOW, grid=normalisation.grid)
    rates = [
        float(engine.spikes(found.patches, i).mean())
        for i in range(len(engine.fixed_point.neurons))
    ]
    raw = engine.of_pixels(normalisation)
    assert raw is not None
    cube = Cube.of_scene(scene)

    def run() -> NDArray[np.uint8]:
        class_map = np.zeros(cube.shape[:2], np.uint8)
        classify_scene(raw.classes, cube, None, WINDOW, class_map)
        return class_map

    return run, rates, found.bound(snn, peaks, floats=False)


def measure_case(scene: Scene, name: str, steps: tuple[int, ...], peaks: Peaks) -> dict[str, Any]:
    """Time the maps of one network and scene in turn; return rates, ratios and agreement."""
    found = trained(scene, name)
    dense = dense_form(of_torch(found.cnn), scene.bands, WINDOW)
    assert dense is not None
    around = ((WINDOW // 2,) * 2, (WINDOW // 2,) * 2, (0, 0))
    pixels = np.pad(found.normalisation.apply(scene.cube), around, mode="reflect")
    peaks = peaks.reading(torch.from_numpy(scene.cube))
    ours, rates = {}, {}
    bounds = {
        f"CNN, {runtime} {kind}": found.bound(found.cnn, peaks, floats=kind == "fp32")
        for runtime in ("torch", "onnxruntime", "OpenVINO")
        for kind in ("fp32", "int8")
    }
    for time_steps in steps:
        label = f"SNN, T = {time_steps}"
        ours[label], rates[label], bounds[label] = engine_map(found, time_steps, peaks)
    with tempfile.TemporaryDirectory() as folder:
        maps: dict[str, Map] = {**ours, **dense_maps(dense.eval(), pixels, Path(folder))}
        start = time.perf_counter()
        classes = {label: run() for label, run in maps.items()}
        once = time.perf_counter() - start
        times = interleave(maps, min(15, max(3, int(SECONDS / once))))
    of_cnn = classes["CNN, torch fp32"]
    own = per_processor_second(times, of_cnn.size)
    return {
        "network": name,
        "scene": scene.name,
        "pixels": of_cnn.size,
        "spike_rates": rates,
        "pixels_per_second": per_second(times, of_cnn.size),
        "pixels_per_processor_second": own,
        "bounds": {
            label: as_numbers(bounds[label], rate) for label, rate in own.items() if label in bounds
        },
        "ratios": {
            label: {
                key: ratio(times, label, rival) for key, rival in RIVALS.items() if rival in times
            }
            for label in ours
        },
        "same_class_as_cnn": {
            label: float((found == of_cnn).mean()) for label, found in classes.items()
        },
    }


def measure_maps(peaks: Peaks, *, quick: bool) -> dict[str, Any]:
    """Time the maps of all networks and scenes, or only of the first."""
    cases = [
        measure_case(load_scene(scene), name, steps, peaks)
        for scene in (SCENES[:1] if quick else SCENES)
        for name, steps in (CASES[:1] if quick else CASES)
    ]
    return {"maps": cases, "missing": missing()}


def ratios_of_default(maps: dict[str, Any], time_steps: int) -> dict[str, Any]:
    """Return how many times as fast as the dense CNN the map of the default network is."""
    ratios = maps["maps"][0]["ratios"][f"SNN, T = {time_steps}"]
    return {f"map_vs_dense_cnn_{key}": value for key, value in ratios.items()}


def map_lines(result: dict[str, Any]) -> list[str]:
    """Return the part of the page on maps."""
    lines = [
        "## Maps beside the dense CNN",
        "",
        "The integer engine goes from the raw cube to the classes. The CNN, of the weights that "
        "the SNN was converted from, runs fully convolutionally on a cube that was normalised and "
        "extended at its edges before the clock starts, as a whole or in strips, bands or pixels "
        "first, whichever is fastest for the runtime. int8 is onnxruntime's static quantization.",
    ]
    lines += [f"{name} was {why}." for name, why in result["missing"].items()]
    for case in result["maps"]:
        lines += [
            "",
            f"{case['network']} on {case['scene']}, {case['pixels']:,} pixels:",
            "",
            "| | pixels per second | class of the torch CNN "
            f"{BOUND_TITLES}| per processor second |",
            "|---" * 9 + "|",
        ]
        for name, rate in case["pixels_per_second"].items():
            own = case["pixels_per_processor_second"][name]
            same = case["same_class_as_cnn"][name]
            bounds = bound_cells(case["bounds"].get(name))
            lines.append(f"| {name} | {rate:,.0f} | {100 * same:.1f} % {bounds}| {own:,.0f} |")
        lines += ["", "| times as fast as the CNN in | " + " | ".join(case["ratios"]) + " |"]
        lines.append("|---" * (1 + len(case["ratios"])) + "|")
        for key in next(iter(case["ratios"].values())):
            values = [as_cell(ratios[key]) for ratios in case["ratios"].values()]
            lines.append(f"| {RIVALS[key].removeprefix('CNN, ')} | " + " | ".join(values) + " |")
        shown = [
            f"{name}: {', '.join(f'{rate:.2f}' for rate in rates)}"
            for name, rates in case["spike_rates"].items()
        ]
        lines += ["", f"Spikes per neuron per step, layer by layer: {'; '.join(shown)}."]
    return lines
