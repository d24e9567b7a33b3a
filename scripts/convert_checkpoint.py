"""Convert a CNN checkpoint into an SNN, from Python.

    python scripts/convert_checkpoint.py my_cnn.pt indian_pines --model cnn3d

The same stages as `snnquant convert` and `snnquant finetune`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from snnquant.config import ModelConfig, RunConfig
from snnquant.errors import InputError
from snnquant.pipeline import evaluation, stages
from snnquant.pipeline.import_cnn import import_cnn
from snnquant.pipeline.run import Run
from snnquant.report import print_table


def main() -> None:
    """Read the options, convert, train on if asked, print the table."""
    parser = argparse.ArgumentParser(description="Convert a CNN checkpoint into an SNN.")
    parser.add_argument("checkpoint", type=Path, help="snnquant checkpoint or PyTorch state dict")
    parser.add_argument("scene", help="a scene card's name, a card's path, or synthetic:HxWxB")
    parser.add_argument("--model", default="cnn32h", help="the network whose weights these are")
    parser.add_argument("--finetune", action="store_true", help="train the SNN under quantization")
    options = parser.parse_args()
    try:
        config = RunConfig(scene=options.scene, model=ModelConfig(name=options.model))
        run = Run.create(config)
        for remark in import_cnn(run, options.checkpoint):
            print(f"{options.checkpoint}: {remark}", file=sys.stderr)
        stages.convert_cnn(run)
        if options.finetune:
            stages.train_snn(run)
        print_table(evaluation.evaluate(run), Console())
    except InputError as error:
        print(f"convert_checkpoint.py: {error}", file=sys.stderr)
        sys.exit(2)
    print(run.path)


if __name__ == "__main__":
    main()
