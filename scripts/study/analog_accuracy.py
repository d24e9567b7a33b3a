"""Accuracy of a run's SNN on analog columns: tables of overall accuracy over chips.

    python scripts/study/analog_accuracy.py runs/my_run [sram_65nm] [--pixels 500] [--chips 10]
    python scripts/study/analog_accuracy.py runs/my_run --parameter adc_bits --pixels 6000
    python scripts/study/analog_accuracy.py runs/my_run --grid accuracy.json

The last writes the accuracy over ADC bits and rows as the file of `pim-sim sweep --accuracy`.
The first layer is computed as the hardware file says. Ranges are laid over training pixels,
accuracy is of test pixels. Change what is swept here, or see `pim_sim.analog.AnalogConfig`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pim_sim import Workload, load_hardware
from pim_sim.analog import AnalogConfig, ChipAccuracy, analog, finetune, monte_carlo, sweep
from pim_sim.io import write_json
from pim_sim.sweep import conditions
from snnquant.errors import InputError
from snnquant.pipeline.run import Run
from snnquant.spiking import SpikingNetwork
from snnquant.training import Samples, predict

LAYER = "layers.conv1"
CALIBRATION_PIXELS = 256
INPUT_BITS = 8
FIXED: dict[str, list[float]] = {
    "adc_bits": [3, 4, 5, 6, 7, 8],
    "rows": [64, 32, 16, 8],
    "droop": [0.1, 0.2, 0.5, 1],
    "clip": [8, 4, 2, 1],
}
"""Parameters that are the same on every chip, so that two chips are enough."""
DRAWN: dict[str, list[float]] = {
    "thermal_lsb": [0.5, 1, 2, 4],
    "offset_lsb": [0.5, 1, 2, 4],
    "inl_lsb": [0.5, 1, 2, 4],
    "gain": [0.02, 0.05, 0.1, 0.2],
    "capacitor": [0.02, 0.05, 0.1, 0.2],
}
KINDS = ["bit_line_6t_65nm", "bit_line_8t_28nm", "charge_65nm", "c2c_22nm", "rram_65nm"]


@dataclass(frozen=True)
class Bench:
    """A run's SNN with its calibration and test pixels."""

    run: Run
    network: SpikingNetwork
    bits: int
    inputs: Tensor
    """Patches of training pixels, over which ranges are laid."""
    test: Samples

    @classmethod
    def of(cls, path: Path, pixels: int) -> Bench:
        """Load the trained SNN of a run and so many of its test pixels, drawn at random."""
        run = Run.open(path)
        checkpoint = run.load("snn_trained")
        network, bits = checkpoint.network, checkpoint.bits
        assert isinstance(network, SpikingNetwork)
        assert bits is not None
        draw = np.random.default_rng(run.config.seed)
        inputs = run.patches.gather(draw.permutation(run.split.train)[:CALIBRATION_PIXELS])
        test = run.samples(np.sort(draw.permutation(run.split.test)[:pixels]))
        return cls(run, network, bits, inputs, test)

    def accuracy(self, network: nn.Module) -> float:
        """Return the overall accuracy on the test pixels, 0 to 1."""
        logits = predict(network, self.test.patches, self.test.indices)
        return (logits.argmax(1) == self.test.classes).double().mean().item()

    def config(self, hardware: str) -> AnalogConfig:
        """Return the first layer as a hardware file describes it."""
        found = load_hardware(hardware)
        return AnalogConfig.of_hardware(found, input_bits=INPUT_BITS, weight_bits=self.bits)


def measure_grid(bench: Bench, hardware: str, chips: int, percentile: float, target: Path) -> None:
    """Write the accuracy at every ADC bits and rows as JSON, and print it."""
    layer = Workload.from_json(bench.run.path / "workload.json").layers[0]
    base = bench.config(hardware).with_value("percentile", percentile)
    points = []
    for bits, rows in itertools.product(FIXED["adc_bits"], FIXED["rows"]):
        config = base.with_value("adc_bits", bits).with_value("rows", rows)
        found = monte_carlo(bench.network, LAYER, config, bench.inputs, bench.accuracy, chips=chips)
        point = {"adc_bits": bits, "rows": rows, "oa": found.mean, "interval": found.interval()}
        points.append(point)
        print(f"{bits} bits, {rows} rows: {in_percent(found)}", flush=True)
    content = {
        "schema": 1,
        "network": f"{bench.run.scene.name} {bench.run.config.model.name}",
        "pixels": len(bench.test.classes),
        "chips": chips,
        "percentile": percentile,
        "conditions": {
            name: np.asarray(value).item()
            for name, value in conditions(layer, load_hardware(hardware)).items()
        },
        "points": points,
    }
    write_json(target, content)


