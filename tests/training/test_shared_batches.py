"""Two processes that share every batch take the steps of one, except for rounding."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from snnquant.cli import main
from snnquant.cli.options import RunOptions
from snnquant.cli.torchrun import join
from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig, TrainingConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.quantization import quantize
from snnquant.training import Samples, Stage, SynapseNorms, train
from snnquant.training.shared_batches import processes, shared_batches, sum_gradients

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch without torch.distributed"
)
OPTIONS = (
    *("--scene", "synthetic:24x24x16", "--model", "cnn32h", "--widths", "2", "3", "4", "3"),
    *("--batch-size", "33", "--cnn-epochs", "2", "--quantized-epochs", "1", "--snn-epochs", "2"),
)
KINDS = ("cnn", "snn")


def in_two_processes(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Python by torchrun."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    return subprocess.run(
        [sys.executable, *start, sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
    )


def snnquant(*arguments: str) -> subprocess.CompletedProcess[str]:
    return in_two_processes("-c", "from snnquant.cli import main; main()", *arguments)


def step(kind: str) -> dict[str, Tensor]:
    """Return logits, gradients and state after one step on 7 patches, in float64."""
    torch.manual_seed(0)
    config, patches = ModelConfig(name="cnn32h", widths=(3, 4, 5, 6)), torch.randn(7, 1, 12, 5, 5)
    network: nn.Module = build_model(config, 12, 3, batch_norm=kind == "cnn")
    if kind == "snn":
        network = to_spiking(network, patches[:1], NeuronConfig(time_steps=3))
        quantize(network, QuantizationConfig(bits=5))
    network, patches = network.double(), patches.double()
    if kind == "snn":
        SynapseNorms(network, patches)
    network.train()
    torch.manual_seed(1)
    with shared_batches(network):
        logits = network(patches)
        functional.cross_entropy(logits, torch.arange(7) % 3).backward()
        sum_gradients(network)
    gradients = {f"{name} gradient": p.grad for name, p in network.named_parameters()}
    found = {name: value for name, value in gradients.items() if value is not None}
    return {"logits": logits.detach(), **found, **network.state_dict()}


@pytest.mark.slow
def test_a_step_of_two_processes_is_that_of_one(tmp_path: Path) -> None:
    done = in_two_processes(__file__, str(tmp_path))
    assert done.returncode == 0, done.stderr
    for kind in KINDS:
        expected = step(kind)
        assert any(float(value.abs().max()) > 1e-3 for n, value in expected.items() if "grad" in n)
        for rank in range(2):
            found = torch.load(tmp_path / f"{kind}_{rank}.pt", weights_only=True)
            assert set(found) == set(expected)
            for name, value in expected.items():
                torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11, msg=name)
    said = (tmp_path / "refused.txt").read_text()
    assert "found a batch of 1 patches for 2 processes" in said
    assert "found other weights or statistics per process" in said


def history_of(folder: Path) -> list[tuple[str, float, float]]:
    with (folder / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [(row["stage"], float(row["loss"]), float(row["validation_loss"])) for row in rows]


def require_close(found: Path, expected: Path) -> None:
    """Require losses that are close; optimizers make steps of signs of gradients that are 0."""
    rows, others = history_of(found), history_of(expected)
    assert [row[0] for row in rows] == [row[0] for row in others]
    assert rows[0][1:] == pytest.approx(others[0][1:], rel=1e-5)
    for row, other in zip(rows, others, strict=True):
        assert row[1:] == pytest.approx(other[1:], rel=5e-3)
    assert {path.name for path in found.iterdir()} == {path.name for path in expected.iterdir()}


@pytest.mark.slow
def test_two_processes_make_the_run_of_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    main(["run", *OPTIONS, "--output", str(one)])
    done = snnquant("run", *OPTIONS, "--output", str(two), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == str(two)  # the second process prints nothing
    require_close(two, one)
    (two / "snn.safetensors").unlink()
    done = snnquant("run", "--resume", str(two))
    assert done.returncode == 0, done.stderr
    require_close(two, one)


def test_a_penalty_of_spikes_is_refused(
    network_of: Callable[..., nn.Module],
    samples: tuple[Samples, Samples],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("snnquant.training.loop.processes", lambda: 2)
    arguments = (network_of("snn"), *samples, Stage("snn", 1, 1e-3), TrainingConfig(), tmp_path)
    with pytest.raises(InputError, match="--spike-penalty, --spike-target: found several"):
        train(*arguments, penalty=lambda: torch.zeros(()))


def test_a_gpu_is_refused_under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="--device: found cuda under torchrun"):
        join(RunOptions(device="cuda"), lambda *_: None)


def test_one_process_shares_nothing() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    assert processes() == 1
    with shared_batches(network):
        assert not network._forward_hooks
        network(torch.ones(3, 2)).sum().backward()
    before = [parameter.grad.clone() for parameter in network.parameters()]
    sum_gradients(network)
    for parameter, gradient in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient)


def _refusals() -> list[str]:
    network = nn.Linear(2, 2)
    said = []
    try:
        with shared_batches(network):
            network(torch.ones(1, 2))
    except InputError as error:
        said.append(str(error))
    try:
        with shared_batches(network):
            nn.init.constant_(network.weight, float(distributed.get_rank()))
    except InputError as error:
        said.append(str(error))
    return said


if __name__ == "__main__":
    distributed.init_process_group("gloo")
    folder, rank = Path(sys.argv[1]), distributed.get_rank()
    for kind in KINDS:
        torch.save(step(kind), folder / f"{kind}_{rank}.pt")
    refused = _refusals()
    if rank:
        (folder / "refused.txt").write_text("\n".join(refused))
    distributed.destroy_process_group()
