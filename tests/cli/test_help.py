"""The help of `snnquant`: what it lists, in which order, and how little it loads."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from snnquant.cli import SUBCOMMANDS, app, main
from snnquant.cli.examples import EXAMPLES
from snnquant.cli.options import RunOptions
from snnquant.config import RunConfig, write_config

EVERY = [*SUBCOMMANDS, "scenes"]
STARTING = ["run", "train", "convert"]
"""Subcommands that take the options of a run."""
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
    "matplotlib",
    "jinja2",
    "onnx",
    "werkzeug",
]
HelpOf = Callable[..., str]


def _options() -> set[str]:
    # `write_config` leaves out what is none, which every option without a default is.
    written = {line.split(" = ")[0] for line in write_config(RunConfig()).splitlines()}
    names = written | {"widths", "neuron_bits"} | {f.name for f in dataclasses.fields(RunOptions)}
    return {f"--{name.replace('_', '-')}" for name in names}


@pytest.fixture
def help_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> HelpOf:
    monkeypatch.setenv("COLUMNS", "80")

    def read(*subcommand: str) -> str:
        main([*subcommand, "--help"])
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return read


def test_help_lists_every_subcommand_with_a_line(help_of: HelpOf) -> None:
    text = help_of()
    for name in EVERY:
        (line,) = [line for line in text.splitlines() if f"│ {name} " in line]
        assert len(line.strip("│ ").removeprefix(name).split()) >= 3, line


def test_no_subcommand_is_a_call_for_help(
    help_of: HelpOf, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of()
    main([])
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("subcommand", STARTING)
def test_help_lists_every_option_of_a_run(help_of: HelpOf, subcommand: str) -> None:
    words = set(help_of(subcommand).split())
    assert _options() <= words


@pytest.mark.parametrize(
    ("subcommand", "words"),
    [
        ("convert", {"CNN", "PyTorch", "--architecture", "--trust-code", "--finetune"}),
        ("models", {"--json"}),
        ("methods", {"--json"}),
        ("finetune", {"FOLDER", "--device", "--json"}),
        ("search", {"--over", "--space", "--budget-nj", "--time-steps", "--scheduler", "--json"}),
        ("evaluate", {"FOLDER", "--device", "--json"}),
        ("energy", {"FOLDER", "--json"}),
        ("map", {"FOLDER", "--device", "--network", "cnn_fp32,", "snn_trained]"}),
        ("view", {"FOLDER", "--port", "--no-browser"}),
        ("compare", {"RUNS", "--network", "--sort", "--chip", "--maps", "--html", "--json"}),
        ("figure", {"FOLDER", "--what", "--network", "--format", "--dpi", "--width", "--output"}),
        ("doctor", {"--json"}),
        ("scenes", {"list", "show", "fetch"}),
    ],
)
def test_help_of_the_other_subcommands(help_of: HelpOf, subcommand: str, words: set[str]) -> None:
    assert words <= set(help_of(subcommand).split())


def test_every_option_has_a_description(help_of: HelpOf) -> None:
    text = " ".join(help_of("run").replace("│", " ").split())
    text = text.replace(" --architecture ", " ")  # another name of --model
    text = text.replace(" --no-refit ", " ")  # beside --refit on its line
    for option in sorted(_options()):
        _, _, after = text.partition(f" {option} ")
        after = re.sub(r"^--no-\S+ ", "", after)  # where it fits the line of its option
        described = after.split("[default")[0].split("--")[0].split()
        assert len(described) >= 4, option


@pytest.mark.parametrize("subcommand", STARTING)
def test_options_are_in_groups_in_the_order_of_a_run(help_of: HelpOf, subcommand: str) -> None:
    titles = re.findall(r"^╭─ (.+?) ─+╮$", help_of(subcommand), re.MULTILINE)
    groups = "Scene, Split, Network, Quantization, Neuron, Conversion, Training, Output, Ablation"
    assert titles[-9:] == groups.split(", ")
    assert set(titles[:-9]) <= {"Arguments", "Parameters"}


# --- examples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("subcommand", EVERY)
def test_help_ends_with_three_examples(help_of: HelpOf, subcommand: str) -> None:
    text = " ".join(help_of(subcommand).split())
    assert len(EXAMPLES[subcommand]) == 3
    for purpose, call in EXAMPLES[subcommand]:
        assert f"# {purpose} snnquant {call}" in text


@pytest.mark.parametrize(
    "call", sorted({call for rows in EXAMPLES.values() for _, call in rows}), ids=str
)
def test_examples_are_understood(call: str) -> None:
    words = shlex.split(re.split("[|>]", call)[0])
    app.parse_args(words, exit_on_error=False, print_error=False)  # raises where it is not


# --- completion ----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ZSH_CUSTOM", raising=False)
    monkeypatch.delenv("ZSH", raising=False)
    return tmp_path


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_is_installed(
    shell: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--install-completion", "--shell", shell])
    out, err = capsys.readouterr()
    assert err == ""
    path = Path(out.splitlines()[0])
    assert path.is_relative_to(home)
    text = path.read_text()
    for word in (*EVERY, "spike-penalty", "snn_trained"):
        assert word in text, word


def test_bash_completes_a_subcommand(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--install-completion", "--shell", "bash"])
    script = shlex.quote(capsys.readouterr().out.splitlines()[0])
    assert script in (home / ".bashrc").read_text()
    words = f"source {script}; COMP_WORDS=(snnquant fine); COMP_CWORD=1; _snnquant"
    done = subprocess.run(
        ["bash", "-c", f"{words}; echo ${{COMPREPLY[@]}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["finetune"]


def test_a_home_that_cannot_be_written_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".config").write_text("a file")
    with pytest.raises(SystemExit) as stop:
        main(["--install-completion", "--shell", "fish"])
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert f"{home}/.config/fish" in err


# --- what it loads -------------------------------------------------------------------------------


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out.strip() == version("snnquant")


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import json, sys
from snnquant.cli import main
for subcommand in {EVERY}:
    main([subcommand, "--help"])
main(["--version"])
main(["--help"])
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
