"""Price of the matrix of a normalisation, by hand, and the exactness of what is priced."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnquant.config import ModelConfig, NeuronConfig, QuantizationConfig
from snnquant.conversion import fold_front_end, to_spiking
from snnquant.energy import Width, load_costs, measure, with_front_end
from snnquant.energy.counts import LayerActivity
from snnquant.energy.matrix_price import FRONT_END, FRONT_END_BITS, SENSOR
from snnquant.models import build_model
from snnquant.quantization import quantize
from snnquant.sampling import Normalisation, Patches
from snnquant.sampling.spectra import prepare
from snnquant.scenes import load_scene

BANDS, CLASSES, STEPS = 12, 4, 3


def layers_of(
    name: str,
    spectra: str,
    scaling: str,
    window: int = 5,
    components: int = 0,
    quantized: bool = False,
) -> tuple[list[LayerActivity], Normalisation]:
    """Return what an untrained SNN does on pixels of a synthetic scene, and its normalisation."""
    scene = load_scene(f"synthetic:16x16x{BANDS}")
    config = ModelConfig(name=name, window=window, spectra=spectra, components=components)
    pixels = np.flatnonzero(scene.labels)[:40]
    normalisation = Normalisation.fit(scene, pixels, components, scaling, spectra)
    patches = Patches(scene.cube, window, normalisation)
    cnn = build_model(config, BANDS, CLASSES).eval()
    neuron = NeuronConfig(time_steps=STEPS)
    snn = to_spiking(cnn, patches.gather(pixels[:1]), neuron).eval()
    if quantized:
        quantize(snn, QuantizationConfig(bits=6))
    return measure(snn, patches, torch.from_numpy(pixels)), normalisation


@pytest.mark.parametrize(
    ("spectra", "scaling", "entries"),
    [
        ("raw", "within-class", 144),  # 12 x 12
        ("snv", "within-class", 144),
        ("log-derivative", "within-class", 132),  # 12 x 11
        ("log-derivative", "standard", 22),  # two neighbours for each of 11 slopes
        ("raw+snv", "within-class", 288),  # two blocks of 12 x 12 and no products between them
        ("raw+snv+log-derivative", "within-class", 420),
        ("raw", "whiten", 144),
    ],
)
def test_before_a_sliding_kernel_the_matrix_is_a_layer_of_its_own(spectra, scaling, entries):
    before, normalisation = layers_of("cnn32h", spectra, scaling, quantized=True)
    *others, front = with_front_end(before, normalisation, 5)
    assert others == before
    assert front.input == SENSOR
    assert (front.info.name, front.bits, front.spiking) == (FRONT_END, FRONT_END_BITS, False)
    assert front.mac == entries * 25
    assert (front.ac, front.ac_by_rate) == (0, 0)
    prepared, inputs = normalisation.components.shape
    assert front.info.weight_shape == (inputs, prepared, 1, 1)
    assert front.info.output_shape == (inputs, 5, 5)


def test_principal_components_are_priced_as_a_layer():
    before, normalisation = layers_of("cnn32h", "raw", "standard", components=3)
    *_, front = with_front_end(before, normalisation, 5)
    assert front.mac == 12 * 3 * 25


@pytest.mark.parametrize(("name", "filters"), [("cnn1x1", 64), ("cnn1x1h", 16)])
@pytest.mark.parametrize(
    ("spectra", "prepared"), [("raw", 12), ("log-derivative", 12), ("raw+snv+log-derivative", 36)]
)
def test_a_first_kernel_of_all_bands_takes_the_matrix_in(name, filters, spectra, prepared):
    before, normalisation = layers_of(name, spectra, "within-class", quantized=True)
    found = with_front_end(before, normalisation, 5)
    assert found[1:] == before[1:]
    assert found[0].info == before[0].info
    assert found[0].bits == FRONT_END_BITS
    assert found[0].mac == prepared * filters * 25
    assert [layer.bits for layer in found[1:]] == [6] * len(found[1:])


@pytest.mark.parametrize("name", ["cnn1x1", "cnn1x1h", "cnn32h"])
def test_standardised_bands_are_free(name):
    before, normalisation = layers_of(name, "raw", "standard")
    assert with_front_end(before, normalisation, 5) == before


def test_only_the_front_end_is_priced_at_its_own_bits():
    before, normalisation = layers_of("cnn1x1", "raw", "within-class")
    six = [
        replace(layer, bits=6, input=Width(16) if layer.input.floating else layer.input)
        for layer in before
    ]
    after = with_front_end(six, normalisation, 5)
    for cost in load_costs():
        first, others = cost.of(after[:1]), cost.of(after[1:])
        assert cost.of(after) == pytest.approx(first + others)
        assert others == pytest.approx(cost.of(six[1:]))
        assert first == pytest.approx(cost.of([replace(six[0], bits=FRONT_END_BITS)]))
        assert first > cost.of(six[:1])
        # In a network of 32 bits it is of 32 bits too.
        folded = with_front_end(before, normalisation, 5)
        assert cost.of(folded) == pytest.approx(cost.of(before))


@pytest.mark.parametrize("spectra", ["snv", "raw+snv"])
def test_forms_that_are_only_standardised_are_free(spectra):
    before, normalisation = layers_of("cnn32h", spectra, "standard")
    assert normalisation.components is not None
    assert with_front_end(before, normalisation, 5) == before


def trained(name: str, spectra: str) -> tuple[nn.Module, Normalisation, Tensor, Tensor, Tensor]:
    """Return a CNN, its normalisation, spectra prepared and normalised of all pixels, classes."""
    scene = load_scene(name)
    train = np.flatnonzero(scene.labels)[::3]
    normalisation = Normalisation.fit(scene, train, 0, "within-class", spectra)
    prepared = prepare(scene.cube, spectra, normalisation.floor)
    prepared, taken = (
        torch.from_numpy(np.ascontiguousarray(cube.reshape(-1, 1, cube.shape[-1], 1, 1)))
        for cube in (prepared, normalisation.apply(scene.cube))
    )
    torch.manual_seed(0)
    config = ModelConfig(name="cnn1x1", window=1, spectra=spectra, dropout=0)
    cnn = build_model(config, scene.bands, scene.classes)
    labels = torch.from_numpy(scene.labels.ravel().astype(np.int64))
    optimiser = torch.optim.Adam(cnn.parameters(), 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(cnn(taken[train]), labels[train] - 1).backward()
        optimiser.step()
    return cnn.eval(), normalisation, prepared, taken, labels


def rounded(weight: Tensor, bits: int, forms: int) -> Tensor:
    """Return the weights on a symmetric grid of so many bits per output channel and form."""
    split = weight.view(len(weight), forms, -1)
    step = split.abs().amax(2, keepdim=True) / (2 ** (bits - 1) - 1)
    return ((split / step).round() * step).view_as(weight)


@pytest.mark.parametrize(
    ("scene", "spectra", "wanted"),
    [
        ("synthetic:36x36x24", "raw", 0.999),
        ("synthetic:36x36x24", "raw+snv+log-derivative", 0.999),
        pytest.param("indian_pines", "raw", 0.999, marks=pytest.mark.slow),
        pytest.param("indian_pines", "raw+snv+log-derivative", 0.9985, marks=pytest.mark.slow),
    ],
)
def test_18_bits_keep_nearly_all_classes_of_a_folded_front_end(scene, spectra, wanted):
    """About one of a thousand pixels of a real scene lies nearer to a border than the rounding."""
    cnn, normalisation, prepared, taken, labels = trained(scene, spectra)
    folded = fold_front_end(cnn, normalisation)
    forms = 1 + spectra.count("+")
    with torch.no_grad():
        exact = copy.deepcopy(cnn).double()(taken.double()).argmax(1)
        known = labels > 0
        assert (exact[known] + 1 == labels[known]).double().mean() > 0.8
        in_floats = (folded(prepared).argmax(1) == exact).double().mean()
        agree = {}
        for bits in (FRONT_END_BITS, 6):
            network = copy.deepcopy(folded)
            network.conv1.weight.copy_(rounded(folded.conv1.weight, bits, forms))
            agree[bits] = (network(prepared).argmax(1) == exact).double().mean().item()
    assert in_floats >= 0.9999
    assert agree[FRONT_END_BITS] >= wanted
    assert agree[6] < agree[FRONT_END_BITS]
