"""Mathematics of FracTrain: its stages on made-up losses, costs, and levels of each part."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from snnquant.errors import InputError
from snnquant.quantization import Calibration, Plan, quantize
from snnquant.quantization.methods.fractrain import FracTrain
from snnquant.quantization.progressive import PrecisionSchedule, ProgressiveReLU, SampleError

COSTS = {(3, 6): 45 / 3072, (4, 6): 64 / 3072, (6, 8): 132 / 3072, (8, 8): 192 / 3072}


def network(config: FracTrain) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    quantize(layers, config, Calibration(torch.randn(20, 6)))
    return layers


def schedule(config: FracTrain) -> tuple[nn.Sequential, PrecisionSchedule]:
    layers = network(config)
    plan: Plan = config.plan()
    (make,) = plan.rules
    rule = make(layers)
    assert isinstance(rule, PrecisionSchedule)
    return layers, rule


def stages_of(config: FracTrain, losses: list[float]) -> list[int]:
    """Return the stage of every epoch of a training with these losses."""
    _, rule = schedule(config)
    found = []
    for epoch, loss in enumerate(losses):
        rule.before_epoch(epoch / len(losses))
        found.append(int(rule.stage))
        rule.after_epoch(loss)
    return found


def test_a_loss_that_stays_begins_a_stage_per_epoch() -> None:
    config = FracTrain(warm_up=0.0, last_from=1.0)
    # Epoch 0 lies within the warm-up; its loss counts.
    assert stages_of(config, [1.0] * 10) == [0, 0, 0, 0, 0, 1, 2, 3, 3, 3]


def test_a_loss_that_falls_begins_none() -> None:
    config = FracTrain(warm_up=0.0, last_from=1.0)
    assert stages_of(config, [2.0**-epoch for epoch in range(7)]) == [0] * 7


def test_the_threshold_shrinks_with_every_stage() -> None:
    """Losses that alternate by 0.02 are a plateau of 5 % and none of 1.5 %."""
    config = FracTrain(warm_up=0.0, last_from=1.0)
    losses = [1.0, 1.02] * 10
    assert stages_of(config, losses) == [0] * 5 + [1] * 15
    assert max(stages_of(FracTrain(warm_up=0.0, last_from=1.0, shrink=1.0), losses)) == 3


def test_a_change_is_measured_by_the_first_ten_losses() -> None:
    config = FracTrain(warm_up=0.0, last_from=1.0, shrink=1.0)
    # 5 % of a mean of 5.5 is 0.275: steps of 0.06 stay below it over four epochs, of 0.07 not.
    start = [10.0, 1.0] * 5
    for step, expected in ((0.06, 1), (0.07, 0)):
        losses = start + [8 - step * i for i in range(6)]
        assert stages_of(config, losses)[15] == expected


def test_no_plateau_counts_in_the_warm_up() -> None:
    config = FracTrain(warm_up=0.5, last_from=1.0)
    found = stages_of(config, [1.0] * 24)
    # Epoch 12 begins at 1/2, the end of the warm-up; five losses later the first stage ends.
    assert found == [0] * 17 + [1, 2] + [3] * 5


def test_the_last_stage_begins_in_time() -> None:
    config = FracTrain(warm_up=0.0, last_from=0.5)
    assert stages_of(config, [2.0**-epoch for epoch in range(8)]) == [0] * 4 + [3] * 4


@pytest.mark.parametrize(("bits", "cost"), COSTS.items())
def test_costs_by_hand(bits: tuple[int, int], cost: float) -> None:
    assert PrecisionSchedule.cost(*bits) == pytest.approx(cost)


def test_the_cost_of_a_training_is_the_sum_over_its_stages() -> None:
    config = FracTrain(warm_up=0.0, last_from=1.0)
    _, rule = schedule(config)
    found = []
    for epoch in range(10):
        rule.before_epoch(epoch / 10)
        found.append(config.stages[int(rule.stage)])
        rule.after_epoch(1.0)
    expected = sum(COSTS[stage] for stage in found) / 10
    assert rule.figures() == {"training_cost": pytest.approx(expected), "stages": 4.0}
    static = FracTrain(early_bits=(), early_error_bits=())
    assert static.stages == ((8, 8),)


def test_all_parts_have_the_bits_of_the_stage_in_training_only() -> None:
    layers, rule = schedule(FracTrain(warm_up=0.0, last_from=1.0))
    x = torch.randn(200, 6)
    for stage, (forward, backward) in enumerate(FracTrain().stages):
        rule.stage.fill_(stage)
        rule.before_epoch(0.5)
        layers.train()
        assert all(len(row.unique()) <= 2**forward for row in layers[0].weight)
        assert len(layers[:2](x).unique()) <= 2**forward
        assert rule.error.bits == backward
    layers.eval()
    exact = layers[0].weight
    rule.stage.fill_(0)
    rule.before_epoch(0.0)
    assert torch.equal(layers[0].weight, exact)
    layers.train()
    assert not torch.equal(layers[0].weight, exact)


def test_a_loaded_schedule_sets_its_bits() -> None:
    config = FracTrain(warm_up=0.0, last_from=1.0)
    _, rule = schedule(config)
    for epoch in range(8):
        rule.before_epoch(epoch / 8)
        rule.after_epoch(1.0)
    layers, again = schedule(config)
    again.load_state_dict(rule.state_dict())
    assert again.error.bits == rule.error.bits == 8
    assert isinstance(layers[1], ProgressiveReLU)
    assert layers[1].training_bits == 8
    assert again.figures() == rule.figures()
    again.before_epoch(0.9)
    assert torch.equal(again.stage, rule.stage)


def test_errors_lie_on_each_samples_grid_and_are_right_on_average() -> None:
    torch.manual_seed(0)
    error = torch.randn(3, 5) * torch.tensor([[1e-4], [1.0], [50.0]])
    quantizer = SampleError(3)
    draws = torch.stack([quantizer.quantize(error) for _ in range(4000)])
    step = (error.amax(1) - error.amin(1)) / 7
    position = (draws - error.amin(1)[:, None]) / step[:, None]
    assert (position - position.round()).abs().max() < 1e-3
    assert position.round().min() == 0
    assert position.round().max() == 7
    deviation = (draws.mean(0) - error).abs() / step[:, None]
    assert deviation.max() < 0.05
    assert torch.equal(quantizer.quantize(torch.zeros(2, 4)), torch.zeros(2, 4))


def test_the_running_max_moves_by_a_tenth() -> None:
    relu = ProgressiveReLU(8).train()
    relu(torch.tensor([[2.0]]))
    relu(torch.tensor([[12.0]]))
    assert relu.ceiling.item() == pytest.approx(3.0)
    relu.eval()(torch.tensor([[50.0]]))
    assert relu.ceiling.item() == pytest.approx(3.0)


def test_lists_of_bits_must_be_as_long_as_each_other() -> None:
    with pytest.raises(InputError, match="early-error-bits"):
        FracTrain(early_bits=(3, 4))
