"""Time the SNN beside its CNN, snnTorch and SpikingJelly, on the same weights and pixels.

    python scripts/benchmark.py [--quick] [--json] [--model cnn3d] [--gpu]

Patches are those of `--model`, at T = 1, 2 and 5. Maps of whole scenes stand beside the dense, that
is fully convolutional, CNN in torch, onnxruntime and OpenVINO (extra `bench`).

All run in turn within a round, so that a machine that slows down slows all of them, each for 50 ms
or longer; a figure is the median ratio over the rounds with its quartiles, by wall time and by
processor time. A busy machine is noticed and said: its figures do not hold. Peers and the CNN have
torch's own convolutions, which their users have; "CNN, our layers" has those of this package
(`snnquant.nn.convolutions`). Peers get what is fastest for them: the layer before the first spikes
runs once, not at every step. SpikingJelly is installed without its dependencies into a folder of
its own. Without --quick the results go to docs/results/benchmark.md and benchmark.json; --gpu times
the networks on a CUDA device instead, for benchmark_gpu.md and benchmark_gpu.json.
"""

from __future__ import annotations

import argparse
import os
import platform
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from benchmarks import gpu
from benchmarks.busy import busy_lines, probe, watching
from benchmarks.contenders import PIXEL_BITS, WINDOW, Contenders, build, infer, train_step
from benchmarks.maps import DEFAULT, STEPS, map_lines, measure_maps, ratios_of_default
from benchmarks.peaks import BOUND_TITLES, Peaks, as_numbers, bound, bound_cells, peak_lines
from benchmarks.peers import install_spikingjelly, same_step
from benchmarks.timing import (
    as_cell,
    fastest,
    interleave,
    per_processor_second,
    per_second,
    publish,
    ratio,
)
from torch import Tensor, nn

from snnquant.cli.allocator import keep_freed_memory
from snnquant.config import NeuronConfig
from snnquant.energy import measure as count_operations
from snnquant.inference import Cube, classify_scene, tile_classifier
from snnquant.sampling import Patches

WITH_OPTIONS = "ours, --precision bfloat16"


def in_threads(c: Contenders) -> np.ndarray:
    """Return the engine's logits, a share of the patches per core, as the CNN's operations do."""
    parts = c.x.chunk(torch.get_num_threads())
    return np.concatenate(list(c.pool.map(c.engine.logits, parts)))[:, 0, 0]


def map_by_tiles(c: Contenders, *, integers: bool) -> np.ndarray:
    """Classify the crop as `snnquant map` does."""
    classify, normalisation = c.raw.classes, None
    if not integers:
        classify, _ = tile_classifier(c.snn, c.crop.shape[2], WINDOW)
        normalisation = c.normalisation
    class_map = np.zeros(c.crop.shape[:2], np.uint8)
    cube = Cube("crop", c.crop.shape, "", lambda: c.crop)
    classify_scene(classify, cube, normalisation, WINDOW, class_map)
    return class_map


def map_by_patches(c: Contenders, network: nn.Module) -> np.ndarray:
    """Classify the crop patch by patch."""
    patches = Patches(c.crop, WINDOW, c.normalisation)
    indices = torch.arange(c.crop.shape[0] * c.crop.shape[1])
    classes = [infer(network, patches.gather(b)).argmax(1) for b in torch.split(indices, 512)]
    return torch.cat(classes).view(c.crop.shape[:2]).numpy() + 1


def agreements(c: Contenders) -> dict[str, float]:
    """Return the share of patches, or pixels, on which two implementations agree."""

    def close(a: Tensor, b: Tensor) -> float:
        return float(torch.isclose(a, b, atol=1e-4).all(1).double().mean())

    ours = infer(c.snn, c.x)
    shares = {"logits, snnTorch": close(ours, infer(c.peers["snnTorch"], c.x))}
    if "SpikingJelly" in c.peers:
        twin = infer(same_step(c.snn), c.x)
        shares["logits, SpikingJelly"] = close(twin, infer(c.peers["SpikingJelly"], c.x))
    integers = torch.from_numpy(in_threads(c) * c.engine.fixed_point.unit)
    shares["classes, integers"] = float((integers.argmax(1) == ours.argmax(1)).double().mean())
    by_patch = map_by_patches(c, c.plain)
    for name, integers_ in (("float", False), ("integers", True)):
        same = map_by_tiles(c, integers=integers_) == by_patch
        shares[f"map, {name}"] = float(same.mean())
    return shares


