"""Axes over any option of a run, and the candidates that they make."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnquant.config import (
    ModelConfig,
    NeuronConfig,
    RunConfig,
    TrainingConfig,
    find_method,
    options_of,
    run_config_type,
)
from snnquant.config.options import OUTPUT, SCENE, SPLIT
from snnquant.errors import InputError
from snnquant.scenes import Scene
from snnquant.search import Candidate, make_space, read_axes
from snnquant.search.space import DEFAULT, DEFAULT_AXES
from snnquant.search.stepwise import accepted

FIXED = {SCENE.name, SPLIT.name, OUTPUT.name}


def _names(method: str) -> list[str]:
    options = options_of(run_config_type(find_method(method)))
    return [option.name for option in options if option.group not in FIXED]


@pytest.mark.parametrize("name", _names("uniform"))
def test_every_option_of_the_network_is_an_axis(name: str) -> None:
    """Also one that is added tomorrow: the registry of options is the only list."""
    plain = RunConfig()
    option = next(option for option in options_of(RunConfig) if option.name == name)
    value = DEFAULT if option.value(plain) is None else option.value(plain)
    (candidate,) = make_space(plain, {name: (value,)}, 5).candidates
    assert candidate.config == plain


def test_options_of_a_method_are_axes_with_and_without_their_prefix() -> None:
    base = RunConfig(training=TrainingConfig(snn_batch_norm=False))
    for name in ("bits", "quantization.bits"):
        space = make_space(base, {"quantization": ("uniform", "lbw"), name: (4, 6)}, 9)
        methods = [candidate.config.quantization for candidate in space.candidates]
        found = [(method.method, method.bits) for method in methods]
        assert found == [("uniform", 4), ("uniform", 6), ("lbw", 4), ("lbw", 6)]


def test_a_network_brings_its_own_window_and_pixels_follow_the_bits() -> None:
    axes = {"model": ("cnn32h", "hybridsn"), "bits": (6, 32)}
    configs = [candidate.config for candidate in make_space(RunConfig(), axes, 9).candidates]
    assert [(c.model.window, c.pixel_bits) for c in configs] == [(5, 8), (5, 32), (25, 8), (25, 32)]


def test_what_the_user_fixes_holds_for_all() -> None:
    base = RunConfig(neuron=NeuronConfig(time_steps=4), model=ModelConfig(window=7), seed=9)
    for candidate in make_space(base, {"model": ("cnn32h", "cnn1x1h")}, 9).candidates:
        assert candidate.config.model.window == 7
        assert (candidate.config.neuron.time_steps, candidate.config.seed) == (4, 9)


def test_widths_of_another_number_of_layers_are_impossible(scene: Scene) -> None:
    axes = {"model": ("cnn1x1h", "cnn32h"), "widths": ((4, 4, 4), (4, 4, 4, 4), DEFAULT)}
    space = make_space(RunConfig(), axes, 9, lambda config: accepted(config, scene))
    found = [(c.values["model"], c.values["widths"]) for c in space.candidates]
    assert found == [
        *(("cnn1x1h", (4, 4, 4)), ("cnn1x1h", DEFAULT)),
        *(("cnn32h", (4, 4, 4, 4)), ("cnn32h", DEFAULT)),
    ]
    assert (space.impossible, space.combinations) == (2, 6)


def test_equal_options_are_one_candidate() -> None:
    axes = {"time_steps": (2, DEFAULT), "bits": (3, 6)}
    assert len(make_space(RunConfig(), axes, 9).candidates) == 2


AXES = st.fixed_dictionaries(
    {
        "time_steps": st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True),
        "bits": st.lists(st.integers(2, 8), min_size=1, max_size=4, unique=True),
        "spike_penalty": st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
    }
).map(lambda axes: {name: tuple(values) for name, values in axes.items()})


@given(AXES, st.integers(1, 20), st.integers(0, 3))
def test_candidates_are_different_combinations(
    axes: dict[str, tuple[Any, ...]], limit: int, seed: int
) -> None:
    base = RunConfig(seed=seed)
    space = make_space(base, axes, limit)
    assert space == make_space(base, axes, limit)
    assert len(space.candidates) == min(limit, math.prod(map(len, axes.values())))
    assert [candidate.number for candidate in space.candidates] == [
        *range(1, len(space.candidates) + 1)
    ]
    assert len({repr(candidate.values) for candidate in space.candidates}) == len(space.candidates)
    for candidate in space.candidates:
        assert _taken(candidate) == dict(candidate.values)
        assert all(value in axes[name] for name, value in candidate.values.items())


def _taken(candidate: Candidate) -> dict[str, Any]:
    config = candidate.config
    return {
        "time_steps": config.neuron.time_steps,
        "bits": config.quantization.bits,
        "spike_penalty": config.training.spike_penalty,
    }


def test_the_default_space_is_possible_and_larger_than_what_is_drawn(scene: Scene) -> None:
    space = make_space(RunConfig(), {}, 20, lambda config: accepted(config, scene))
    assert len(space.candidates) == 20 < space.combinations
    for name, values in DEFAULT_AXES.items():
        assert {candidate.values[name] for candidate in space.candidates} <= set(values)


def test_a_file_says_the_same_as_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        'time-steps = [1, 2]\nwidths = [[4, 8], "default"]\nquantization.bits = [3]\n'
        'spike_penalty = [0, 0.1]\nsnn_batch_norm = [true]\nschedule = ["dense"]\n'
    )
    over = (
        *("time-steps=1,2", "widths=4/8,default", "quantization.bits=3", "spike-penalty=0,0.1"),
        *("snn-batch-norm=true", "schedule=dense"),
    )
    assert read_axes([], file) == read_axes(over, None)
    assert read_axes(["time-steps=5"], file)["time_steps"] == (5,)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"seed": (1, 2)}, "--over seed: found an option of the split, expected an option of"),
        ({"scene": ("a",)}, "--over scene: found an option of the scene"),
        ({"hardware": ("a",)}, "--over hardware: found an option of the output"),
        ({"kernels": (1,)}, "--over kernels: found no such option"),
        ({"time_steps": (1, 0)}, "--over: --time-steps: found 0, expected at least 1"),
        ({"time_steps": ("x",)}, "--over: --time-steps: found 'x', expected a whole"),
        ({"widths": ((1, 2, 3),)}, "--over: --widths: found 3 numbers, expected 2"),
        ({"quantization": ("none",)}, "none"),
        ({"model": ("hu",), "window": (5,)}, "--over: --model hu: "),
    ],
    ids=repr,
)
def test_a_wrong_axis_is_one_line(
    axes: dict[str, tuple[Any, ...]], message: str, scene: Scene
) -> None:
    with pytest.raises(InputError) as caught:
        make_space(RunConfig(), axes, 5, lambda config: accepted(config, scene))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
