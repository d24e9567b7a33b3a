"""A gradient estimator from one file outside of the package, named by an option."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PLUGIN = Path(__file__).with_name("boundary_estimator.py")
CODE = """
import torch
from snnquant.config import QuantizationConfig
from snnquant.errors import InputError
from snnquant.quantization import quantize
layer = quantize(torch.nn.Linear(300, 2), QuantizationConfig(bits=4, estimator="boundary"))
layer(torch.ones(1, 300)).sum().backward()
gradient = layer.parametrizations.weight.original.grad
print(sorted({round(value, 3) for value in gradient.unique().tolist()}))
try:
    QuantizationConfig(estimator="no")
except InputError as error:
    print(error)
"""


def run(plugins: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SNNQUANT_PLUGINS": plugins}
    command = [sys.executable, "-c", CODE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_option_takes_the_plugins_name() -> None:
    done = run(str(PLUGIN))
    assert done.returncode == 0, done.stderr
    gradients, refused = done.stdout.splitlines()
    assert gradients == "[0.1, 3.0]"
    assert refused.startswith("--estimator: found no, expected clipped, ste, cosine")


def test_without_the_plugin_the_name_is_refused() -> None:
    done = run("")
    assert done.stderr.splitlines()[-1].endswith(
        "--estimator: found boundary, expected clipped, ste, cosine, tanh, ewgs, polynomial, "
        "one that a plugin registers"
    )
