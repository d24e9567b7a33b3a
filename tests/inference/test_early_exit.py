from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnquant.inference import exits, logits_by_step, margins
from snnquant.sampling import Normalisation, Patches
from snnquant.spiking import LIF, SpikingNetwork


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 30), st.integers(2, 5), st.integers(0, 999))
def test_a_pixel_stops_once_and_no_pixel_of_the_calibration_changes_its_class(
    steps, pixels, classes, seed
):
    torch.manual_seed(seed)
    logits = torch.randn(steps, pixels, classes).cumsum(0)
    found = margins(logits)
    stopped = exits(logits, found)
    for pixel in range(pixels):
        at = 1
        while at < steps:
            best = logits[at - 1, pixel].sort(descending=True).values
            if best[0] - best[1] > torch.tensor(found[at - 1]):
                break
            at += 1
        assert stopped.steps[pixel] == at
        assert stopped.classes[pixel] == logits[at - 1, pixel].argmax()
    assert torch.equal(stopped.classes, logits[-1].argmax(1))
    assert found[-1] == 0


def test_margins_are_no_larger_than_they_must_be():
    torch.manual_seed(0)
    logits = torch.randn(4, 500, 3).cumsum(0)
    found = margins(logits)
    for step in range(3):
        smaller = [*found]
        smaller[step] = found[step] * 0.99
        changed = exits(logits[step:], smaller[step:]).classes != logits[-1].argmax(1)
        assert changed.any()


def test_logits_by_step_are_those_of_shorter_runs():
    torch.manual_seed(0)
    network = SpikingNetwork(
        {
            "conv": nn.Conv3d(1, 4, 3),
            "lif": LIF(threshold=0.3),
            "flatten": nn.Flatten(),
            "linear": nn.Linear(16, 3),
        },
        time_steps=3,
    )
    cube = np.random.default_rng(0).normal(size=(8, 8, 6)).astype(np.float32)
    patches = Patches(cube, 3, Normalisation(np.zeros(6, np.float32), np.ones(6, np.float32)))
    indices = torch.arange(64)
    logits = logits_by_step(network, patches, indices)
    assert network.time_steps == 3
    spikes = []
    handle = network.layers.lif.register_forward_hook(lambda m, i, o: spikes.append(o))
    with torch.no_grad():
        network(patches.gather(indices))
        handle.remove()
        for step in range(3):
            mean = spikes[0][: step + 1].mean(0).flatten(1)
            torch.testing.assert_close(logits[step], network.layers.linear(mean))
    assert not torch.equal(logits[0], logits[2])
