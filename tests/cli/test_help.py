"""What `snnquant` says about itself, and how little it loads to say it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

from snnquant.cli import VERBS, main
from snnquant.cli.options import Start
from snnquant.config import RunConfig, write_config

EVERY = [*VERBS, "scenes"]
STARTING = ["run", "train", "convert"]
"""Verbs that take the options of a run."""
HEAVY = [
    "torch",
    "numpy",
    "scipy",
    "h5py",
    "spectral",
    "rasterio",
    "snntorch",
    "pooch",
    "PIL",
    "onnx",
]


def _options() -> set[str]:
    # `write_config` leaves out what is none, which every option without a default is.
    written = {line.split(" = ")[0] for line in write_config(RunConfig()).splitlines()}
    names = written | {"widths", "neuron_bits"} | {f.name for f in dataclasses.fields(Start)}
    return {f"--{name.replace('_', '-')}" for name in names}


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "80")

    def read(*verb: str) -> str:
        main([*verb, "--help"])
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return read


def test_help_lists_every_verb_with_a_line(help_of: Any) -> None:
    text = help_of()
    for verb in EVERY:
        (line,) = [line for line in text.splitlines() if f"│ {verb} " in line]
        assert len(line.strip("│ ").removeprefix(verb).split()) >= 3, line


def test_no_verb_is_a_call_for_help(help_of: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of()
    main([])
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("verb", STARTING)
def test_help_lists_every_option_of_a_run(help_of: Any, verb: str) -> None:
    words = set(help_of(verb).split())
    assert _options() <= words


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("convert", {"CNN", "PyTorch", "--architecture", "--trust-code", "--finetune"}),
        ("models", {"--json"}),
        ("finetune", {"FOLDER", "--device", "--json"}),
        ("evaluate", {"FOLDER", "--device", "--json"}),
        ("energy", {"FOLDER", "--json"}),
        ("map", {"FOLDER", "--device", "--network", "cnn_fp32,", "snn_trained]"}),
        ("scenes", {"list", "show", "fetch"}),
    ],
)
def test_help_of_the_other_verbs(help_of: Any, verb: str, words: set[str]) -> None:
    assert words <= set(help_of(verb).split())


def test_every_option_has_a_description(help_of: Any) -> None:
    text = " ".join(help_of("run").replace("│", " ").split())
    text = text.replace(" --architecture ", " ")  # another name of --model
    for option in sorted(_options()):
        _, _, after = text.partition(f" {option} ")
        described = after.split("[default")[0].split("--")[0].split()
        assert len(described) >= 4, option


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out.strip() == version("snnquant")


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import json, sys
from snnquant.cli import main
for verb in {EVERY}:
    main([verb, "--help"])
main(["--version"])
main(["--help"])
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
