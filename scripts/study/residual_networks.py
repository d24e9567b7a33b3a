"""Study: shortcuts of more bits, and 8-bit training from Fixup's start, on `resnet3d`.

    python scripts/study/residual_networks.py [--seeds 0 1] [--rows "floating point" ...]

A CNN of Indian Pines (a fifth of the labelled pixels) is trained for 10 epochs with batch norms,
which are folded; each row's method then quantizes it, or draws it anew, and trains for 10. Every
row and seed is kept in docs/results/methods/residual_networks.jsonl and not computed again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from snnquant.config import MethodConfig, ModelConfig, RunConfig, SplitConfig, TrainingConfig
from snnquant.pipeline import stages
from snnquant.pipeline.run import Run
from snnquant.quantization.methods.eoq import EOQ
from snnquant.quantization.methods.hybrid_net import HybridNet
from snnquant.stored_networks import Network

sys.path.insert(0, str(Path(__file__).parent))
from low_precision_scene import accuracy, quantized
from records import Records
from weight_methods import spread

FILE = Path("docs/results/methods/residual_networks.jsonl")
FLOAT = "floating point, batch norm"
NEVER = 1.0
"""Growth of the components as a share of the width that no layer exceeds."""
METHODS: dict[str, MethodConfig] = {
    "binary": HybridNet(delta=NEVER),
    "binary, shortcut of 8 bits": HybridNet(delta=NEVER, shortcut_bits=8),
    "eoq, batch norm folded": EOQ(),
    "eoq, from fixup": EOQ(start="fixup", range="unit", learning_rate=0.03),
}


def main() -> None:
    """Compute what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--rows", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = Records(FILE)
    for seed in options.seeds:
        missing = [row for row in options.rows if f"{row}, seed {seed}" not in records]
        if not missing:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "run"
            training = TrainingConfig(cnn_epochs=10, quantized_epochs=10, snn_batch_norm=False)
            config = RunConfig(
                seed=seed,
                model=ModelConfig(name="resnet3d"),
                split=SplitConfig(train_fraction=0.2),
                training=training,
            )
            stages.train_cnn(Run.create(config, folder))
            oa = accuracy(Run.open(folder), Network.CNN_FP32)
            if f"{FLOAT}, seed {seed}" not in records:
                records.add(f"{FLOAT}, seed {seed}", {"oa": oa})
            for row in missing:
                records.add(f"{row}, seed {seed}", dict(quantized(folder, METHODS[row])))
    print("| training | OA, % |\n| --- | --- |")
    for row in (FLOAT, *options.rows):
        found = [records.get(f"{row}, seed {seed}") or {} for seed in options.seeds]
        print(f"| {row} | {spread([run['oa'] for run in found])} |")


if __name__ == "__main__":
    main()
