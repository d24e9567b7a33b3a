from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snnquant.config import (
    ModelConfig,
    NeuronConfig,
    QuantizationConfig,
    RunConfig,
    SplitConfig,
    TrainingConfig,
    read_config,
    write_config,
)
from snnquant.errors import InputError

SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)
COUNTS = st.integers(1, 2**40)
POSITIVE = st.floats(0, exclude_min=True, allow_infinity=False)


def configs(granularity: str, batch_norm: st.SearchStrategy[bool]) -> st.SearchStrategy[RunConfig]:
    return st.builds(
        RunConfig,
        scene=st.text(),
        hardware=st.text(),
        seed=st.integers(0, 2**64 - 1),
        split=st.builds(
            SplitConfig,
            protocol=st.sampled_from(["random", "blocks", "mask"]),
            train_fraction=SHARES,
            validation_fraction=SHARES,
            validation=st.sampled_from(["auto", "pixels", "blocks"]),
            block_size=st.integers(2, 1000),
            guard=st.none() | st.integers(0, 100),
        ),
        model=st.builds(
            ModelConfig,
            name=st.sampled_from(["cnn32h", "cnn3d", "cnn1x1", "cnn1x1h"]),
            window=st.integers(0, 50).map(lambda k: 2 * k + 1),
            widths=st.none() | st.lists(COUNTS).map(tuple),
            dropout=st.floats(0, 1, exclude_max=True),
        ),
        quantization=st.builds(
            QuantizationConfig,
            bits=st.integers(2, 8),
            scheme=st.sampled_from(["symmetric", "affine"]),
            granularity=st.just(granularity),
            clip=st.sampled_from(["max", "mse"]),
            neuron_bits=st.none() | st.integers(2, 16),
        ),
        neuron=st.builds(
            NeuronConfig,
            time_steps=COUNTS,
            reset=st.sampled_from(["delayed", "same_step", "zero"]),
            initial=st.floats(0, 1),
            surrogate=st.sampled_from(["triangle", "arctan", "boxcar"]),
            surrogate_scale=POSITIVE,
            surrogate_width=POSITIVE,
        ),
        training=st.builds(
            TrainingConfig,
            cnn_epochs=COUNTS,
            quantized_epochs=COUNTS,
            snn_epochs=COUNTS,
            batch_size=st.integers(2, 2**40),
            learning_rate=st.floats(0, 1, exclude_min=True),
            weight_decay=st.floats(0, 1),
            distillation=st.floats(0, 1, exclude_min=True),
            unlabelled=st.floats(0, 100),
            snn_start=st.sampled_from(["converted", "random"]),
            snn_batch_norm=batch_norm,
            trained_neuron=st.sampled_from(["both", "leak", "threshold", "neither"]),
            spike_penalty=st.floats(0, 1e6),
        ),
    )


CONFIGS = configs("channel", st.booleans()) | configs("tensor", st.just(False))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "config.toml"


def refusal(file: Path, text: str | bytes) -> str:
    """Return the line with which `read_config` refuses a file."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_config(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    return message


@given(config=CONFIGS)
@example(RunConfig(scene="fields/Wei\u00dfe R\u00fcben \U0001f33e.toml"))
@example(RunConfig(scene='"""\\u0041\x7f\x00\r\n\u2028', hardware="'''"))
@settings(deadline=None)
def test_a_configuration_survives_its_file(file: Path, config: RunConfig):
    file.write_text(write_config(config), encoding="utf-8")
    again = read_config(file)
    assert again == config
    assert write_config(again) == write_config(config)


def test_the_file_names_options_as_the_command_line_does():
    values = tomllib.loads(write_config(RunConfig()))
    names = {option.replace("_", "-") for option in values}
    assert {"scene", "split", "model", "window", "bits", "time-steps", "learning-rate"} <= names
    assert not {"protocol", "name"} & names
    leaves = sum(
        1 if not dataclasses.is_dataclass(value) else len(dataclasses.fields(value))
        for value in vars(RunConfig()).values()
    )
    # guard, widths, strides and neuron_bits are none, which TOML cannot say
    assert len(values) == leaves - 4


