"""The command line: ``pim-sim run``, ``sweep``, ``macro``, ``validate`` and ``hardware``.

Exit codes: 0 done, 2 wrong user input (one line on stderr), 1 a defect, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError

from pim_sim.cli.commands import check, list_hardware, macro, run, show, sweep, validate
from pim_sim.cli.examples import epilogue
from pim_sim.errors import InputError


def _version() -> str:
    from importlib.metadata import version  # the package of both commands

    return version("snnquant")


app = App(
    name="pim-sim",
    help="Energy and delay of a network's first layer, digital and in memory.",
    version=_version,
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `main` reports Ctrl-C
)
hardware_app = App(
    name="hardware",
    help="List, show and check hardware files.",
    help_epilogue=epilogue("hardware"),
)
for command in (run, sweep, macro, validate):
    app.command(command, help_epilogue=epilogue(command.__name__))
app.command(hardware_app)
hardware_app.default(list_hardware)
hardware_app.command(list_hardware, name="list")
hardware_app.command(show)
hardware_app.command(check)
app.register_install_completion_command(help="Install completion for this shell.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``pim-sim``; wrong input becomes one line on stderr and exit code 2."""
    try:
        app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except (InputError, CycloptsError) as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        print("pim-sim: stopped", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        # only standard output is left to fail; its rest must not be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # a reader like `head` may leave early
            _refuse(f"standard output: {error.strerror or error}")


def _refuse(message: str) -> NoReturn:
    print(f"pim-sim: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
