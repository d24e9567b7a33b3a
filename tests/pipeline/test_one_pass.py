"""Evaluation reads and runs every network once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from snnquant.energy import measure
from snnquant.pipeline import evaluation, prices, run
from snnquant.report import RunMetrics
from snnquant.stored_networks import Network


def test_each_network_is_read_once_and_sees_each_test_pixel_once(
    copied: Callable[[], run.Run],
    finished: tuple[Path, RunMetrics],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files: Counter[str] = Counter()
    patches: list[int] = []
    load, observe = run.load_checkpoint, prices.observe

    def counted(path: Path) -> Any:
        files[path.name] += 1
        return load(path)

    def watched(network: nn.Module, *arguments: Any) -> Any:
        patches.append(0)

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            patches[-1] += len(inputs[0])

        handle = network.register_forward_hook(note)
        seen = observe(network, *arguments)
        handle.remove()
        return seen

    monkeypatch.setattr(run, "load_checkpoint", counted)
    monkeypatch.setattr(prices, "observe", watched)
    metrics = evaluation.evaluate(copied())
    assert files == dict.fromkeys((network.file for network in Network), 1)
    # One patch tells the shapes of the layers.
    assert patches == [metrics.split.test + 1] * len(Network)
    assert metrics.networks == finished[1].networks
    assert metrics.energy_pj == finished[1].energy_pj


def test_a_loaded_network_is_a_copy(copied: Callable[[], run.Run]) -> None:
    opened = copied()
    first, second = (opened.load(Network.SNN_TRAINED).network for _ in range(2))
    for parameter in first.parameters():
        nn.init.zeros_(parameter)
    test = opened.samples(opened.split.test[:9])
    ours, theirs = (
        sum(layer.ac for layer in measure(network, test.patches, test.indices))
        for network in (first, second)
    )
    assert ours == 0
    assert theirs > 0


def test_a_saved_network_is_the_one_that_is_loaded_next(copied: Callable[[], run.Run]) -> None:
    opened = copied()
    cnn = opened.load(Network.CNN_FP32).network
    for parameter in cnn.parameters():
        nn.init.constant_(parameter, 0.25)
    opened.save(Network.CNN_FP32, cnn)
    again = opened.load(Network.CNN_FP32).network
    assert all(bool((parameter == 0.25).all()) for parameter in again.parameters())
