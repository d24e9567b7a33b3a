"""Help groups, stages and the table of options, all taken from the fields of the configuration."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import pytest
import torch

from snnquant.cli import main
from snnquant.config import (
    GROUPS,
    METHODS,
    NETWORKS,
    ModelConfig,
    NeuronConfig,
    RunConfig,
    TrainingConfig,
    markdown,
    option_table,
    options_before,
    options_of,
    write_config,
)
from snnquant.config.options import ABLATION, NEURON, OUTPUT, STAGES, UsedFrom, section
from snnquant.models import build_model

ORDER = [
    *("Scene", "Split", "Network", "Quantization", "Neuron", "Conversion", "Training", "Output"),
    "Ablation",
]
OF_THE_SNN = {
    *("quantization", "bits", "scheme", "granularity", "clip", "estimator", "neuron_bits"),
    *("calibration", "neuron", "time_steps", "reset", "initial", "surrogate", "surrogate_scale"),
    *("activation_bits", "activation_quantizer", "activation_estimator"),
    *("surrogate_width", "correction", "quantized_epochs", "distillation", "snn_epochs"),
    *("snn_start", "snn_batch_norm", "trained_neuron", "unlabelled", "spike_penalty", "hardware"),
    *("smoothing", "unknown_accuracy", "teacher", "teacher_passes", "twin_epochs", "chip"),
    *("leak", "potential_bits", "spike_target"),
}
"""Options that the 32-bit CNN does not depend on: a CNN is shared by runs that differ in them."""


DEPENDENT = ("model", "window", "components", "pixel_bits", "activation_bits")
"""Options whose default depends on others."""


def test_the_32_bit_cnn_depends_on_all_other_options() -> None:
    every = {option.name for option in options_of(RunConfig)}
    assert options_before(RunConfig(), "cnn").keys() == every - OF_THE_SNN
    assert options_before(RunConfig(), "evaluation").keys() == every


def test_options_before_a_stage_change_with_the_options_of_that_stage() -> None:
    plain = RunConfig()
    longer = replace(plain, neuron=NeuronConfig(time_steps=9))
    harder = replace(plain, training=TrainingConfig(cnn_epochs=3))
    for stage in STAGES:
        same = options_before(longer, stage) == options_before(plain, stage)
        assert same == (stage in ("cnn", "cnn_quantized"))
        assert options_before(harder, stage) != options_before(plain, stage)


def test_the_table_has_every_option_once_with_group_default_and_help() -> None:
    rows = list(option_table())
    keys = [row.key for row in rows if "." not in row.key]
    assert sorted(keys) == sorted(option.name for option in options_of(RunConfig))
    assert len({(row.group, row.key) for row in rows}) == len(rows)
    groups = dict.fromkeys(row.group for row in rows)
    assert [group for group in groups if ":" not in group] == ORDER
    written = dict(line.split(" = ") for line in write_config(RunConfig()).splitlines())
    for row in rows:
        assert row.help.endswith("."), row
        assert len(row.help.split()) >= 4, row
        assert row.type, row
        if row.key in written:
            depends = row.key in DEPENDENT
            assert depends or row.default == written[row.key].strip('"'), row


def test_single_options_may_leave_the_group_and_the_stage_of_their_class() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Inner:
        plain: int = 1
        other: Annotated[float, section(ABLATION, "--renamed"), UsedFrom("snn")] = 2.0

    @dataclass(frozen=True, kw_only=True)
    class Outer:
        inner: Annotated[Inner, section(NEURON), UsedFrom("conversion")] = Inner()
        below: Annotated[Inner, section(OUTPUT, "--below")] = Inner()
        choice: Literal["a", "b"] = "a"

    # Annotations are text here, and local classes are not found by their names.
    Outer.__annotations__ = {
        "inner": Annotated[Inner, section(NEURON), UsedFrom("conversion")],
        "below": Annotated[Inner, section(OUTPUT, "--below")],
        "choice": Literal["a", "b"],
    }
    found = [(o.name, o.group, o.stage, o.path) for o in options_of(Outer, "Scene", "cnn")]
    assert found == [
        ("plain", "Neuron", "conversion", ("inner", "plain")),
        ("renamed", "Ablation", "snn", ("inner", "other")),
        ("below.plain", "Output", "cnn", ("below", "plain")),
        ("renamed", "Ablation", "snn", ("below", "other")),
        ("choice", "Scene", "cnn", ("choice",)),
    ]


def test_markdown_is_printed_by_the_module() -> None:
    command = [sys.executable, "-m", "snnquant.config"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == markdown()
    headings = [line[3:] for line in done.stdout.splitlines() if line.startswith("## ")]
    assert [heading for heading in headings if ":" not in heading] == ORDER
    assert {f"Quantization: {name}" for name in METHODS.names()[1:]} <= set(headings)
    for option in options_of(RunConfig):
        assert f"| `{option.flag}" in done.stdout


@pytest.mark.parametrize("subcommand", ["run", "train", "convert"])
def test_help_has_the_groups_in_their_order(
    subcommand: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([subcommand, "--help"])
    headings = [
        line.strip("╭─╮ \n") for line in capsys.readouterr().out.splitlines() if "╭" in line
    ]
    assert [heading for heading in headings if heading in ORDER] == ORDER
    assert headings[-1] == "Ablation"
    assert [group.name for group in GROUPS] == ORDER


@pytest.mark.parametrize("name", NETWORKS)
def test_every_named_network_can_be_built_on_its_own_input(name: str) -> None:
    config = ModelConfig(name=name)
    assert (config.window, config.components) == NETWORKS[name]
    with torch.device("meta"):
        build_model(config, bands=200, classes=16)
