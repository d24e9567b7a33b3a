"""Files that are damaged, of another kind, or hostile."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from snnquant.checkpoints import (
    Checkpoint,
    is_checkpoint,
    load_checkpoint,
    read_header,
    save_checkpoint,
)
from snnquant.checkpoints.tensorfile import read_tensors, write_tensors
from snnquant.errors import InputError
from snnquant.importers import load_state_dict


class Touch:
    """Its pickle makes a file when it is loaded by anything that runs pickles."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, checkpoint_of) -> tuple[Checkpoint, bytes]:
    path = tmp_path_factory.mktemp("whole") / "network.safetensors"
    checkpoint = checkpoint_of("quantized snn")
    save_checkpoint(path, checkpoint)
    return checkpoint, path.read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "network.safetensors"


def assert_refused_or_the_same(path: Path, saved: Checkpoint, refused) -> None:
    """Check that no other weights are read; a changed blank of the padding changes none."""
    try:
        read = load_checkpoint(path)
    except InputError:
        refused(load_checkpoint, path)
        return
    for name, tensor in saved.network.state_dict().items():
        assert torch.equal(read.network.state_dict()[name], tensor)
    assert (read.model, read.neuron, read.quantization, read.split_digest) == (
        saved.model,
        saved.neuron,
        saved.quantization,
        saved.split_digest,
    )


@given(place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
@settings(deadline=None, max_examples=500)
def test_any_changed_byte_is_noticed(place, mask, path, saved, refused):
    checkpoint, content = saved
    damaged = bytearray(content)
    damaged[int(place * len(content))] ^= mask
    path.write_bytes(damaged)
    assert_refused_or_the_same(path, checkpoint, refused)


@pytest.mark.parametrize("bit", range(8))
def test_every_bit_of_the_files_first_bytes_counts(bit, path, saved, refused):
    """The length of the header and how the header begins."""
    for place in range(16):
        damaged = bytearray(saved[1])
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        refused(load_checkpoint, path)


def test_every_changed_weight_is_noticed(path, saved, refused):
    """The tensors are the end of the file: no byte of them may change unseen."""
    checkpoint, content = saved
    size = sum(t.numel() * t.element_size() for t in checkpoint.network.state_dict().values())
    for place in range(len(content) - size, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert "changed since it was written" in refused(load_checkpoint, path)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.update(a=tensors["a"].reshape(3, 2)),
        lambda tensors: tensors.update(a=tensors["a"].view(torch.int32)),
        lambda tensors: tensors.update(aa=tensors.pop("a")),
        lambda tensors: tensors.update(a=tensors["b"], b=tensors["a"]),
        lambda tensors: tensors.pop("b"),
        lambda tensors: tensors.update(c=torch.ones(0)),
    ],
    ids=["shape", "type", "name", "swap", "less", "more"],
)
def test_names_shapes_and_types_are_under_the_digest(change, path, refused):
    """The same bytes of weights in the same order may mean other weights."""
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, 3)}
    write_tensors(path, tensors, {"what": "test"})
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, metadata)
    read_tensors(path)
    change(tensors)
    save_file(tensors, path, metadata)
    assert "changed since it was written" in refused(read_tensors, path)


@given(length=st.floats(0, 1, exclude_max=True))
@example(length=0)
@example(length=1 - 1e-9)
@settings(deadline=None, max_examples=100)
def test_a_truncated_file_is_refused(length, path, saved, refused):
    content = saved[1]
    path.write_bytes(content[: int(length * len(content))])
    refused(load_checkpoint, path)


@pytest.mark.parametrize("extra", [b"\0", b"more"])
def test_bytes_after_the_end_are_noticed(extra, path, saved, refused):
    path.write_bytes(saved[1] + extra)
    refused(load_checkpoint, path)


