"""Time the SNN beside its CNN, snnTorch and SpikingJelly, on the same weights and patches.

    python scripts/benchmark.py [--quick] [--json] [--model cnn3d]

All run in turn within a round, so that a machine that slows down slows all of them; a figure is the
median ratio over the rounds with its quartiles, by wall time and by processor time. Peers and the
CNN have torch's own convolutions, which their users have; "CNN, our layers" has those of this
package (`snnquant.models.convolutions`). Peers get what is fastest for them: the layer before the
first spikes runs once, not at every step. SpikingJelly is installed without its dependencies into a
folder of this benchmark's own. Without --quick the results go to docs/results/benchmark.md and
benchmark.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_peers import (
    SnnTorchLoop,
    SpikingJellySteps,
    install_spikingjelly,
    of_torch,
    same_step,
)
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import convert
from snnquant.inference import Cube, classify_scene, tile_classifier
from snnquant.inference.integer import IntegerNetwork
from snnquant.io import replacing
from snnquant.memory import keep_freed_memory
from snnquant.models import build_model
from snnquant.quantization import freeze, quantize
from snnquant.sampling import Normalisation, Patches
from snnquant.scenes import load_scene
from snnquant.spiking import LIF, SpikingNetwork

RESULTS = Path(__file__).parents[1] / "docs" / "results"
WINDOW, LEAK = 5, 0.95
TRAINING_STEPS = 100
WITH_OPTIONS = "ours, --precision bfloat16"


@dataclass(frozen=True)
class Contenders:
    """Networks of one set of weights, patches [N, 1, B, 5, 5], and the crop of a scene."""

    x: Tensor
    classes: Tensor
    cnn: nn.Module
    own_cnn: nn.Module
    """The same with the convolutions of this package."""
    snn: SpikingNetwork
    engine: IntegerNetwork
    pool: ThreadPoolExecutor
    peers: dict[str, nn.Module]
    plain: nn.Module
    """snnTorch's loop as a tutorial has it."""
    crop: np.ndarray
    normalisation: Normalisation


