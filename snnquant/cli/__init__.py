"""The command `snnquant`: one file per subcommand, imported when it is called."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, ArgumentCollection, CycloptsError
from cyclopts.config import Dict
from rich.console import Console

from snnquant.cli.examples import epilogue
from snnquant.cli.method_options import options_of_method, split_by_method
from snnquant.config import with_options_of_before
from snnquant.errors import InputError
from snnquant.io import exit_codes

SUBCOMMANDS = {
    "run": "The whole chain: CNN, conversion, SNN under quantization, scores, prices, map.",
    "train": "Train the CNN of a scene, in 32 bits and quantized.",
    "convert": "Convert a CNN to an SNN.\n\n"
    "A run's folder is converted in place with its own options; a file starts a new run.",
    "finetune": "Train a converted SNN under quantization.",
    "search": "Search for networks that are accurate and cheap: a Pareto front, trained.",
    "evaluate": "Score and price the networks of a run.",
    "map": "Classify every pixel of the scene.\n\n"
    "Writes a PNG, npy and ENVI file to the run's folder. Interrupted maps resume on rerun.",
    "report": "Write report.html of a run anew: one page with all of it.",
    "energy": "Operations and energy, layer by layer.",
    "compare": "Compare runs: scores, energy, Pareto front, paired tests.",
    "figure": "Draw figures of a run for papers: map, errors, confusion, spectra, energy.",
    "workload": "Write a checkpoint's layers as the file that pim-sim reads.",
    "export": "Write a network for other programs: ONNX, NIR, snnTorch, Brian2.",
    "view": "Show runs, cubes and spectra in the browser, on this machine only.",
    "models": "List the available networks, our own and published ones.",
    "methods": "List the available quantization methods.",
    "doctor": "Check the installation: versions, processor, GPU, data, disk, extras.",
}
"""The line of each subcommand in `snnquant --help`, and what its own help adds to it."""

app = App(
    name="snnquant",
    help="Hyperspectral classifiers as quantized spiking neural networks.",
    help_epilogue=epilogue("snnquant"),
    help_format="plaintext",
    version_flags=["--version"],
    help_formatter="default",
    suppress_keyboard_interrupt=False,  # `exit_codes` says that it was Ctrl-C
)
for name, summary in SUBCOMMANDS.items():
    # By path, so that a subcommand is imported only when it is called.
    path = f"snnquant.cli.{name}:{name}"
    app.command(path, name=name, help=summary, help_epilogue=epilogue(name))
app.command("snnquant.cli.scenes:app", name="scenes", help="List, show and fetch scenes.")
app.command(
    "snnquant.cli.completion:install_completion",
    name="--install-completion",
    help="Install tab completion for bash, zsh or fish.",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the codes of `snnquant.io.exit_codes`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with exit_codes("snnquant", CycloptsError):
        own = _config_of_run(given)
        path = _value(given, "--config") or own
        options = {} if path is None else _read_options(path)
        if own is not None and path == own:
            options = with_options_of_before(options)
        method, options = split_by_method(_value(given, "--quantization"), options)
        values = Dict(options, source=path or "", use_commands_as_keys=False)
        app.config = [values, _refuse_fractions]
        with options_of_method(app, given[0] if given else "", method):
            app(
                given,
                exit_on_error=False,
                print_error=False,
                error_console=console,
                result_action="return_none",
            )


def _value(arguments: list[str], wanted: str) -> str | None:
    """Return the value of an option that decides on the others, None where it is not given."""
    for i, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option == wanted and (equals or i + 1 < len(arguments)):
            return value if equals else arguments[i + 1]
    return None


def _config_of_run(arguments: list[str]) -> str | None:
    """Return the file of the options that `finetune` starts from: its run's own."""
    files = (Path(argument) / "config.toml" for argument in arguments[1:])
    found = next((file for file in files if file.is_file()), None)
    return str(found) if found and arguments[0] == "finetune" else None


def _read_options(path: str) -> dict[str, object]:
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--config {path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"--config {path}: not a TOML file ({error})") from None
    for name in values:
        if name in app:  # cyclopts would pass over it
            raise InputError(f"--config {path}: found the subcommand {name!r}, expected options")
    if not isinstance(method := values.get("quantization", ""), str):
        raise InputError(f"--config {path}: quantization: found {method!r}, expected text")
    return values


def _refuse_fractions(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse a fraction where a whole number is due, which cyclopts would round."""
    for argument in arguments:
        if argument.hint in (int, int | None, tuple[int, ...] | None):
            for token in argument.tokens:
                if "." in token.value:
                    raise InputError(
                        f"{argument.name}: found {token.value}, expected a whole number"
                    )
