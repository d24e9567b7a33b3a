"""The command `snnquant`: one file a verb, imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError
from cyclopts.config import Toml
from rich.console import Console

from snnquant.errors import InputError

VERBS = {
    "run": "The whole chain: CNN, conversion, SNN under quantization, scores, prices, map.",
    "train": "Train the CNN of a scene, in 32 bits and quantized.",
    "convert": "Turn a CNN into an SNN.",
    "finetune": "Train a converted SNN under quantization.",
    "evaluate": "Score and price the networks of a run.",
    "map": "Classify every pixel of the scene.",
    "energy": "Operations and energy, layer by layer.",
}

app = App(
    name="snnquant",
    help="Hyperspectral classifiers as quantized spiking neural networks.",
    version_flags=["--version"],
    help_formatter="default",
)
for verb, summary in VERBS.items():
    # By name, so that a verb is imported only when it is called.
    app.command(f"snnquant.cli.{verb}:{verb}", name=verb, help=summary)
app.command("snnquant.cli.scenes:app", name="scenes", help="List, show and fetch scenes.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the input is wrong, 130 stopped by Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    app.config = _config_file(given)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        app(
            given,
            exit_on_error=False,
            print_error=False,
            error_console=console,
            result_action="return_none",
        )
    except (InputError, CycloptsError) as error:
        print(f"snnquant: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("snnquant: stopped", file=sys.stderr)
        sys.exit(130)


def _config_file(arguments: list[str]) -> list[Toml]:
    """The file given with --config, whose values stand below those of the command line."""
    for i, argument in enumerate(arguments):
        if argument.startswith("--config"):
            _, equals, path = argument.partition("=")
            path = path if equals else "".join(arguments[i + 1 : i + 2])
            return [Toml(path, must_exist=True, use_commands_as_keys=False)]
    return []
