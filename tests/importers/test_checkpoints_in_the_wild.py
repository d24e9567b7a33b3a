"""Checkpoints as training programs write them: what is beside the network is left out and said."""

from __future__ import annotations

import argparse
import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig
from snnquant.errors import InputError
from snnquant.importers import load_matching
from snnquant.importers.state_dict import read_weights
from snnquant.importers.unlabelled import without_first_output
from snnquant.importers.widths import widths_in
from snnquant.models import build_model
from snnquant.nn import GraphNetwork
from snnquant.nn.wiring import Mean, Reshape


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    features = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
    return nn.Sequential(features, nn.Flatten(), nn.Linear(6, 3))


def state() -> dict[str, Tensor]:
    return network(1).state_dict()


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs if "tracked" not in a)


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state().items()}


BESIDE: dict[str, tuple[dict[str, Tensor], list[str]]] = {
    "a loss of Lightning": (
        prefixed("net.") | {"criterion.weight": torch.ones(3)},
        ["criterion.weight"],
    ),
    "a loss at the top": (state() | {"loss_fn.weight": torch.ones(3)}, ["loss_fn.weight"]),
    "metrics": (state() | {"val_metrics.total": torch.ones(3)}, ["val_metrics.total"]),
    "a sibling of the network": (
        prefixed("model.backbone.") | {"head.weight": torch.ones(2, 2)},
        ["head.weight"],
    ),
    "a prefix of any name": (prefixed("student.encoder."), []),
    "module in the middle": (
        {name.replace("0.", "0.module.", 1): tensor for name, tensor in state().items()},
        [],
    ),
    "both": (
        {name.replace("0.", "0.module.", 1): t for name, t in state().items()}
        | {"criterion.weight": torch.ones(3)},
        ["criterion.weight"],
    ),
}


@pytest.mark.parametrize("case", BESIDE)
def test_names_within_a_program(case: str) -> None:
    content, left_out = BESIDE[case]
    target = network()
    key_map = load_matching(target, content, ordered=True)
    assert same(target, network(1))
    assert list(key_map.left_out) == left_out
    lines = [line for line in key_map.lines() if "left out" in line]
    assert lines == [f"left out, beside the network: {name}" for name in left_out]
    assert {theirs for theirs, _ in key_map.pairs} <= set(content)


def test_a_layer_within_the_network_is_not_left_out() -> None:
    content = prefixed("net.") | {"net.3.weight": torch.ones(3, 3)}
    with pytest.raises(InputError, match=r"unexpected 1 \(3\.weight \(3, 3\)\)"):
        load_matching(network(), content, ordered=True)


WRAPPED: dict[str, tuple[Any, list[str]]] = {
    "ema": ({"epoch": 1, "state_dict_ema": state()}, ["weights taken from state_dict_ema"]),
    "params": ({"params": state()}, ["weights taken from params"]),
    "another name": ({"best": state(), "epoch": 2}, ["weights taken from best"]),
    "both": (
        {"state_dict": state(), "state_dict_ema": state()},
        ["weights taken from state_dict, not from state_dict_ema"],
    ),
    "numpy's numbers": (
        {"state_dict": state(), "oa": np.float64(0.98), "best": np.int64(7), "k": np.ones(3)},
        [],
    ),
    "arguments": ({"model": state(), "args": argparse.Namespace(lr=0.1, out=Path("a"))}, []),
    "other values beside them": (state() | {"epoch": 3, "name": "x"}, ["left out epoch, name"]),
    "a profiler": (
        state()
        | {"total_ops": torch.zeros(1, dtype=torch.float64), "0.total_params": torch.ones(1)},
        ["left out 0.total_params, total_ops"],
    ),
    "an averaged model": (
        prefixed("module.") | {"n_averaged": torch.tensor(5)},
        ["left out n_averaged"],
    ),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("case", WRAPPED)
def test_the_weights_are_found(case: str, legacy: bool, tmp_path: Path) -> None:
    content, remarks = WRAPPED[case]
    torch.save(content, tmp_path / "cnn.pt", _use_new_zipfile_serialization=not legacy)
    found, said = read_weights(tmp_path / "cnn.pt")
    assert said == remarks
    target = network()
    load_matching(target, found, ordered=True)
    assert same(target, network(1))


def test_several_tables_of_weights_are_named(tmp_path: Path) -> None:
    torch.save({"generator": state(), "critic": state()}, tmp_path / "cnn.pt")
    with pytest.raises(InputError, match="found tensors under generator, critic, expected one"):
        read_weights(tmp_path / "cnn.pt")


def test_programs_are_named_as_such(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the format
        torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "script.pt")
    with pytest.raises(InputError, match="found a TorchScript program, expected a state dict"):
        read_weights(tmp_path / "script.pt")
    program = torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "program.pt2")
    with pytest.raises(InputError, match=r"found a program of torch\.export"):
        read_weights(tmp_path / "program.pt2")


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run",)


def test_code_beside_the_weights_is_still_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": state(), "hook": Runs()}, tmp_path / "cnn.pt")
    with pytest.raises(InputError, match="would run code"):
        read_weights(tmp_path / "cnn.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "widths"), [("li", (16, 32)), ("hamida", (4, 4, 5, 5, 6, 6))])
def test_widths_are_read_from_the_weights(name: str, widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    wide = build_model(ModelConfig(name=name, widths=widths), 40, 5)
    assert widths_in(ModelConfig(name=name), wide.state_dict()) == widths
    assert widths_in(ModelConfig(name=name, widths=widths), wide.state_dict()) is None
    assert widths_in(ModelConfig(name=name), {"a.weight": torch.ones(3, 3)}) is None


ENDS: dict[str, tuple[list[nn.Module], int]] = {
    "a dense layer": ([nn.Flatten(), nn.Linear(96, 4)], 3),
    "a convolution, then a mean": ([nn.Conv2d(6, 4, 1), Mean([2, 3], False)], 3),
    "a convolution, then a shape": ([nn.Conv2d(6, 4, 4), Reshape([4])], 3),
    "two dense layers": ([nn.Flatten(), nn.Linear(96, 4), nn.ReLU(), nn.Linear(4, 4)], 5),
    "an activation at the end": ([nn.Flatten(), nn.Linear(96, 4), nn.ReLU()], 5),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_first_output_is_cut_off(case: str) -> None:
    """Only where no layer can be cut a layer is added."""
    torch.manual_seed(0)
    layers, count = ENDS[case]
    named = {f"layer{i}": layer for i, layer in enumerate([nn.Conv2d(2, 6, 3), *layers])}
    whole = GraphNetwork(named).eval()
    before, x = copy.deepcopy(whole), torch.randn(5, 2, 6, 6)
    cut = without_first_output(whole, x)
    with torch.no_grad():
        torch.testing.assert_close(cut(x), whole(x)[:, 1:])
    assert len(cut.layers) == count
    assert same(whole, before)