@given(values=st.lists(st.sampled_from(["bits = 4", "window = 3", "seed = 9"]), unique=True))
@settings(deadline=None)
def test_a_file_may_leave_options_out(file: Path, values: list[str]):
    file.write_text("\n".join(values))
    read = read_config(file)
    given_values = tomllib.loads("\n".join(values))
    assert read.quantization.bits == given_values.get("bits", RunConfig().quantization.bits)
    assert read.model.window == given_values.get("window", RunConfig().model.window)
    assert read.seed == given_values.get("seed", 0)
    assert read.training == TrainingConfig()


def test_a_run_of_before_validates_on_pixels(file: Path):
    kept = [line for line in write_config(RunConfig()).splitlines() if "validation =" not in line]
    file.write_text("\n".join(kept))
    assert read_config(file).split.validation == "pixels"


def test_an_unknown_option_is_named(file: Path):
    assert "'learning_rat'" in refusal(file, "bits = 4\nlearning_rat = 0.1\n")
    assert "'protocol'" in refusal(file, 'protocol = "random"\n')


WRONG_TYPES = [
    (
        ["window", "bits", "neuron_bits", "time_steps", "batch_size", "seed"],
        ["'5'", "5.0", "true", "[5]", "{a = 5}", "2024-01-01", "inf"],
    ),
    (
        ["dropout", "learning_rate", "weight_decay", "initial", "train_fraction"],
        ["'0.5'", "true", "[0.5]", "nan", "inf", "-inf", "1" + "0" * 400],
    ),
    (["scene", "hardware"], ["5", "true", "['a']", "{a = 5}"]),
    (
        ["split", "model", "scheme", "granularity", "clip", "reset", "surrogate"],
        ["5", "true", "'nonsense'", "['random']", "{name = 5}", '"two\\nlines"'],
    ),
    (["widths"], ["5", "'8'", "[1.5]", "['8']", "[true]", "[[8]]", "[0]"]),
]


@pytest.mark.parametrize(
    ("option", "value"),
    [(option, value) for options, values in WRONG_TYPES for option in options for value in values],
)
def test_a_value_of_the_wrong_type_names_file_and_option(file: Path, option: str, value: str):
    typed = f"--{option.replace('_', '-')}: "
    assert refusal(file, f"{option} = {value}\n").startswith(f"{file}: {typed}")


