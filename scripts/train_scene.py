"""Train the CNN and the SNN of a scene, from Python.

    python scripts/train_scene.py indian_pines
    python scripts/train_scene.py my_scene.toml --output runs/mine --bits 4 --time-steps 3

The same stages as `snnquant run`; leave one out, or put your own between them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from snnquant.config import NeuronConfig, QuantizationConfig, RunConfig
from snnquant.errors import InputError
from snnquant.pipeline import evaluation, stages
from snnquant.pipeline.run import Run
from snnquant.report import print_table


def main() -> None:
    """Read the options, go through the stages, print the table."""
    parser = argparse.ArgumentParser(description="Train the CNN and the SNN of a scene.")
    parser.add_argument("scene", help="a scene card's name, a card's path, or synthetic:HxWxB")
    parser.add_argument("--output", type=Path, help="new folder of the run")
    parser.add_argument("--bits", type=int, default=6, help="bits of a weight")
    parser.add_argument("--time-steps", type=int, default=5, help="time steps of the SNN")
    options = parser.parse_args()
    try:
        config = RunConfig(
            scene=options.scene,
            quantization=QuantizationConfig(bits=options.bits),
            neuron=NeuronConfig(time_steps=options.time_steps),
        )
        run = Run.create(config, options.output)
        stages.train_cnn(run)
        stages.quantize_cnn(run)
        stages.convert_cnn(run)
        stages.train_snn(run)
        print_table(evaluation.evaluate(run), Console())
    except InputError as error:
        print(f"train_scene.py: {error}", file=sys.stderr)
        sys.exit(2)
    print(run.path)


if __name__ == "__main__":
    main()
