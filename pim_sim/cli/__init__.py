"""The command line: ``pim-sim run``, ``sweep``, ``fields``, ``macro``, ``validate``, ``fit``,
``hardware`` and ``chips``.

Exit codes are those of `pim_sim.io.exit_codes`.
"""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, CycloptsError

from pim_sim.cli.commands import (
    check,
    check_chip,
    fields,
    list_chips,
    list_hardware,
    macro,
    show,
    show_chip,
    sweep,
)
from pim_sim.cli.examples import epilogue
from pim_sim.cli.run import run
from pim_sim.cli.validation import fit, validate
from pim_sim.io import exit_codes


def _version() -> str:
    from importlib.metadata import version  # the package of both commands

    return version("snnquant")


app = App(
    name="pim-sim",
    help="Energy, latency and area of networks on a chip, digital and in memory.",
    help_epilogue=epilogue("pim-sim"),
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
for command in (run, sweep, fields, macro, validate, fit):
    app.command(command, help_epilogue=epilogue(command.__name__))
app.command(hardware_app)
hardware_app.default(list_hardware)
hardware_app.command(list_hardware, name="list")
hardware_app.command(show)
hardware_app.command(check)
chips_app = App(
    name="chips",
    help="List, show and check files of whole chips.",
    help_epilogue=epilogue("chips"),
)
app.command(chips_app)
chips_app.default(list_chips)
chips_app.command(list_chips, name="list")
chips_app.command(show_chip, name="show")
chips_app.command(check_chip, name="check")
app.register_install_completion_command(help="Install completion for this shell.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the codes of `pim_sim.io.exit_codes`."""
    with exit_codes("pim-sim", CycloptsError):
        app(arguments, exit_on_error=False, print_error=False)