@given(content=st.binary(max_size=200))
@example(content=b"")
@example(content=b"PK")
@example(content=b"\x80\x02")
@example(content=b"\x02\0\0\0\0\0\0\0{}")
@settings(deadline=None)
def test_random_bytes_are_refused(content, path, refused):
    path.write_bytes(content)
    refused(load_checkpoint, path)
    assert not is_checkpoint(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("reader", [load_checkpoint, load_state_dict])
@pytest.mark.parametrize("name", ["network.safetensors", "network.pt", "network"])
def test_a_pickle_is_refused_and_never_run(protocol, reader, name, tmp_path, refused, recwarn):
    marker, path = tmp_path / "ran", tmp_path / name
    path.write_bytes(pickle.dumps(Touch(marker), protocol))
    refused(reader, path)
    assert not is_checkpoint(path)
    assert not recwarn.list  # one line is all that the user reads
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists()  # the trap was set


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("reader", [load_checkpoint, load_state_dict])
def test_a_hostile_torch_file_is_refused_and_never_run(zipped, reader, tmp_path, refused):
    marker, path = tmp_path / "ran", tmp_path / "network.pt"
    content = {"conv1.weight": torch.ones(3), "more": Touch(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused(reader, path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("what", ["state dict", "module"])
def test_a_torch_file_is_no_checkpoint(zipped, what, tmp_path, refused):
    module = torch.nn.Linear(2, 2)
    path = tmp_path / "network.safetensors"
    torch.save(
        module.state_dict() if what == "state dict" else module,
        path,
        _use_new_zipfile_serialization=zipped,
    )
    assert "pickled PyTorch file" in refused(load_checkpoint, path)


def test_another_safetensors_file_is_no_checkpoint(tmp_path, refused):
    path = tmp_path / "network.safetensors"
    save_file({"weight": torch.ones(3)}, path)
    assert "no header" in refused(load_checkpoint, path)
    assert not is_checkpoint(path)


def test_a_training_state_is_no_checkpoint(tmp_path, refused):
    path = tmp_path / "cnn.state.safetensors"
    write_tensors(path, {"network.weight": torch.ones(3)}, {"what": "training"})
    assert "'training'" in refused(load_checkpoint, path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.bool, torch.uint32])
def test_a_weight_of_another_type_is_noticed(dtype, tmp_path, refused, saved):
    """With a new digest its type is refused, without one the digest does not match."""
    path = tmp_path / "network.safetensors"
    path.write_bytes(saved[1])
    tensors, header = read_tensors(path)
    bias = tensors["network.layers.conv1.bias"]
    write_tensors(path, tensors | {"network.layers.conv1.bias": bias.to(dtype)}, header)
    if dtype is not torch.bfloat16:
        assert str(dtype) in refused(load_checkpoint, path)
    metadata = {"header": json.dumps({"sha256": "0" * 64})}
    save_file({"network.layers.conv1.bias": bias.to(dtype)}, path, metadata)
    assert "sha256" in refused(load_checkpoint, path)


@pytest.mark.parametrize("reader", [load_checkpoint, load_state_dict])
@pytest.mark.parametrize("name", ["x.safetensors", "x.pt"])
def test_a_missing_file_a_folder_and_an_empty_file_are_refused(reader, name, tmp_path, refused):
    path = tmp_path / name
    refused(reader, path)
    assert not is_checkpoint(path)
    refused(reader, path / "below")
    path.mkdir()
    refused(reader, path)
    assert not is_checkpoint(path)
    path.rmdir()
    path.touch()
    refused(reader, path)
    assert not is_checkpoint(path)
    refused(reader, path / "below a file")


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x80\x02", b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]"]
)
def test_headers_of_other_files_are_refused(content, tmp_path, refused):
    path = tmp_path / "network.safetensors"
    refused(read_header, path)
    path.write_bytes(content)
    refused(read_header, path)


def test_headers_of_other_kinds_are_refused(tmp_path, refused, saved):
    path = tmp_path / "network.safetensors"
    write_tensors(path, {"network.weight": torch.ones(3)}, {"what": "training"})
    assert "'training'" in refused(read_header, path)
    path.write_bytes(saved[1])
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, header | {"quantization": {"bits": 99}})
    assert "--bits: found 99" in refused(read_header, path)
