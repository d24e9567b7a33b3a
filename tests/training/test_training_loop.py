from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from snnquant.config import ModelConfig, NeuronConfig, TrainingConfig
from snnquant.conversion import to_spiking
from snnquant.errors import InputError
from snnquant.models import build_model
from snnquant.sampling import Normalisation, Patches
from snnquant.training import Epoch, Samples, Stage, predict, train
from snnquant.training.loop import flip, one_cycle

STAGE = Stage("cnn", epochs=4, rate=5e-3)
STILL = {"epochs": 1, "rate": 1e-30}
"""A rate below float32's resolution: the loss is that of the network before training."""
CONFIG = TrainingConfig(batch_size=16, weight_decay=0.0, distillation=0.0)


def fit(network: nn.Module, samples, state: Path, *, seed: int = 3, **changes) -> list[Epoch]:
    """Train with STAGE and CONFIG, some of whose fields are changed."""
    own = {name: changes.pop(name) for name in ("epochs", "rate") if name in changes}
    names = [name for name in vars(CONFIG) if name in changes and name != "teacher"]
    known = {name: changes.pop(name) for name in names}
    stage, config = replace(STAGE, **own), replace(CONFIG, **known)
    return train(network, *samples, stage, config, state, seed=seed, **changes)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "cnn.state.safetensors"


@pytest.fixture(scope="module")
def toy() -> tuple[Samples, Samples]:
    """Two classes in halves of a 12x12 image, spectra rising and falling; 1x1 windows."""
    random = np.random.default_rng(0)
    ramp = np.linspace(-1, 1, 6, dtype=np.float32)
    sides = np.where(np.arange(12) < 6, 1, -1).astype(np.float32)
    cube = sides[None, :, None] * ramp + 0.3 * random.standard_normal((12, 12, 6), np.float32)
    patches = Patches(cube, 1, Normalisation(np.zeros(6, np.float32), np.ones(6, np.float32)))
    classes = torch.from_numpy((sides > 0).astype(np.int64)).expand(12, 12).reshape(-1)
    order = torch.from_numpy(random.permutation(144))
    return tuple(Samples(patches, part, classes[part]) for part in (order[:100], order[100:]))


def toy_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return build_model(ModelConfig(name="cnn32h", window=1, widths=(3, 4, 6, 6), dropout=0), 6, 2)


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("spiking", [False, True])
def test_the_loss_falls_on_a_separable_toy(spiking, toy, state):
    network: nn.Module = toy_network()
    if spiking:
        network = to_spiking(network, torch.zeros(1, 1, 6, 1, 1), NeuronConfig(time_steps=4))
    history = fit(network, toy, state, epochs=15, rate=0.02)
    assert [row.epoch for row in history] == list(range(15))
    assert {row.stage for row in history} == {"cnn"}
    assert history[-1].loss < 0.3 * history[0].loss
    assert max(row.validation_accuracy for row in history) > 0.95
    assert not network.training


def best_epoch(losses: list[float]) -> int:
    """The epoch at which three in a row (fewer at the start) had the lowest mean."""
    means = [sum(losses[max(0, i - 2) : i + 1]) / min(i + 1, 3) for i in range(len(losses))]
    return min(range(len(means)), key=means.__getitem__)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_epochs_weights_are_the_ones_left(seed, samples, network_of, state):
    network, validation = network_of("cnn", seed), samples[1]
    seen: list[float] = []

    def look(row: Epoch) -> None:
        logits = predict(network, validation.patches, validation.indices, CONFIG.batch_size)
        correct = (logits.argmax(1) == validation.classes).double().mean().item()
        loss = functional.cross_entropy(logits, validation.classes).item()
        assert (row.validation_accuracy, row.validation_loss) == (correct, loss)
        seen.append(loss)
        states.append(copy.deepcopy(network.state_dict()))

    states: list[dict[str, torch.Tensor]] = []
    history = fit(network, samples, state, seed=seed, epochs=6, rate=0.3, on_epoch=look)
    assert len(history) == len(seen) == 6
    best = best_epoch(seen)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, states[best][name]), name


def test_the_best_epoch_is_not_always_the_last(samples, network_of, tmp_path):
    """Otherwise the test above could not fail."""
    best = []
    for seed in range(3):
        network = network_of("cnn", seed)
        state = tmp_path / f"{seed}.safetensors"
        history = fit(network, samples, state, seed=seed, epochs=6, rate=0.3)
        best.append(best_epoch([row.validation_loss for row in history]))
    assert min(best) < 5