@pytest.mark.parametrize(
    "text",
    ["bits", "bits = ", "bits = 4\nbits = 5\n", "= 4", b"scene = '\xff'", "a = 1" + "0" * 5000],
)
def test_a_file_that_is_no_toml_is_refused(file: Path, text: str | bytes):
    refusal(file, text)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError) as caught:
            read_config(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


OUTSIDE = [
    (QuantizationConfig, "bits", "--bits", [-1, 0, 1, 9, 16, 31, 33]),
    (QuantizationConfig, "neuron_bits", "--neuron-bits", [0, 1, 17]),
    (NeuronConfig, "time_steps", "--time-steps", [-3, 0]),
    (NeuronConfig, "initial", "--initial", [-0.1, 1.1]),
    (NeuronConfig, "surrogate_scale", "--surrogate-scale", [0, -1]),
    (NeuronConfig, "surrogate_width", "--surrogate-width", [0, -1]),
    (ModelConfig, "window", "--window", [-1, 0, 2, 8]),
    (ModelConfig, "dropout", "--dropout", [-0.1, 1]),
    (ModelConfig, "widths", "--widths", [(4, 0), (-1,)]),
    (ModelConfig, "name", "--model", ["cnn", ""]),
    (SplitConfig, "protocol", "--split", ["", "Random"]),
    (SplitConfig, "train_fraction", "--train-fraction", [0, 1, -1, 2]),
    (SplitConfig, "validation_fraction", "--validation-fraction", [0, 1]),
    (SplitConfig, "block_size", "--block-size", [1, 0]),
    (SplitConfig, "validation", "--validation", ["", "random"]),
    (SplitConfig, "guard", "--guard", [-1]),
    (SplitConfig, "train_pixels", "--train-pixels", [-1, 1]),
    (TrainingConfig, "cnn_epochs", "--cnn-epochs", [0]),
    (TrainingConfig, "quantized_epochs", "--quantized-epochs", [0]),
    (TrainingConfig, "snn_epochs", "--snn-epochs", [-1]),
    (TrainingConfig, "batch_size", "--batch-size", [0, 1]),
    (TrainingConfig, "learning_rate", "--learning-rate", [0, -1, 1.5, 1e38, math.nan]),
    (TrainingConfig, "weight_decay", "--weight-decay", [-1, 1e39]),
    (TrainingConfig, "distillation", "--distillation", [-0.1, 1.1]),
    (TrainingConfig, "spike_penalty", "--spike-penalty", [-0.1, math.nan]),
    (TrainingConfig, "spike_target", "--spike-target", [-0.1, math.nan]),
    (TrainingConfig, "unlabelled", "--unlabelled", [-0.1, 101, math.nan]),
    (TrainingConfig, "snn_start", "--snn-start", ["", "cnn"]),
    (TrainingConfig, "trained_neuron", "--trained-neuron", ["none"]),
    (RunConfig, "seed", "--seed", [-1, 2**64]),
]


@pytest.mark.parametrize(
    ("kind", "field", "option", "value"),
    [(kind, field, option, value) for kind, field, option, bad in OUTSIDE for value in bad],
)
def test_a_value_out_of_range_names_the_option_as_typed(kind, field, option, value):
    with pytest.raises(InputError) as caught:
        kind(**{field: value})
    assert str(caught.value).startswith(f"{option}: found ")
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_of_training_pixels_is_for_random_splits():
    SplitConfig(train_pixels=50)
    with pytest.raises(InputError, match=r"^--train-pixels: found 50, .* --split random"):
        SplitConfig(protocol="mask", train_pixels=50)


def test_unlabelled_pixels_need_the_teachers_labels():
    TrainingConfig(unlabelled=1.0, distillation=0.1)
    with pytest.raises(InputError, match=r"^--unlabelled: found 1.0, .* without distillation"):
        TrainingConfig(unlabelled=1.0, distillation=0.0)


def test_one_scale_per_tensor_excludes_batch_norm_in_the_snn():
    tensor = QuantizationConfig(granularity="tensor")
    with pytest.raises(InputError, match=r"^--granularity: found tensor, .*--no-snn-batch-norm"):
        RunConfig(quantization=tensor)
    RunConfig(quantization=tensor, training=TrainingConfig(snn_batch_norm=False))
    RunConfig(quantization=dataclasses.replace(tensor, bits=32))


@pytest.mark.parametrize(
    ("kind", "field", "edges"),
    [
        (QuantizationConfig, "bits", [2, 8, 32]),
        (QuantizationConfig, "neuron_bits", [2, 16, None]),
        (NeuronConfig, "time_steps", [1]),
        (NeuronConfig, "initial", [0, 1]),
        (ModelConfig, "window", [1, 9]),
        (ModelConfig, "dropout", [0]),
        (ModelConfig, "widths", [(1, 1, 1, 1), None]),
        (TrainingConfig, "batch_size", [2]),
        (TrainingConfig, "learning_rate", [1]),
        (TrainingConfig, "distillation", [0, 1]),
        (RunConfig, "seed", [0, 2**64 - 1]),
    ],
)
def test_the_ends_of_a_range_are_inside(kind, field, edges):
    for edge in edges:
        assert getattr(kind(**{field: edge}), field) == edge


def test_the_file_is_json_where_toml_and_json_agree():
    """Other programs read it: one line per option, its value as in JSON."""
    for line in write_config(
        RunConfig(model=ModelConfig(name="cnn32h", widths=(1, 2, 3, 4)))
    ).splitlines():
        option, value = line.split(" = ")
        assert json.loads(value) == tomllib.loads(line)[option]


@pytest.mark.parametrize(
    ("widths", "name"), [(None, "cnn1x1"), ((4, 8), "cnn1x1"), ((2, 2, 2, 2), "cnn32h")]
)
def test_the_network_is_the_default_before_where_four_widths_are_given(widths, name):
    assert ModelConfig(widths=widths).name == name