def bounds_of_patches(c: Contenders, peaks: Peaks, reached: dict[str, float]) -> dict[str, Any]:
    """Return the bounds of inference on patches, whose operations are counted on all of them."""
    each = c.x[0].numel() * c.x.element_size()
    peaks = peaks.reading(c.x)
    networks = {"ours, integers": c.snn, "CNN": c.own_cnn}
    found = {}
    for name, network in networks.items():
        layers = count_operations(network, c.patches, c.pixels, pixel_bits=PIXEL_BITS)
        steps = c.snn.time_steps if network is c.snn else 1
        limit = bound(layers, each, peaks, steps=steps, floats=network is not c.snn)
        found[name] = as_numbers(limit, reached[name])
    return found


def measure(c: Contenders, peaks: Peaks, rounds: int) -> dict[str, Any]:
    """Time all networks of some time steps; return ratios and patches, or pixels, per second."""
    nets: dict[str, nn.Module] = {
        "ours, float": c.snn,
        "CNN": c.cnn,
        "CNN, our layers": c.own_cnn,
        **c.peers,
    }
    inference = interleave(
        {
            "ours, integers": lambda: in_threads(c),
            **{name: lambda net=net: infer(net, c.x) for name, net in nets.items()},
        },
        rounds,
    )
    few = slice(64)
    training = interleave(
        {
            WITH_OPTIONS: lambda: train_step(c.snn, c.x[few], c.classes[few], torch.bfloat16),
            **{
                name: lambda net=net: train_step(net, c.x[few], c.classes[few])
                for name, net in nets.items()
            },
        },
        rounds,
    )
    maps = interleave(
        {
            "ours, integers": lambda: map_by_tiles(c, integers=True),
            "ours, float": lambda: map_by_tiles(c, integers=False),
            "snnTorch, patches": lambda: map_by_patches(c, c.plain),
            "CNN, patches": lambda: map_by_patches(c, c.cnn),
        },
        max(3, rounds // 5),
    )
    peer, trainer = fastest(inference, c.peers), fastest(training, c.peers)
    rates = {
        "inference": per_second(inference, len(c.x)),
        "training": per_second(training, len(c.x[few])),
        "map": per_second(maps, c.crop.shape[0] * c.crop.shape[1]),
    }
    return {
        "inference_vs_fastest_peer": ratio(inference, "ours, integers", peer),
        "inference_vs_cnn": ratio(inference, "ours, integers", "CNN"),
        "inference_vs_cnn_of_our_layers": ratio(inference, "ours, integers", "CNN, our layers"),
        "inference_float_vs_fastest_peer": ratio(inference, "ours, float", peer),
        "inference_float_vs_cnn": ratio(inference, "ours, float", "CNN"),
        "training_vs_fastest_peer": ratio(training, "ours, float", trainer),
        "training_with_options_vs_fastest_peer": ratio(training, WITH_OPTIONS, trainer),
        "training_vs_cnn": ratio(training, "ours, float", "CNN"),
        "map_vs_snntorch_patches": ratio(maps, "ours, integers", "snnTorch, patches"),
        "map_float_vs_snntorch_patches": ratio(maps, "ours, float", "snnTorch, patches"),
        "map_vs_cnn_patches": ratio(maps, "ours, integers", "CNN, patches"),
        "fastest_peer": {"inference": peer, "training": trainer},
        "per_second": rates,
        "bounds": bounds_of_patches(c, peaks, per_processor_second(inference, len(c.x))),
    }


def page(result: dict[str, Any]) -> str:
    """Return the page of docs/results."""
    model, by_steps = result["model"], result["by_time_steps"]
    lines = [
        "# Speed",
        "",
        *busy_lines(result["machine_load"]),
        f"`python scripts/benchmark.py --model {model}`: {model} on 5x5 patches of Indian Pines, "
        f"pixels of {PIXEL_BITS} bits, 6-bit weights, batches of {result['batch']} (training: 64), "
        f"{result['threads']} threads, {result['machine']}. "
        f"SpikingJelly: {result['spikingjelly']}. GPU: {result['gpu']}.",
        "",
        "How many times as fast, for T time steps: the median with its quartiles, and by processor "
        "time. Maps are those of a crop, or of the whole scene beside the dense CNN.",
        "",
    ]
    ratios = {
        name: [as_cell(found[name]) for found in by_steps.values()]
        for name, value in next(iter(by_steps.values())).items()
        if isinstance(value, dict) and "median" in value
    }
    rates = {
        f"{label}: {name}": [
            f"{found['per_second'][label][name]:,.0f}" for found in by_steps.values()
        ]
        for label, of_default in result["per_second"].items()
        for name in of_default
    }
    shares = {
        name: [f"{found['agreement'][name]:.4f}" for found in by_steps.values()]
        for name in result["agreement"]
    }
    titles = {
        "times as fast": ratios,
        "patches or pixels per second": rates,
        "agreement of": shares,
    }
    for title, rows in titles.items():
        lines += [f"| {title} | " + " | ".join(f"T = {steps}" for steps in by_steps) + " |"]
        lines += ["|---" * (1 + len(by_steps)) + "|"]
        lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]
        lines += [""]
    lines += ["## Bounds", "", *peak_lines(result["peaks_of_a_core"])]
    lines += [f"| inference, per patch {BOUND_TITLES}|", "|---" * 6 + "|"]
    lines += [
        f"| {name}, T = {steps} {bound_cells(cells)}|"
        for steps, found in by_steps.items()
        for name, cells in found["bounds"].items()
    ]
    lines += [""]
    return "\n".join([*lines, *map_lines(result), ""])


