"""The command `snnquant`: one file a verb, imported when it is called."""

from __future__ import annotations

import errno
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cyclopts import App, ArgumentCollection, CycloptsError
from cyclopts.config import Dict
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
    "workload": "Write a checkpoint's layers as the file that pim-sim reads.",
    "export": "Write a network for other programs: ONNX, NIR, snnTorch, Brian2.",
    "models": "The networks that there are, own and published.",
}

app = App(
    name="snnquant",
    help="Hyperspectral classifiers as quantized spiking neural networks.",
    version_flags=["--version"],
    help_formatter="default",
    suppress_keyboard_interrupt=False,  # `main` says that it was Ctrl-C
)
for verb, summary in VERBS.items():
    # By name, so that a verb is imported only when it is called.
    app.command(f"snnquant.cli.{verb}:{verb}", name=verb, help=summary)
app.command("snnquant.cli.scenes:app", name="scenes", help="List, show and fetch scenes.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the input is wrong, 130 stopped by Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        app.config = [*_config_file(given), _refuse_fractions]
        app(
            given,
            exit_on_error=False,
            print_error=False,
            error_console=console,
            result_action="return_none",
        )
        sys.stdout.flush()
    except (InputError, CycloptsError) as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        print("snnquant: stopped", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        # A file that cannot be written is an InputError by now: this is standard output.
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # What it still holds must not be flushed at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:  # a reader like `head` may leave early
            _refuse(f"standard output: {error.strerror}")


def _refuse(message: str) -> NoReturn:
    print(f"snnquant: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _config_file(arguments: list[str]) -> list[Dict]:
    """The file given with --config, whose values stand below those of the command line."""
    for i, argument in enumerate(arguments):
        option, equals, path = argument.partition("=")
        if option == "--config" and (equals or i + 1 < len(arguments)):
            path = path if equals else arguments[i + 1]
            return [Dict(_read_options(path), source=path, use_commands_as_keys=False)]
    return []


def _read_options(path: str) -> dict[str, object]:
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--config {path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"--config {path}: not a TOML file ({error})") from None
    for name in values:
        if name in app:  # cyclopts would pass over it
            raise InputError(f"--config {path}: found the command {name!r}, expected options alone")
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
