"""The published networks against the sizes that their papers and authors' tables state."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.config import NETWORKS, ModelConfig
from snnquant.conversion import fold_batch_norm
from snnquant.errors import InputError
from snnquant.models import build_model, summarise_models
from snnquant.models.published import PUBLISHED
from snnquant.nn import layer_table, parameter_count

NAMES = list(PUBLISHED)


def patch(config: ModelConfig, bands: int, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 1, config.inputs(bands), config.window, config.window)


@pytest.mark.parametrize(
    ("name", "bands", "classes", "shapes"),
    [
        # Roy et al. 2020, table I: 25 x 25 x 30 pixels, 16 classes
        (
            *("hybridsn", 30, 16),
            [
                *((8, 24, 23, 23), (16, 20, 21, 21), (32, 18, 19, 19)),
                *((64, 17, 17), (256,), (128,), (16,)),
            ],
        ),
        # 5 x 5 x 103 pixels of Pavia University: every stride halves the spectrum
        (
            *("hamida", 103, 9),
            [
                *((20, 101, 3, 3), (20, 51, 3, 3), (35, 51, 1, 1)),
                *((35, 26, 1, 1), (35, 26, 1, 1), (35, 14, 1, 1), (9,)),
            ],
        ),
        # (200 - 24) // 9 + 1 = 20 features of each of 90 kernels
        ("luo", 200, 16, [(90, 20, 1, 1), (64, 18, 88), (1024,), (16,)]),
        ("li", 103, 9, [(2, 99, 3, 3), (4, 99, 1, 1), (9,)]),
        ("makantasis", 10, 9, [(30, 3, 3), (90, 1, 1), (60,), (9,)]),
        # Hu et al. 2015: 20 x 197, pooled by 5 to 20 x 40, then 100
        ("hu", 220, 16, [(20, 197, 1, 1), (100,), (16,)]),
        ("hu_relu", 103, 9, [(20, 93, 1, 1), (100,), (9,)]),
    ],
)
def test_shapes_are_those_of_the_papers(name, bands, classes, shapes):
    config = ModelConfig(name=name)
    rows = layer_table(build_model(config, bands, classes).eval(), patch(config, bands))
    assert [row.output_shape for row in rows] == shapes


def test_hybridsn_has_the_published_number_of_parameters():
    """5,122,176 for Indian Pines: Roy et al. 2020, table I."""
    assert parameter_count(build_model(ModelConfig(name="hybridsn"), 200, 16)) == 5_122_176


@pytest.mark.parametrize(("bands", "pooled"), [(220, 40), (224, 41), (103, 31)])
def test_hu_pools_by_a_fifth_of_its_kernel(bands, pooled):
    cnn = build_model(ModelConfig(name="hu"), bands, 9)
    assert cnn.get_submodule("dense1").in_features == 20 * pooled


@given(
    name=st.sampled_from([name for name in NAMES if name != "luo"]),
    bands=st.integers(24, 60),
    classes=st.integers(1, 20),
    batch_norm=st.booleans(),
)
@settings(deadline=None, max_examples=30)
def test_any_long_spectrum_gives_logits(name, bands, classes, batch_norm):
    window = NETWORKS[name][0] if name != "hybridsn" else 9
    config = ModelConfig(name=name, window=window)
    cnn = build_model(config, bands, classes, batch_norm=batch_norm).eval()
    x = patch(config, bands, 2)
    logits = cnn(x)
    assert logits.shape == (2, classes)
    folded = fold_batch_norm(cnn)
    assert not any(isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)) for module in folded)
    build_model(config, bands, classes).load_state_dict(folded.state_dict())
    torch.testing.assert_close(folded(x), logits, rtol=1e-3, atol=1e-4)


def test_hamidas_strided_convolutions_are_not_rectified():
    """Only these stand between two ReLUs."""
    names = [name for name, _ in build_model(ModelConfig(name="hamida"), 60, 4).named_children()]
    assert names[:5] == ["conv1", "relu_conv1", "pool1", "conv2", "relu_conv2"]


@given(window=st.sampled_from([3, 5]), bands=st.integers(42, 80))
@settings(deadline=None, max_examples=10)
def test_luo_stacks_feature_vectors_in_the_order_of_memory(window, bands):
    config = ModelConfig(name="luo", window=window, widths=(7, 2))
    cnn = build_model(config, bands, 3).eval()
    vectors = cnn[:2](patch(config, bands))
    assert torch.equal(cnn[2:4](vectors), vectors.reshape(1, 1, -1, 7))


@pytest.mark.parametrize(
    ("name", "options", "bands", "words"),
    [
        ("hu", {"window": 5}, 40, "--window: found 5, expected 1"),
        ("hu_relu", {"window": 3}, 40, "--window: found 3, expected 1"),
        ("hamida", {"window": 3}, 40, "layer conv2"),
        ("hybridsn", {"window": 7}, 40, "layer conv4"),
        ("luo", {}, 16, "layer conv1"),
        ("li", {"widths": (2, 4, 8)}, 40, "--widths: found 3 numbers, expected 2"),
        ("li", {"strides": (2, 1)}, 40, "--strides: found 2 numbers, expected none"),
    ],
)
def test_what_leaves_nothing_for_a_layer_is_refused(name, options, bands, words):
    with pytest.raises(InputError) as caught:
        build_model(ModelConfig(name=name, **options), bands, 4)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_network_has_its_own_window_and_components():
    for name, (window, components) in NETWORKS.items():
        own = ModelConfig(name=name)
        assert (own.window, own.components) == (window, components)
        asked = ModelConfig(name=name, window=9, components=2)
        assert (asked.window, asked.components) == (9, 2)
    assert ModelConfig(components=30).inputs(200) == 30
    assert ModelConfig(components=30).inputs(30) == 30
    assert ModelConfig(components=30).inputs(20) == 20
    assert ModelConfig(components=0).inputs(20) == 20


def test_the_summary_counts_what_the_networks_hold():
    for row in summarise_models(60, 5):
        config = ModelConfig(name=row.name)
        with torch.device("meta"):
            model = build_model(config, 60, 5)
        assert row.parameters == parameter_count(model)
        tanh = any(isinstance(module, nn.Tanh) for module in model.modules())
        assert (row.refused is not None) is tanh