def read_options(description: str) -> argparse.Namespace:
    """Read the options of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", choices=("cnn1x1", "cnn32h", "cnn3d"), default=DEFAULT)
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds and maps; writes nothing"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--gpu", action="store_true", help="time on a CUDA device")
    return parser.parse_args()


def main() -> None:
    """Build the networks, check that they agree, time them in turn, print the ratios."""
    options = read_options("Time the SNN beside its CNN and its peers.")
    if options.gpu:
        gpu.run(options)
        return
    keep_freed_memory()
    loads: dict[str, dict[str, Any]] = {}
    probe(loads)
    note = install_spikingjelly()
    batch, side, rounds = (128, 32, 9) if options.quick else (256, 64, 20)
    with_jelly = not note.startswith("left out")
    contenders = build(options.model, batch, side, STEPS, peers=with_jelly)
    shares = {steps: agreements(c) for steps, c in contenders.items()}
    peaks = Peaks.measure()
    with watching(loads, "on patches"):
        patches = {steps: measure(c, peaks, rounds) for steps, c in contenders.items()}
    with watching(loads, "on maps"):
        maps = measure_maps(peaks, quick=options.quick)
    by_steps = {
        steps: {**patches[steps], **ratios_of_default(maps, steps), "agreement": shares[steps]}
        for steps in STEPS
    }
    default = NeuronConfig().time_steps
    result: dict[str, Any] = {
        "outputs_agree": all(share >= 0.98 for s in shares.values() for share in s.values()),
        **by_steps[default],
        **maps,
        "by_time_steps": by_steps,
        "peaks_of_a_core": asdict(peaks),
        "model": options.model,
        "time_steps": default,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "spikingjelly": note,
        "gpu": "scripts/benchmark.py --gpu times it"
        if torch.cuda.is_available()
        else "left out, torch sees no CUDA device",
    }
    result["machine_load"] = loads
    result["machine_busy"] = any(load["busy"] for load in loads.values())
    publish(result, page(result), "benchmark", options)


if __name__ == "__main__":
    main()
