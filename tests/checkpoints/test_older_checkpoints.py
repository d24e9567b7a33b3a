"""Checkpoints of format 1 as the first versions wrote them: no method, no neuron model named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from snnquant.checkpoints import load_checkpoint, read_header, save_checkpoint
from snnquant.checkpoints.tensorfile import read_tensors
from snnquant.config import NeuronConfig, QuantizationConfig

DATA = Path(__file__).parent / "data"
CONFIGS = {
    "cnn": (None, None),
    "quantized_snn": (
        QuantizationConfig(bits=5, scheme="affine", clip="mse", neuron_bits=6, activation_bits=32),
        NeuronConfig(time_steps=3, reset="same_step", surrogate="arctan"),
    ),
}
"""The files in DATA; beside each the logits of `patches` by the version that wrote it."""


def patches() -> torch.Tensor:
    k = torch.arange(20 * 12 * 9, dtype=torch.float64)
    return (3 * (0.37 * k * k).sin()).float().view(20, 1, 12, 3, 3)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_older_checkpoint_loads_with_equal_outputs(name: str) -> None:
    file = DATA / f"{name}.safetensors"
    _, header = read_tensors(file)
    assert "method" not in (header["quantization"] or {})
    read = load_checkpoint(file)
    assert (read.quantization, read.neuron) == CONFIGS[name]
    logits = torch.from_numpy(np.load(DATA / f"{name}_logits.npy"))
    assert logits.unique().numel() > 10
    with torch.no_grad():
        torch.testing.assert_close(read.network(patches()), logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_older_checkpoint_is_saved_with_the_names_of_today(name: str, tmp_path: Path) -> None:
    old, path = load_checkpoint(DATA / f"{name}.safetensors"), tmp_path / "new.safetensors"
    save_checkpoint(path, old)
    new = load_checkpoint(path)
    with torch.no_grad():
        assert torch.equal(new.network(patches()), old.network(patches()))
    _, header = read_tensors(path)
    if old.quantization:
        assert header["quantization"]["method"] == "uniform"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_header_is_read_without_the_weights(name: str, tmp_path: Path) -> None:
    file = DATA / f"{name}.safetensors"
    header, whole = read_header(file), load_checkpoint(file)
    for field, value in vars(header).items():
        assert getattr(whole, field) == value
    assert header.bits == whole.bits
    damaged = tmp_path / "damaged.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    assert read_header(damaged) == header