def build(model: str, batch: int, side: int, peers: bool) -> Contenders:
    """The networks, on pixels of Indian Pines; thresholds calibrated, weights of 6 bits."""
    torch.manual_seed(0)
    scene = load_scene("indian_pines")
    labelled = torch.from_numpy(scene.labels.reshape(-1)).nonzero().ravel()
    pixels = labelled[:: len(labelled) // batch][:batch]
    normalisation = Normalisation.fit(scene, pixels.numpy())
    patches = Patches(scene.cube, WINDOW, normalisation)
    x = patches.gather(pixels)
    cnn = build_model(ModelConfig(name=model, dropout=0), scene.bands, scene.classes)
    train_a_little(cnn, patches, labelled, torch.from_numpy(scene.labels.reshape(-1)))
    # snnTorch and SpikingJelly start at potential 0, so the comparison does too.
    snn, _ = convert(cnn, x, x, neuron=NeuronConfig(initial=0))
    for layer in snn.layers:
        if isinstance(layer, LIF):
            layer.leak.data.fill_(LEAK)
    quantize(snn, QuantizationConfig())
    engine = IntegerNetwork(snn, scene.bands, WINDOW)
    freeze(snn)
    plain = of_torch(snn)
    others: dict[str, nn.Module] = {"snnTorch": SnnTorchLoop(plain, first_once=True)}
    if peers:
        others["SpikingJelly"] = SpikingJellySteps(same_step(plain))
    return Contenders(
        x,
        torch.randint(scene.classes, (len(x),)),
        of_torch(cnn.eval()),
        cnn,
        snn,
        engine,
        workers(),
        others,
        SnnTorchLoop(plain, first_once=False),
        scene.cube[:side, :side],
        normalisation,
    )


def train_a_little(cnn: nn.Module, patches: Patches, pixels: Tensor, labels: Tensor) -> None:
    """Some steps, so that classes are told apart by more than a rounding."""
    optimizer = torch.optim.Adam(cnn.parameters(), 1e-3)
    for _ in range(TRAINING_STEPS):
        batch = pixels[torch.randint(len(pixels), (64,))]
        optimizer.zero_grad()
        nn.functional.cross_entropy(cnn(patches.gather(batch)), labels[batch] - 1).backward()
        optimizer.step()


def infer(network: nn.Module, x: Tensor) -> Tensor:
    """Logits without a graph."""
    with torch.no_grad():
        logits: Tensor = network(x)
    return logits


def workers() -> ThreadPoolExecutor:
    """A worker for each of torch's threads, whose own operations keep to one."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1))
    list(pool.map(time.sleep, [0.1] * threads))  # starts them all
    torch.set_num_threads(threads)
    return pool


def in_threads(c: Contenders) -> np.ndarray:
    """The engine's logits, a share of the patches on each core, as the CNN's operations do it."""
    parts = c.x.chunk(torch.get_num_threads())
    return np.concatenate(list(c.pool.map(c.engine.logits, parts)))[:, 0, 0]


def train_step(
    network: nn.Module, x: Tensor, classes: Tensor, precision: torch.dtype | None = None
) -> None:
    """Forward and backward; the gradients are exact, or those of `--precision`."""
    network.zero_grad()
    with torch.autocast("cpu", precision, enabled=precision is not None):
        logits = network(x)
    nn.functional.cross_entropy(logits.float(), classes).backward()


def map_by_tiles(c: Contenders, *, integers: bool) -> np.ndarray:
    """The crop's classes as `snnquant map` computes them."""
    classify = c.engine.classes
    if not integers:
        classify, _ = tile_classifier(c.snn, c.crop.shape[2], WINDOW)
    class_map = np.zeros(c.crop.shape[:2], np.uint8)
    cube = Cube("crop", c.crop.shape, "", lambda: c.crop)
    classify_scene(classify, cube, c.normalisation, WINDOW, class_map)
    return class_map


def map_by_patches(c: Contenders, network: nn.Module) -> np.ndarray:
    """The crop's classes patch by patch."""
    patches = Patches(c.crop, WINDOW, c.normalisation)
    indices = torch.arange(c.crop.shape[0] * c.crop.shape[1])
    classes = [infer(network, patches.gather(b)).argmax(1) for b in torch.split(indices, 512)]
    return torch.cat(classes).view(c.crop.shape[:2]).numpy() + 1


def agreements(c: Contenders) -> dict[str, float]:
    """Share of the patches, or pixels, on which two ways to compute one thing agree."""

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


Times = dict[str, list[tuple[float, float]]]


def interleave(works: dict[str, Callable[[], object]], rounds: int) -> Times:
    """Wall and processor seconds of each, in turn; the first round warms up."""
    times: Times = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            if turn:
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return times


def ratio(times: Times, ours: str, reference: str) -> dict[str, float]:
    """How many times faster than the reference: median and quartiles of the rounds."""
    walls, processors = (
        [theirs[i] / own[i] for own, theirs in zip(times[ours], times[reference], strict=True)]
        for i in range(2)
    )
    low, median, high = statistics.quantiles(walls, n=4)
    return {
        "median": median,
        "low": low,
        "high": high,
        "processor_median": statistics.median(processors),
    }


def fastest(times: Times, peers: dict[str, nn.Module]) -> str:
    """The peer with the shortest median."""
    return min(peers, key=lambda name: statistics.median(wall for wall, _ in times[name]))


def per_second(times: Times, count: int) -> dict[str, float]:
    """How many of `count` patches, or pixels, a second each contender's median comes to."""
    return {
        name: count / statistics.median(wall for wall, _ in rows) for name, rows in times.items()
    }


def measure(c: Contenders, rounds: int) -> dict[str, Any]:
    """All ratios, and how many patches, or pixels, a second the medians come to."""
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
        max(3, rounds // 4),
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
    }


def page(result: dict[str, Any]) -> str:
    """The page of docs/results."""
    model = result["model"]
    lines = [
        "# Speed",
        "",
        f"`python scripts/benchmark.py --model {model}`: {model} on 5x5 patches of Indian Pines, "
        f"T = {result['time_steps']}, 6-bit weights, batches of "
        f"{result['batch']} (training: 64), {result['threads']} threads, {result['machine']}. "
        f"SpikingJelly: {result['spikingjelly']}. GPU: {result['gpu']}.",
        "",
        "| how many times as fast | median | quartiles | by processor time |",
        "|---|---|---|---|",
    ]
    for name, value in result.items():
        if isinstance(value, dict) and "median" in value:
            lines.append(
                f"| {name} | {value['median']:.2f} | {value['low']:.2f} to {value['high']:.2f} "
                f"| {value['processor_median']:.2f} |"
            )
    lines += ["", "| | patches or pixels a second |", "|---|---|"]
    for label, rates in result["per_second"].items():
        lines += [f"| {label}: {name} | {rate:,.0f} |" for name, rate in rates.items()]
    lines += ["", "| agreement of | share |", "|---|---|"]
    lines += [f"| {name} | {share:.4f} |" for name, share in result["agreement"].items()]
    return "\n".join([*lines, ""])


def read_options(description: str) -> argparse.Namespace:
    """The options of the command line: model, quick and json."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", choices=("cnn32h", "cnn3d"), default="cnn32h")
    parser.add_argument("--quick", action="store_true", help="under three minutes; writes nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def publish(result: dict[str, Any], text: str, stem: str, options: argparse.Namespace) -> None:
    """Write a result and its page to docs/results, unless quick, and print one of them."""
    if not options.quick:
        for end, content in (("md", text), ("json", json.dumps(result, indent=2) + "\n")):
            with replacing(RESULTS / f"{stem}.{end}") as temporary:
                temporary.write_text(content, encoding="utf-8")
    print(json.dumps(result) if options.json else text)


def main() -> None:
    """Build the networks, check that they agree, time them in turn, print the ratios."""
    options = read_options("Time the SNN beside its CNN and its peers.")
    keep_freed_memory()
    note = install_spikingjelly()
    batch, side, rounds = (128, 32, 9) if options.quick else (256, 64, 20)
    contenders = build(options.model, batch, side, peers=not note.startswith("left out"))
    shares = agreements(contenders)
    result: dict[str, Any] = {
        "outputs_agree": all(share >= 0.98 for share in shares.values()),
        **measure(contenders, rounds),
        "agreement": shares,
        "model": options.model,
        "time_steps": contenders.snn.time_steps,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "spikingjelly": note,
        "gpu": "scripts/benchmark_gpu.py times it"
        if torch.cuda.is_available()
        else "left out, torch sees no CUDA device",
    }
    publish(result, page(result), "benchmark", options)


if __name__ == "__main__":
    main()