@pytest.mark.parametrize("kind", ["snn", "quantized neurons"])
def test_leaks_and_thresholds_stay_in_their_range(kind, samples, network_of, state):
    """One step at this rate is longer than the range is wide."""
    network = network_of(kind)
    neurons = [(n, p) for n, p in network.named_parameters() if "leak" in n or "threshold" in n]
    assert len(neurons) == 8
    ends = []

    def look(row: Epoch) -> None:
        for name, parameter in neurons:
            assert parameter.item() >= (0 if "leak" in name else 1e-3)
            assert "threshold" in name or parameter.item() <= 1
            ends.append(parameter.item() in (0, 1))

    fit(network, samples, state, rate=1.0, on_epoch=look)
    assert any(ends)


def test_no_epoch_is_left_out_though_none_gets_better(toy, state):
    network = toy_network()
    assert len(fit(network, toy, state, epochs=50, rate=1e-30)) == 50
    assert same(network, toy_network())


def test_the_same_seed_trains_the_same_network(samples, network_of, tmp_path):
    networks = [network_of("cnn", 1, batch_norm=True) for _ in range(3)]
    histories = []
    for number, (network, seed) in enumerate(zip(networks, (5, 5, 6), strict=True)):
        torch.manual_seed(number)  # what was drawn before must not matter
        state = tmp_path / f"{number}.safetensors"
        histories.append(fit(network, samples, state, seed=seed, epochs=2))
    assert same(networks[0], networks[1])
    assert histories[0] == histories[1]
    assert not same(networks[0], networks[2])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_loss_is_cross_entropy_and_the_teachers_divergence(share, toy, state):
    network, teacher = toy_network(0), toy_network(1).eval()
    before = copy.deepcopy(teacher.state_dict())
    samples = toy[0]
    with torch.no_grad():
        patches = samples.patches.gather(samples.indices)
        ours, theirs = network(patches).softmax(1), teacher(patches).softmax(1)
    entropy = -ours[torch.arange(len(ours)), samples.classes].log().mean()
    divergence = (theirs * (theirs / ours).log()).sum(1).mean()
    (row,) = fit(network, toy, state, **STILL, distillation=share, teacher=teacher)
    expected = (1 - share) * entropy + share * divergence
    assert row.loss == pytest.approx(float(expected), rel=1e-5)
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("many", [0.0, 1.0, 2.0])
def test_unlabelled_pixels_add_only_the_teachers_divergence(many, toy, state):
    network, teacher = toy_network(0), toy_network(1).eval()
    samples, alone = toy[0], toy[1].indices[:1]
    ours, theirs = (
        [
            net(samples.patches.gather(pixels)).detach().softmax(1)
            for pixels in (samples.indices, alone)
        ]
        for net in (network, teacher)
    )
    entropy = -ours[0][torch.arange(len(ours[0])), samples.classes].log().mean()
    labelled, unlabelled = (
        (q * (q / p).log()).sum(1).mean() for p, q in zip(ours, theirs, strict=True)
    )
    config = replace(CONFIG, distillation=0.5, unlabelled=many)
    stage = replace(STAGE, **STILL)
    (row,) = train(network, *toy, stage, config, state, teacher=teacher, unlabelled=alone)
    expected = 0.5 * entropy + 0.5 * (labelled + many * unlabelled) / (1 + many)
    assert row.loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_the_penalty_is_added(penalty, toy, tmp_path):
    price = torch.tensor(penalty, requires_grad=True)
    losses = []
    for number, term in enumerate((None, lambda: price)):
        (row,) = fit(toy_network(), toy, tmp_path / f"{number}", **STILL, penalty=term)
        losses.append(row.loss)
    assert losses[1] - losses[0] == pytest.approx(penalty, abs=1e-6)


