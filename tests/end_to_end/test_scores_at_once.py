"""The number of patches that a network is scored on at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from snnquant.inference import Readout
from snnquant.pipeline import evaluation, prices, run_start
from snnquant.pipeline.run import Run
from snnquant.stored_networks import Network

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Finished


def test_scores_do_not_depend_on_how_many_patches_fit_the_memory(
    copy: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one value per layer they are scored one by one; the largest tensor shows it."""
    largest = 0

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal largest
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            largest = max(largest, len(output))

    monkeypatch.setattr(run_start, "LAYER_VALUES", 1)
    # Both run more patches at once.
    monkeypatch.setattr(prices, "dense_form", lambda *_: None)
    monkeypatch.setattr(evaluation, "choose_readout", lambda *_: (Readout(), None))
    handle = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        metrics = evaluation.evaluate(Run.open(copy))
    finally:
        handle.remove()
    assert largest == max(metrics.model.time_steps, 3)  # networks are traced with three patches
    for name in Network:
        assert metrics.networks[name].oa == finished.metrics[name]["oa"]
        expected = finished.metrics["operations"][name]
        found = metrics.operations[name]
        assert {"mac": found.mac, "ac": found.ac} == pytest.approx(expected)
