"""`separable3d` and `resnet3d`: shapes, widths, sums and their spiking forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.config import ModelConfig, NeuronConfig
from snnquant.conversion import fold_batch_norm, to_spiking
from snnquant.errors import InputError
from snnquant.importers.widths import widths_in
from snnquant.models import build_model
from snnquant.nn import GraphNetwork, layer_table
from snnquant.nn.kinds import BATCH_NORMS, CONVOLUTIONS
from snnquant.spiking import LIF

NAMES = ("separable3d", "resnet3d")
WIDTHS = (3, 4, 4, 6)


def patch(bands: int, window: int, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 1, bands, window, window)


@given(
    name=st.sampled_from(NAMES),
    widths=st.none() | st.tuples(*[st.integers(1, 4)] * 4),
    bands=st.integers(1, 220),
    window=st.integers(0, 4).map(lambda k: 2 * k + 1),
    batch_norm=st.booleans(),
)
@settings(deadline=None, max_examples=30)
def test_any_spectrum_and_window_give_logits(name, widths, bands, window, batch_norm):
    config = ModelConfig(name=name, window=window, widths=widths)
    cnn = build_model(config, bands, 3, batch_norm=batch_norm).eval()
    x = patch(bands, window, 2)
    logits = cnn(x)
    assert logits.shape == (2, 3)
    norms = sum(isinstance(module, BATCH_NORMS) for module in cnn.modules())
    convolutions = sum(isinstance(module, CONVOLUTIONS) for module in cnn.modules())
    assert norms == (convolutions if batch_norm else 0)
    folded = fold_batch_norm(cnn)
    build_model(config, bands, 3).load_state_dict(folded.state_dict())
    torch.testing.assert_close(folded(x), logits, rtol=1e-3, atol=1e-4)
    assert to_spiking(cnn, x[:1], NeuronConfig(time_steps=2)).eval()(x).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        # (200 - 7) // 4 + 1 = 49 bands, (49 - 3) // 2 + 1 = 24, then 11, then 5
        (
            "separable3d",
            [
                *((16, 49, 3, 3), (16, 24, 1, 1), (32, 24, 1, 1), (32, 11, 1, 1)),
                *((64, 11, 1, 1), (64, 5, 1, 1), (64, 5, 1, 1), (16,)),
            ],
        ),
        # 24 bands, padded by 1: 24; by a stride of 2 (24 - 1) // 2 + 1 = 12, the shortcut's too
        (
            "resnet3d",
            [
                *((16, 49, 3, 3), (32, 24, 1, 1), (32, 24, 1, 1), (32, 24, 1, 1)),
                *((64, 12, 1, 1), (64, 12, 1, 1), (64, 12, 1, 1), (16,)),
            ],
        ),
    ],
)
def test_shapes_for_indian_pines(name, shapes):
    rows = layer_table(build_model(ModelConfig(name=name), 200, 16), patch(200, 5))
    assert [row.output_shape for row in rows] == shapes


def test_depthwise_layers_keep_their_channels():
    cnn = build_model(ModelConfig(name="separable3d", widths=WIDTHS), 60, 4)
    convolutions = [m for m in cnn.modules() if isinstance(m, nn.Conv3d)]
    assert [m.groups for m in convolutions] == [1, 3, 1, 4, 1, 4, 1]
    assert [m.out_channels for m in convolutions] == [3, 3, 4, 4, 4, 4, 6]


def test_a_block_adds_its_input():
    cnn = build_model(ModelConfig(name="resnet3d", widths=WIDTHS), 40, 4).eval()
    assert isinstance(cnn, GraphNetwork)
    assert cnn.inputs["add3"] == ("conv3b", "relu2")
    assert cnn.inputs["add4"] == ("conv4b", "shortcut4")
    for name in ("conv3b", "conv4b", "shortcut4"):
        layer = cnn.get_submodule(f"layers.{name}")
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    values = {}
    for name in ("relu2", "relu3", "relu4"):
        cnn.get_submodule(f"layers.{name}").register_forward_hook(
            lambda module, inputs, output, name=name: values.update({name: output})
        )
    cnn(patch(40, 5))
    assert torch.equal(values["relu3"], values["relu2"])
    assert not values["relu4"].any()


def test_the_residual_of_an_snn_is_added_to_the_current_of_its_neurons():
    cnn = build_model(ModelConfig(name="resnet3d", widths=WIDTHS), 40, 4)
    snn = to_spiking(cnn, patch(40, 5), NeuronConfig(time_steps=3))
    assert snn.inputs["add"] == ("conv3b", "lif2")
    assert snn.inputs["lif3"] == ("add",)
    assert sum(isinstance(layer, LIF) for layer in snn.layers) == 6


@pytest.mark.parametrize("name", NAMES)
def test_widths_are_found_in_weights_and_refused_in_another_number(name):
    state = build_model(ModelConfig(name=name, widths=WIDTHS), 40, 5).state_dict()
    assert widths_in(ModelConfig(name=name), state) == WIDTHS
    assert widths_in(ModelConfig(name=name, widths=WIDTHS), state) is None
    config = ModelConfig(name=name, widths=(1, 2, 3))
    with pytest.raises(InputError, match=f"--widths: found 3 numbers, expected 4 for model {name}"):
        build_model(config, 40, 4)
