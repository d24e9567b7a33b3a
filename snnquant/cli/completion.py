"""`snnquant --install-completion`: tab completion in the user's shell."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from snnquant.errors import InputError


def install_completion(
    *,
    shell: Annotated[
        Literal["bash", "zsh", "fish"] | None,
        Parameter(help="Shell to complete in; by default the one that runs the command."),
    ] = None,
) -> None:
    """Write the completion script to the home folder and have the shell load it."""
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    from snnquant.cli import app

    try:
        path = app.install_completion(shell=shell or detect_shell())
    except ShellDetectionError:
        raise InputError("--shell: found no known shell, expected bash, zsh or fish") from None
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be written ({error.strerror})") from None
    print(path)
    print("Completion starts with the next shell: open one, or run `exec $SHELL`.")
