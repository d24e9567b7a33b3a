"""The command `snnquant`: one file a verb, imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError
from cyclopts.config import Toml
from rich.console import Console

from pim_sim.errors import InputError as PimInputError
from snnquant.errors import InputError

VERBS = ("run", "train", "convert", "finetune", "evaluate", "map", "energy")

app = App(
    name="snnquant",
    help="Hyperspectral classifiers as quantized spiking neural networks.",
    version_flags=["--version"],
    help_formatter="default",
)
for verb in VERBS:
    app.command(f"snnquant.cli.{verb}:{verb}", name=verb)
app.command("snnquant.cli.scenes:app", name="scenes")


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
    except (InputError, PimInputError, CycloptsError) as error:
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
