"""Files written whole or not at all, errors on one line with exit codes, optional libraries."""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from pim_sim.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it replaces `path`, on failure it is gone.

    Missing folders are created. Raises `InputError` where the folder cannot be written or the disk
    is full.
    """
    path = Path(path)
    temporary = path.with_name(
        f".{os.getpid()}.{path.name}"
    )  # keeps the suffix, which writers read
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # renamed away, or its folder is none or read-only
            temporary.unlink()


def write_json(path: str | Path, content: object) -> None:
    """Write `content` as indented JSON; raise `InputError` as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files in `folder`, of processes that were killed while they wrote.

    Only the one process that works in the folder may call this: it would delete another's too.
    """
    for path in folder.glob(".[0-9]*.*"):
        path.unlink(missing_ok=True)


def one_line(error: BaseException, longest: int = 300) -> str:
    """Return the message of an error on one line, or its type where it has no message."""
    return " ".join(str(error).split())[:longest] or type(error).__name__


def require_extra(extra: str, *modules: str) -> list[Any]:
    """Import the modules of an optional extra; raise `InputError` that says how to install it."""
    try:
        return [importlib.import_module(module) for module in modules]
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name}: not installed, expected the extra: pip install 'snnquant[{extra}]'"
        ) from None


@contextmanager
def exit_codes(program: str, *refusals: type[Exception]) -> Iterator[None]:
    """Run a command, and turn its errors into one line on stderr and an exit code.

    0: done, also where a reader of standard output such as `head` left early; 2: wrong input, which
    is an `InputError` or one of `refusals`, or no space for standard output; 130: Ctrl-C. Any other
    exception is a defect and passes through: Python exits with 1.

    >>> with exit_codes("demo"):
    ...     raise InputError("--size: found 0, expected at least 1")
    Traceback (most recent call last):
    SystemExit: 2
    """
    wrong_input: tuple[type[Exception], ...] = (InputError, *refusals)
    try:
        yield
        sys.stdout.flush()
    except wrong_input as error:
        _refuse(program, str(error))
    except KeyboardInterrupt:
        print(f"{program}: stopped", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        # A file that cannot be written is an InputError by now: this is standard output.
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # What it still holds must not be flushed at exit, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            _refuse(program, f"standard output: {error.strerror}")


def _refuse(program: str, message: str) -> NoReturn:
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
