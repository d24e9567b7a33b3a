"""PyTorch and safetensors state dicts from other programs."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from snnquant.errors import InputError
from snnquant.importers import load_state_dict

MODEL = nn.Sequential(nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), nn.Flatten(), nn.Linear(4, 3))


def torch_zip(state: object, path: Path) -> None:
    torch.save(state, path)


def torch_legacy(state: object, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


def safetensors(state: dict[str, torch.Tensor], path: Path) -> None:
    save_file(state, path)


WRITERS = [
    (torch_zip, "cnn.pt"),
    (torch_zip, "cnn.pth"),
    (torch_zip, "cnn"),
    (torch_legacy, "cnn.pt"),
    (safetensors, "cnn.safetensors"),
]


@pytest.mark.parametrize(("write", "name"), WRITERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_a_state_dict_comes_back_bit_for_bit(write, name, dtype, tmp_path):
    state = {key: t.to(dtype) if t.is_floating_point() else t for key, t in _state().items()}
    write(state, tmp_path / name)
    read = load_state_dict(tmp_path / name)
    assert set(read) == set(state)
    for key, tensor in state.items():
        assert read[key].dtype == tensor.dtype
        assert torch.equal(read[key], tensor), key


def _state() -> dict[str, torch.Tensor]:
    return {key: tensor.clone() for key, tensor in MODEL.state_dict().items()}


@pytest.mark.parametrize(("write", "name"), WRITERS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite_are_refused_by_name(write, name, value, tmp_path, refused):
    state = _state()
    state["3.weight"][1, 2] = value
    write(state, tmp_path / name)
    assert "'3.weight' holds NaN or infinite values" in refused(load_state_dict, tmp_path / name)


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([torch.ones(2)], "found list"),
        (torch.ones(2), "found Tensor"),
        (3, "found int"),
        (None, "found NoneType"),
        ("text", "found str"),
        ({1: torch.ones(2)}, "found dict"),
        ({"optimizer": {"weight": torch.ones(2)}}, "'optimizer' is a dict"),
        ({"two\nlines": torch.ones(2)}, "'two\\nlines'"),
        ({"x" * 501: torch.ones(2)}, "'xxxxxxxxxxxxxxxxxxxx'..."),
        ({"weight": torch.ones(2, dtype=torch.int64)}, "int64"),
        ({"weight": torch.ones(2, dtype=torch.bool)}, "bool"),
        ({"weight": torch.ones(2, dtype=torch.complex64)}, "complex64"),
        ({"weight": torch.ones(2, device="meta")}, "meta"),
        ({"weight": torch.eye(2).to_sparse()}, "sparse_coo"),
    ],
)
def test_anything_but_a_state_dict_of_dense_tensors_is_refused(
    write, content, says, tmp_path, refused
):
    path = tmp_path / "cnn.pt"
    write(content, path)
    assert says in refused(load_state_dict, path)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3, "lr": 0.1, "name": "x"},
        lambda state: {"model_state_dict": state, "optimizer": {"state": {}, "param_groups": []}},
        lambda state: {"epoch": 1, "model": {"net": state}},
        lambda state: {"network": state, "best": torch.tensor(0.9)},
    ],
)
def test_the_state_dict_of_a_training_checkpoint_is_found(wrap, tmp_path):
    torch_zip(wrap(_state()), tmp_path / "cnn.ckpt")
    read = load_state_dict(tmp_path / "cnn.ckpt")
    assert list(read) == list(_state())


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_a_whole_module_is_refused_with_the_way_out(write, tmp_path, refused):
    path = tmp_path / "cnn.pt"
    write(MODEL, path)
    assert "model.state_dict()" in refused(load_state_dict, path)


def test_a_torchscript_archive_is_refused(tmp_path, refused, recwarn):
    path = tmp_path / "cnn.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the format
        torch.jit.script(nn.Linear(2, 2)).save(path)
    refused(load_state_dict, path)
    assert not recwarn.list


@pytest.mark.parametrize(("write", "name"), WRITERS)
@given(place=st.floats(0, 1, exclude_max=True), mask=st.integers(0, 255), length=st.floats(0, 1))
@example(place=0, mask=0, length=0)
@settings(deadline=None, max_examples=60)
def test_damage_gives_a_state_dict_or_one_line(
    write, name, place, mask, length, tmp_path_factory, refused
):
    """These formats have no digest, so damage may pass; it must never end in a traceback."""
    path = tmp_path_factory.mktemp("damage") / name
    write(_state(), path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= mask
    path.write_bytes(content[: int(length * len(content))])
    try:
        read = load_state_dict(path)
    except InputError:
        refused(load_state_dict, path)
    else:
        assert all(torch.isfinite(tensor).all() for tensor in read.values())


@given(content=st.binary(max_size=60), start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02"]))
@example(content=b"", start=b"")
@settings(deadline=None, max_examples=200)
def test_random_bytes_give_one_line(content, start, tmp_path_factory, refused):
    path = tmp_path_factory.mktemp("random") / "cnn.pt"
    path.write_bytes(start + content)
    try:
        load_state_dict(path)
    except InputError:
        refused(load_state_dict, path)