def study(bench: Bench, hardware: str, chips: int, parameter: str | None) -> None:
    """Print the accuracy as trained, over each parameter (or one), over hardware, and tuned."""
    run, network, inputs = bench.run, bench.network, bench.inputs
    accuracy, config_of, test = bench.accuracy, bench.config, bench.test
    base = config_of(hardware)
    swept = FIXED | DRAWN if parameter is None else {parameter: (FIXED | DRAWN)[parameter]}
    print(
        f"{run.scene.name}: OA {100 * accuracy(network):.2f} % as trained, {len(test.classes)} test"
    )
    for percentile in (100, 99):
        config = base.with_value("percentile", percentile)
        print(f"\n{hardware}, ranges over {percentile} % of the magnitudes")
        for name, values in swept.items():
            drawn = chips if name in DRAWN else 2
            found = sweep(network, LAYER, config, inputs, accuracy, name, values, chips=drawn)
            print(
                f"  {name:13}" + "   ".join(f"{v:g}: {in_percent(oa)}" for v, oa in found),
                flush=True,
            )
    if parameter is not None:
        return
    print("\nhardware, ranges over 100 and 99 %")
    for name in [hardware, *KINDS]:
        configs = [config_of(name).with_value("percentile", share) for share in (100, 99)]
        both = [monte_carlo(network, LAYER, c, inputs, accuracy, chips=chips) for c in configs]
        print(f"  {name:20}" + "   ".join(map(in_percent, both)), flush=True)

    config = base.with_value("adc_bits", 4)
    before = monte_carlo(network, LAYER, config, inputs, accuracy, chips=chips, seed=1000)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    optimizer.register_step_post_hook(lambda *_: network.clamp_())
    with analog(network, LAYER, config, inputs) as layer:
        network.train()
        finetune(network, layer, batches(run, epochs=2), optimizer)
    after = monte_carlo(network, LAYER, config, inputs, accuracy, chips=chips, seed=1000)
    print(
        f"\n4-bit ADC over the whole range: {in_percent(before)}, "
        f"tuned for 2 epochs {in_percent(after)}"
    )


def batches(run: Run, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield training pixels in another order every epoch."""
    train = run.samples(run.split.train)
    for epoch in range(epochs):
        order = torch.randperm(len(train.indices), generator=torch.Generator().manual_seed(epoch))
        for batch in torch.split(order, 64):
            yield train.patches.gather(train.indices[batch]), train.classes[batch]


def in_percent(found: ChipAccuracy) -> str:
    """Return the mean in percent and, where chips differ, half of its 95 % interval."""
    if len(set(found.oa)) == 1:
        return f"{100 * found.mean:.1f}"
    low, high = found.interval()
    return f"{100 * found.mean:.1f} ± {50 * (high - low):.1f}"


def main() -> None:
    """Read the options and print."""
    parser = argparse.ArgumentParser(description="Accuracy of a run's SNN on analog columns.")
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("hardware", nargs="?", default="sram_65nm", help="name, or path to a .toml")
    parser.add_argument("--pixels", type=int, default=500, help="test pixels, drawn at random")
    parser.add_argument("--chips", type=int, default=10, help="chips of a figure, at least 2")
    parser.add_argument("--parameter", choices=FIXED | DRAWN, help="sweep this one and stop")
    parser.add_argument("--grid", type=Path, help="file for the accuracy over ADC bits and rows")
    parser.add_argument("--percentile", type=float, default=99, help="range of --grid's converter")
    options = parser.parse_args()
    try:
        bench = Bench.of(options.run, options.pixels)
        if options.grid is None:
            study(bench, options.hardware, options.chips, options.parameter)
        else:
            grid = (options.chips, options.percentile, options.grid)
            measure_grid(bench, options.hardware, *grid)
    except InputError as error:
        print(f"analog_accuracy.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
