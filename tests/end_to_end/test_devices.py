"""The run on another device than the processor, with a real one and with one that is made up."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from snnquant.checkpoints import checkpoint
from snnquant.config import (
    ConfidenceConfig,
    ConversionConfig,
    ModelConfig,
    NeuronConfig,
    QuantizationConfig,
    RunConfig,
    TrainingConfig,
)
from snnquant.conversion import cnn_to_snn
from snnquant.inference import tile_classifier
from snnquant.pipeline import evaluation, scene_map, stages
from snnquant.pipeline.run import Run
from snnquant.quantization import grids
from snnquant.quantization.activations import ActivationQuantizer
from snnquant.training import resumable

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command, Finished, Refused

CONFIG = RunConfig(
    scene="synthetic:24x24x12",
    model=ModelConfig(name="cnn32h", window=3, widths=(2, 3, 4, 3), dropout=0.0),
    neuron=NeuronConfig(time_steps=2),
    quantization=QuantizationConfig(bits=5, clip="mse", neuron_bits=6),
    conversion=ConversionConfig(calibration="maximum", correction="bias"),
    training=TrainingConfig(
        cnn_epochs=1, quantized_epochs=1, snn_epochs=1, unlabelled=1.0, spike_penalty=0.1
    ),
    # Tiles of the scene run in threads, which `FakeTensorMode` does not reach.
    confidence=ConfidenceConfig(smoothing="0"),
)
ALONE = "SNNQUANT_TEST_ALONE"
"""Variable of the environment that marks a process that runs a single test."""
STAGES: tuple[Callable[[Run], Any], ...] = (
    stages.train_cnn,
    stages.quantize_cnn,
    stages.convert_cnn,
    stages.train_snn,
    evaluation.evaluate,
)


@pytest.fixture(scope="session")
def other_device() -> torch.device:
    """A device without any memory: only `FakeTensorMode`'s tensors, without values, can be there.

    Its own "cuda" cannot be indexed where torch was built without CUDA.
    """
    _setup_privateuseone_for_python_backend("pretended")
    pretended: Any = torch.get_device_module("pretended")
    pretended.get_amp_supported_dtype = lambda: [torch.bfloat16]
    return torch.device("pretended:0")


@pytest.fixture
def valueless(monkeypatch: pytest.MonkeyPatch) -> FakeTensorMode:
    """Tensors with only shapes and devices: what asks for values gets some, on the CPU only.

    Operations on tensors of several devices raise, as they would with real ones.
    """

    def numpy(tensor: Tensor) -> Any:
        assert tensor.device.type == "cpu"
        return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))

    def copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
        values = tensor.detach().clone()
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(values, tensor.requires_grad) if is_parameter else values
        return memo[id(tensor)]

    def moved(module: nn.Module, move: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        for part in module.modules():
            for name, p in part.named_parameters(recurse=False):
                part._parameters[name] = nn.Parameter(move(p.detach()), p.requires_grad)
            for name, buffer in part.named_buffers(recurse=False):
                part._buffers[name] = move(buffer)
        return module

    files: dict[Path, Any] = {}

    def write(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        path.touch()
        files[path] = ({name: tensor.cpu().clone() for name, tensor in tensors.items()}, header)

    def read(path: Path) -> Any:
        tensors, header = files[path]
        return dict(tensors), copy.deepcopy(header)

    replacements: dict[Any, dict[str, Any]] = {
        FakeTensorMode: {"may_turn_const": lambda mode, tensor: False},
        nn.Module: {"_apply": moved},
        nn.Parameter: {"__deepcopy__": copied},
        Tensor: {
            "__deepcopy__": copied,
            "__bool__": lambda tensor: True,
            "__int__": lambda tensor: 0,
            "__float__": lambda tensor: 0.5,
            "item": lambda tensor: 0.5 if tensor.is_floating_point() else 0,
            "tolist": lambda tensor: np.zeros(tensor.shape).tolist(),
            "numpy": numpy,
            "new_tensor": lambda tensor, value: tensor.new_full((), value),
        },
        torch: {"allclose": lambda *tensors, rtol, atol: True},
        checkpoint: {"write_tensors": write, "read_tensors": read},
        resumable: {"write_tensors": write, "read_tensors": read},
    }
    for owner, names in replacements.items():
        for name, replacement in names.items():
            monkeypatch.setattr(owner, name, replacement)
    monkeypatch.setattr(checkpoint, "require_numbers", lambda *arguments: None)
    return FakeTensorMode(allow_non_fake_inputs=True)


@pytest.mark.slow
def test_devices_in_a_process_of_their_own() -> None:
    """torch counts the kinds of device once, at the first backward pass of a process."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", __file__]
    done = subprocess.run(
        [*command, "-k", "test_no_stage_mixes_devices"],
        env={**os.environ, ALONE: "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.skipif(ALONE not in os.environ, reason="runs in a process of its own")
def test_no_stage_mixes_devices(
    other_device: torch.device,
    valueless: FakeTensorMode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grids, "SHRINK_STEPS", 3)  # searches repeat the same operations
    monkeypatch.setattr(cnn_to_snn, "TIME_STEPS", (1, 2))
    # Ceilings start from the positive values, whose number tensors without values do not have.
    monkeypatch.setattr(ActivationQuantizer, "start", lambda of, x: nn.init.ones_(of.ceiling))
    seen = set()
    with valueless:
        run = Run.create(CONFIG, tmp_path / "run", device=other_device)
        for stage in STAGES:
            stage(run)
        classify, how = tile_classifier(run.load("snn_trained").network, run.patches.bands, 3)
        assert how == "work shared between windows"
        seen.add(classify(torch.zeros(1, 1, run.patches.bands, 10, 12)).device)
        for name in run.present():
            network = run.load(name).network
            network.register_forward_hook(lambda m, inputs, output: seen.add(output.device))
            network(run.patches.gather(run.split.test[:2]))
        with pytest.raises(RuntimeError, match="same device"):
            network.cpu()(run.patches.gather(run.split.test[:2]))
    assert len(run.present()) == 4
    assert seen == {other_device}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.parametrize("subcommand", ["run", "train", "convert", "finetune", "evaluate", "map"])
def test_cuda_where_there_is_none(refused: Refused, copy: Path, subcommand: str) -> None:
    arguments = [] if subcommand in ("run", "train") else [copy]
    assert refused(subcommand, *arguments, "--device", "cuda") == (
        "--device: found cuda, expected cpu or auto: torch sees no CUDA device here"
    )


def test_integers_on_cuda(refused: Refused, copy: Path) -> None:
    line = refused("map", copy, "--engine", "integer", "--device", "cuda")
    assert line.startswith("--device: found cuda beside --engine integer")


def test_device_leaves_no_trace(
    snnquant: Command, finished: Finished, quick: tuple[str, ...], tmp_path: Path
) -> None:
    code, _, err = snnquant("train", *quick, "--device", "cpu", "--output", tmp_path / "run")
    assert code == 0, err
    for name in ("config.toml", "cnn.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (finished.folder / name).read_bytes()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
def test_cuda_and_the_processor_agree(tmp_path: Path) -> None:
    histories, maps = [], []
    for device in (torch.device("cpu"), torch.device("cuda")):
        run = Run.create(CONFIG, tmp_path / device.type, device=device)
        stages.train_cnn(run)
        row = (run.path / "history.csv").read_text().splitlines()[1]
        histories.append([float(value) for value in row.split(",")[2:]])
        elsewhere = Run.open(tmp_path / "cpu", device=device)
        maps.append(scene_map.draw_map(elsewhere, "cnn_fp32").read_bytes())
        stages.convert_cnn(run)
        stages.train_snn(run)
    np.testing.assert_allclose(*histories, rtol=1e-3, atol=1e-3)
    assert maps[0] == maps[1]
