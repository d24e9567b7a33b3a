from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save

from snnquant.checkpoints import is_checkpoint, load_checkpoint, save_checkpoint
from snnquant.checkpoints.tensorfile import read_tensors, write_tensors
from snnquant.config import ModelConfig
from snnquant.models import build_model

KINDS = ["cnn", "quantized cnn", "snn", "quantized snn", "quantized neurons"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.safetensors"


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_comes_back_bit_for_bit(kind, path, checkpoint_of, scene):
    saved = checkpoint_of(kind)
    save_checkpoint(path, saved)
    torch.manual_seed(99)  # nothing of the network may come from the generator
    read = load_checkpoint(path)
    patches = torch.randn(50, 1, scene.bands, 3, 3)
    with torch.no_grad():
        logits = saved.network(patches)
        assert logits.unique().numel() > 10
        assert torch.equal(read.network(patches), logits)
    before, after = saved.network.state_dict(), read.network.state_dict()
    assert list(before) == list(after)
    for name in before:
        assert before[name].dtype == after[name].dtype
        assert torch.equal(before[name], after[name]), name
    for name in ("model", "bands", "classes", "scene_digest", "split_digest", "bits"):
        assert getattr(read, name) == getattr(saved, name)
    assert (read.quantization, read.neuron) == (saved.quantization, saved.neuron)
    assert np.array_equal(read.normalisation.mean, saved.normalisation.mean)
    assert np.array_equal(read.normalisation.std, saved.normalisation.std)
    assert not read.network.training
    assert is_checkpoint(path)


@pytest.mark.parametrize("kind", KINDS)
def test_saving_what_was_read_gives_the_same_file(kind, path, checkpoint_of):
    save_checkpoint(path, checkpoint_of(kind))
    first = path.read_bytes()
    save_checkpoint(path, load_checkpoint(path))
    assert path.read_bytes() == first


def test_saving_leaves_the_network_and_replaces_an_older_file(path, checkpoint_of):
    old, new = checkpoint_of("quantized snn", 1), checkpoint_of("quantized snn", 2)
    state = copy.deepcopy(new.network.state_dict())
    save_checkpoint(path, old)
    save_checkpoint(path, new)
    assert load_checkpoint(path).split_digest == "split 2"
    for name, tensor in new.network.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def rewrite(path: Path, change) -> None:
    """Let `change` alter header and tensors of a checkpoint and sign the result anew."""
    tensors, header = read_tensors(path)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    change(header, tensors)
    write_tensors(path, tensors, header)


def test_rewriting_without_a_change_is_accepted(path, checkpoint_of):
    save_checkpoint(path, checkpoint_of("snn"))
    rewrite(path, lambda header, tensors: None)
    load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h, t: h.update(format=2), "format 2, expected a checkpoint of format 1"),
        (lambda h, t: h.pop("format"), "expected a checkpoint of format 1"),
        (lambda h, t: h.update(what="training"), "'training'"),
        (lambda h, t: h.update(what="two\nlines"), "expected a checkpoint"),
        (lambda h, t: h["model"].update(name="resnet"), "--model"),
        (lambda h, t: h["model"].update(name="two\nlines"), "--model"),
        (lambda h, t: h["model"].update(name="cnn3d"), "do not fit model cnn3d"),
        (lambda h, t: h["model"].update(widths=[2, 3]), "--widths"),
        (lambda h, t: h["model"].update(widths=[9, 9, 9, 9]), "do not fit"),
        (lambda h, t: h["model"].update(widths=7), "header"),
        (lambda h, t: h["model"].update(window=4), "--window"),
        (lambda h, t: h["model"].update(window=5), "do not fit"),
        (lambda h, t: h["model"].update({"two\nlines": 1}), "header"),
        (lambda h, t: h.update(model=None), "header"),
        (lambda h, t: h.update(bands=13), "bands: found 13"),
        (lambda h, t: h.update(bands="12"), "bands: found '12'"),
        (lambda h, t: h.update(classes=3), "do not fit"),
        (lambda h, t: h.update(classes=-1), "do not fit"),
        (lambda h, t: h.update(classes="8"), "header"),
        (lambda h, t: h.pop("split_digest"), "split_digest"),
        (lambda h, t: h["quantization"].update(bits=9), "--bits"),
        (lambda h, t: h["quantization"].update(clip="mse"), "do not fit"),
        (lambda h, t: h.update(quantization=None), "do not fit"),
        (lambda h, t: h.update(neuron=None), "do not fit"),
        (lambda h, t: h["neuron"].update(time_steps=0), "--time-steps"),
        (lambda h, t: h["neuron"].update(reset="sometimes"), "--reset"),
        (lambda h, t: t.pop("normalisation.mean"), "normalisation.mean"),
        (lambda h, t: t.pop("network.layers.conv1.bias"), "conv1.bias"),
        (lambda h, t: t.update({"network.more": torch.ones(1)}), "more"),
        (lambda h, t: t["network.layers.conv1.bias"].fill_(torch.nan), "conv1.bias' holds NaN"),
        (lambda h, t: t["network.layers.lif1.leak"].fill_(torch.inf), "lif1.leak' holds NaN"),
        (lambda h, t: t["normalisation.std"].fill_(torch.nan), "normalisation.std' holds NaN"),
        (
            lambda h, t: t.update({"normalisation.mean": torch.ones(3)}),
            "expected one for each of 3 means",
        ),
        (
            lambda h, t: (
                h.update(bands=0),
                t.update(dict.fromkeys(["normalisation.mean", "normalisation.std"], torch.ones(0))),
            ),
            "bands: found 0",
        ),
        (
            lambda h, t: t.update({"network.layers.conv1.bias": torch.ones(2).to(torch.complex64)}),
            "complex64",
        ),
    ],
)
def test_a_header_or_weights_that_cannot_be_used_are_refused(
    change, says, path, checkpoint_of, refused
):
    save_checkpoint(path, checkpoint_of("quantized snn"))
    rewrite(path, change)
    assert says in refused(load_checkpoint, path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_other_json_in_the_header_is_refused_or_harmless(
    data, tmp_path_factory, checkpoint_of, refused
):
    path = tmp_path_factory.mktemp("header") / "network.safetensors"
    saved = checkpoint_of("quantized snn")
    save_checkpoint(path, saved)
    tensors, header = read_tensors(path)
    inner = [header[name] for name in ("model", "quantization", "neuron")]
    place = data.draw(st.sampled_from([header, *inner]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    write_tensors(path, tensors, header)
    try:
        read = load_checkpoint(path)
    except ValueError:
        refused(load_checkpoint, path)
    else:
        for name, tensor in saved.network.state_dict().items():
            assert torch.equal(read.network.state_dict()[name], tensor)


@pytest.mark.parametrize("text", ["[]", "3", '"text"', "null", "{", "", "[" * 5])
def test_a_header_that_is_no_json_object_is_refused(text, path, refused):
    path.write_bytes(save({}, {"header": text}))
    assert "header" in refused(load_checkpoint, path)


def test_the_file_is_plain_safetensors_with_a_json_header(path, checkpoint_of):
    """Other programs read it without this package."""
    saved = checkpoint_of("cnn")
    save_checkpoint(path, saved)
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
        names = set(file.keys())
        assert np.array_equal(file.get_tensor("normalisation.mean"), saved.normalisation.mean)
    assert set(metadata) == {"header"}
    header = json.loads(metadata["header"])
    assert (header["format"], header["what"]) == (1, "checkpoint")
    assert header["model"]["name"] == "cnn32h"
    assert names == {f"network.{name}" for name in saved.network.state_dict()} | {
        "normalisation.mean",
        "normalisation.std",
    }


def test_the_models_own_widths_come_back_as_none(path, checkpoint_of, scene):
    model = ModelConfig(window=1)
    saved = replace(
        checkpoint_of("cnn"), network=build_model(model, scene.bands, scene.classes), model=model
    )
    save_checkpoint(path, saved)
    assert load_checkpoint(path).model == model
