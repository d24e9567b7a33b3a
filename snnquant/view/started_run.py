"""The run that the page started: one at a time, in a process that ends with the server."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Self

from snnquant.errors import InputError

SHOWN = 4000
"""Bytes of the output's end that are shown."""
GRACE = 20.0
"""Seconds in which a run that is stopped ends by itself."""
_STOPPED = 130
"""Exit code after Ctrl-C."""


@dataclass
class _Process:
    name: str
    popen: subprocess.Popen[bytes]
    output: IO[bytes]
    stopped: bool = False

    @property
    def state(self) -> str:
        code = self.popen.poll()
        if code is None:
            return "stopping" if self.stopped else "running"
        if code == 0:
            return "finished"
        return "stopped" if self.stopped or code == _STOPPED else "failed"


class StartedRun:
    """Starts `snnquant run`, one at a time, and stops it when the server ends.

    Args:
        command: Program and its first arguments, without a shell. It reads its standard input and
            ends as by Ctrl-C where that is closed: so it ends with the server, however that ends.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the run and wait for its end."""
        self.stop()
        if self._process is not None:
            self._process.output.close()
        self._process = None

    def require_none(self) -> None:
        """Raise `InputError` while a run is in progress."""
        if self._process is not None and self._process.popen.poll() is None:
            found = f"found the run {self._process.name} in progress"
            raise InputError(f"run: {found}, expected its end, or stop it first")

    def start(self, name: str, *arguments: str) -> None:
        """Start a run.

        Args:
            name: Path of its folder below the folder of runs.
            arguments: Arguments after the command.

        Raises:
            InputError: Another run is in progress.
        """
        with self._lock:
            self.require_none()
            # A file without a name, so that nothing of it is left.
            output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as it is shown
            popen = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the server, which stops the run
            )
            if self._process is not None:
                self._process.output.close()
            self._process = _Process(name, popen, output)

    def stop(self) -> None:
        """End the run as Ctrl-C does, and wait; it can be resumed. Without effect if none runs."""
        process = self._process
        if process is None:
            return
        process.stopped = process.popen.poll() is None
        assert process.popen.stdin is not None
        process.popen.stdin.close()
        try:
            process.popen.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.popen.kill()  # its files are whole at any time
            process.popen.wait()

    def status(self) -> dict[str, Any]:
        """Return state, name and the end of the output of the run that was started last.

        States: none, running, stopping, finished, stopped, failed.
        """
        with self._lock:
            process = self._process
            if process is None:
                return {"state": "none", "name": None, "output": ""}
            state, number = process.state, process.output.fileno()  # the state first: then all
            size = os.fstat(number).st_size
            # Not by reading on: the run writes at the same place of the same open file.
            end = os.pread(number, SHOWN, max(0, size - SHOWN)).decode(errors="replace")
        shown = "".join(c if c.isprintable() or c == "\n" else " " for c in end)
        return {"state": state, "name": process.name, "output": shown}
