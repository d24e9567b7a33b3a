"""A quantization method from one file outside of the package, used by the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

PLUGIN = Path(__file__).with_name("toy_method.py")
OPTIONS = (
    *(
        "--scene",
        "synthetic:24x24x20",
        "--model",
        "cnn32h",
        "--widths",
        "4",
        "4",
        "8",
        "8",
        "--time-steps",
        "3",
    ),
    *("--cnn-epochs", "2", "--quantized-epochs", "2", "--snn-epochs", "2"),
)
# All commands of a test in one process: torch takes seconds to load.
SESSION = """
import contextlib, io, json, sys
from snnquant.cli import main
for arguments in json.loads(sys.stdin.read()):
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def session(folder: Path, *commands: str, plugin: Path = PLUGIN) -> list[Outcome]:
    """Run commands with the plugin, one after another in one process."""
    done = subprocess.run(
        [sys.executable, "-c", SESSION],
        input=json.dumps([command.split() for command in commands]),
        cwd=folder,
        env=os.environ | {"SNNQUANT_PLUGINS": str(plugin)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [Outcome(*json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of the toy method in `run`."""
    folder = tmp_path_factory.mktemp("toy")
    options = " ".join(OPTIONS)
    command = f"run --quantization toy --quantization.rounding down {options} --output run --json"
    (done,) = session(folder, command)
    assert done.code == 0, done.err
    (folder / "metrics.json").write_text(done.out)
    return folder


@pytest.mark.slow
def test_a_run_states_its_method_and_is_scored(folder: Path) -> None:
    config = tomllib.loads((folder / "run" / "config.toml").read_text())
    assert config["quantization"] == "toy"
    assert config["toy"] == {"bits": 3, "rounding": "down"}
    assert "scheme" not in config
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["model"]["bits"] == 3
    assert metrics["cnn_quantized"]["oa"] > 0
    assert metrics["snn_trained"]["oa"] > 0


@pytest.mark.slow
def test_the_weights_are_on_the_methods_levels(folder: Path) -> None:
    code = """
import sys; from pathlib import Path
from snnquant.checkpoints import load_checkpoint, read_header
file = Path("run/snn.safetensors")
checkpoint = load_checkpoint(file)
assert (read_header(file).bits, read_header(file).quantization.method) == (3, "toy")
for name, layer in checkpoint.network.layers.named_children():
    if hasattr(layer, "weight"):
        weight = layer.weight.detach().flatten(1)
        ratios = (weight / weight.abs().amax(1, keepdim=True)).unique().tolist()
        assert set(ratios) <= {0, 1, -1, .5, -.5, .25, -.25}, (name, ratios)
        assert len(ratios) > 3, name
"""
    environment = os.environ | {"SNNQUANT_PLUGINS": str(PLUGIN)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_other_subcommands_take_the_run(folder: Path) -> None:
    evaluated, energy, mapped, exported = session(
        folder,
        "evaluate run --json",
        "energy run --json",
        "map run",
        "export run --format onnx --output snn.onnx",
    )
    first = json.loads((folder / "metrics.json").read_text())
    assert json.loads(evaluated.out) == first
    rows = json.loads(energy.out)
    assert len([row for row in rows if row["network"] == "snn_trained"]) == 5
    assert (mapped.code, exported.code) == (0, 0), mapped.err + exported.err
    assert (folder / "run" / "map.png").exists()


@pytest.mark.slow
def test_integer_engine_and_codes_take_three_bits_and_refuse_five_in_one_line(folder: Path) -> None:
    options = " ".join(OPTIONS)
    mapped, exported, _, *refused = session(
        folder,
        "map run --engine integer",
        "export run --format qdq --network cnn_quantized --output three.onnx",
        f"run --quantization toy --quantization.bits 5 {options} --output five",
        "map five --engine integer",
        "export five --format qdq --network cnn_quantized --output five.onnx",
    )
    assert (mapped.code, exported.code) == (0, 0), mapped.err + exported.err
    for done in refused:
        assert done.code == 2
        (line,) = done.err.splitlines()
        assert line.startswith("snnquant: weights: found powers of two from 2^-")
    assert not (folder / "five.onnx").exists()


@pytest.mark.slow
def test_a_file_selects_the_method_and_the_command_line_beats_it(folder: Path) -> None:
    text = (folder / "run" / "config.toml").read_text()
    (folder / "toy.toml").write_text(text.replace("\nbits = 3", "\nbits = 2"))
    (folder / "uniform.toml").write_text("bits = 5\ncnn_epochs = 1\n")
    own, beaten, other, back = session(
        folder,
        "train --config toy.toml --output own --json",
        "train --config toy.toml --quantization.bits 4 --output beaten --json",
        "train --config toy.toml --quantization uniform --output other --json",
        f"train --config uniform.toml --quantization toy {' '.join(OPTIONS[:2])} --output back",
    )
    assert json.loads(own.out)["model"]["bits"] == 2, own.err
    assert json.loads(beaten.out)["model"]["bits"] == 4, beaten.err
    assert json.loads(other.out)["model"]["bits"] == 6, other.err
    assert back.code == 0, back.err
    config = tomllib.loads((folder / "back" / "config.toml").read_text())
    assert (config["quantization"], config["cnn_epochs"]) == ("toy", 1)
    config = tomllib.loads((folder / "other" / "config.toml").read_text())
    assert (config["quantization"], config["bits"], "toy" in config) == ("uniform", 6, False)


REFUSALS = {
    "run --quantization nope": "quantization method: found 'nope', expected one of uniform",
    "run --quantization.bits 3": "Unknown option: --quantization.bits",
    "run --quantization toy --bits 4": "Unknown option: --bits",
    "run --quantization toy --quantization.levels 4": "Unknown option: --quantization.levels",
    "run --quantization toy --quantization.bits 9": "found 9, expected 2 to 8",
    "run --quantization toy --quantization.bits 2.5": "found 2.5, expected a whole number",
    "train --quantization=toy --quantization.rounding up": 'Invalid value "up" for',
    "convert none.pt --quantization toy --quantization.bits x": "Invalid value for --quantization",
    "run --config table.toml": "toy",
    "run --config number.toml": "quantization: found 5, expected text",
    "evaluate unknown": "quantization method: found 'nope', expected one of uniform",
    "evaluate field": "unknown option 'quantization.levels'",
}


def test_wrong_methods_and_options_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "table.toml").write_text('quantization = "toy"\ntoy = 3\n')
    (tmp_path / "number.toml").write_text("quantization = 5\n")
    for name, text in (("unknown", 'quantization = "nope"'), ("field", "[toy]\nlevels = 3")):
        (tmp_path / name).mkdir()
        text = text if name == "unknown" else f'quantization = "toy"\n{text}'
        (tmp_path / name / "config.toml").write_text(text)
    for done, (command, message) in zip(
        session(tmp_path, *REFUSALS), REFUSALS.items(), strict=True
    ):
        assert (done.code, done.out) == (2, ""), command
        (line,) = done.err.splitlines()
        assert message in line, command


def test_help_shows_the_options_of_the_method(tmp_path: Path) -> None:
    shown, plain = session(tmp_path, "run --quantization toy --help", "run --help")
    assert shown.code == 0
    assert "--quantization.rounding" in shown.out
    assert "--scheme" not in shown.out
    assert "--quantization.bits" not in plain.out
    assert "--scheme" in plain.out


PLANNED = "class A(MethodConfig):\n def plan(self): 1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / 0", "division by zero"),
        ("from snnquant.config import *\n@register_method('uniform')\n" + PLANNED,
         "'uniform': registered twice"),
        ("from snnquant.config import *\n@register_method('a b')\n" + PLANNED,
         "found 'a b', expected an identifier"),
        ("from snnquant.config import *\n@register_method('seed')\n" + PLANNED,
         "found the name 'seed' of an option"),
        ("from snnquant.config import *\n@register_method('seed')\nclass A(MethodConfig): 1",
         "'seed': A: found no plan(), expected it"),
    ],
)  # fmt: skip
def test_a_broken_plugin_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    plugin = tmp_path / "broken.py"
    plugin.write_text(text)
    (done,) = session(tmp_path, "run --quantization seed", plugin=plugin)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert message in line