def test_without_a_teacher_the_loss_is_only_cross_entropy(toy, tmp_path):
    rows = [
        fit(toy_network(), toy, tmp_path / f"{d}.safetensors", **STILL, distillation=d)
        for d in (0.0, 0.5)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("kind", ["cnn", "quantized cnn"])
def test_a_rate_that_diverges_is_refused_by_its_option(kind, samples, network_of, state):
    with pytest.raises(InputError) as caught:
        fit(network_of(kind), samples, state, rate=1e36)
    assert str(caught.value).startswith("--learning-rate: the loss of cnn became ")
    assert "\n" not in str(caught.value)
    assert not state.exists()


def test_weights_that_the_last_step_ruins_are_never_kept(toy, state):
    """The loss of an epoch is of the weights before each step, so validation has to notice."""
    network = toy_network()
    with pytest.raises(InputError, match="--learning-rate"):
        fit(network, toy, state, epochs=1, rate=1e37, batch_size=200)
    assert not state.exists()


@pytest.mark.parametrize("left_over", [0, 1, 2])
def test_every_patch_is_used_once_per_epoch_and_never_in_a_batch_of_one(
    left_over, samples, network_of, state, monkeypatch
):
    """A batch of one has no variance, which batch norm refuses where a layer is 1x1."""
    training, validation = samples
    count = 3 * 16 + left_over
    few = Samples(training.patches, training.indices[:count], training.classes[:count])
    gathered: list[torch.Tensor] = []
    gather = Patches.gather

    def spy(patches: Patches, indices: torch.Tensor) -> torch.Tensor:
        gathered.append(torch.as_tensor(indices))
        return gather(patches, indices)

    monkeypatch.setattr(Patches, "gather", spy)
    fit(network_of("cnn", batch_norm=True), (few, validation), state, epochs=1)
    validating = math.ceil(len(validation.indices) / CONFIG.batch_size)  # the last ones
    assert max(len(batch) for batch in gathered[-validating:]) <= CONFIG.batch_size
    batches = gathered[:-validating]
    assert [len(batch) for batch in batches] == {
        0: [16, 16, 16],
        1: [16, 16, 17],
        2: [16, 16, 16, 2],
    }[left_over]
    assert sorted(torch.cat(batches).tolist()) == sorted(few.indices.tolist())


def test_a_single_training_pixel_trains_a_network_without_batch_norm(toy, state):
    training = Samples(toy[0].patches, toy[0].indices[:1], toy[0].classes[:1])
    assert len(fit(toy_network(), (training, toy[1]), state, epochs=2)) == 2


@given(count=st.integers(1, 5000), place=st.floats(0, 1, exclude_max=True))
def test_one_cycle_stays_between_nothing_and_the_peak(count, place):
    progress = int(place * count) / count
    assert 0 < one_cycle(progress) <= 1


@given(first=st.floats(0, 1), second=st.floats(0, 1))
def test_one_cycle_has_no_jumps(first, second):
    """Its steepest part is the warm-up, from 0.04 to 1 in a fifth of the steps."""
    assert abs(one_cycle(first) - one_cycle(second)) <= 4.8 * abs(first - second) + 1e-12


def test_one_cycle_rises_to_its_peak_and_falls_to_the_end():
    values = [one_cycle(k / 100) for k in range(100)]
    assert values[0] == pytest.approx(0.04)
    assert values[20] == 1
    assert values[:21] == sorted(values[:21])
    assert values[20:] == sorted(values[20:], reverse=True)
    assert values[60] == pytest.approx(0.5)
    assert values[-1] < 1e-3


@given(
    seed=st.integers(0, 2**32),
    side=st.integers(0, 3).map(lambda k: 2 * k + 1),
    bands=st.integers(1, 4),
)
@settings(deadline=None)
def test_flip_keeps_the_centre_and_the_spectra_of_a_window(seed, side, bands):
    torch.manual_seed(seed)
    patches = torch.rand(3, 1, bands, side, side)
    flipped = flip(patches)
    assert flipped.shape == patches.shape
    centre = side // 2
    assert torch.equal(flipped[..., centre, centre], patches[..., centre, centre])
    for before, after in zip(patches, flipped, strict=True):
        spectra = [sorted(x.reshape(bands, -1).T.tolist()) for x in (before, after)]
        assert spectra[0] == spectra[1]


def test_flip_draws_all_eight_views_of_a_window():
    torch.manual_seed(0)
    patch = torch.arange(9.0).reshape(1, 1, 1, 3, 3)
    flipped = flip(patch.expand(200, 1, 1, 3, 3))  # each patch of a batch by itself
    views = {tuple(view.flatten().tolist()) for view in flipped}
    turned = [torch.rot90(patch, turns, (-2, -1)) for turns in range(4)]
    expected = turned + [view.flip(-1) for view in turned]
    assert views == {tuple(view.flatten().tolist()) for view in expected}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 512])
def test_predict_is_the_networks_forward_without_dropout(training, batch_size, samples, network_of):
    network = network_of("cnn", batch_norm=True)
    before = copy.deepcopy(network.state_dict())
    indices = samples[0].indices[:40]
    with torch.no_grad():
        expected = network(samples[0].patches.gather(indices))
    logits = predict(network.train(training), samples[0].patches, indices, batch_size)
    torch.testing.assert_close(logits, expected)
    assert network.training is training
    assert not logits.requires_grad
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
