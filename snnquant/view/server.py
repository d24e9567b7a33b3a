"""The server on the loopback address, and the start of a browser."""

from __future__ import annotations

import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from snnquant.errors import InputError
from snnquant.io import one_line
from snnquant.view.guard import Guard
from snnquant.view.pages import Pages
from snnquant.view.started_run import StartedRun

LOOPBACK = "127.0.0.1"


class _SilentHandler(WSGIRequestHandler):
    """A handler that writes no address to any log, since addresses hold the token."""

    server_version, sys_version = "snnquant", ""
    timeout = 60  # seconds, for a client that sends no end

    def log(self, type: str, message: str, *args: object) -> None:
        """Write nothing."""

    def version_string(self) -> str:
        """Return the name of the program without versions."""
        return self.server_version


def bind(folder: Path, port: int, started: StartedRun) -> tuple[BaseWSGIServer, Guard]:
    """Bind the pages of a folder of runs to the loopback address.

    Args:
        folder: Folder of runs, or one run.
        port: Port to listen on; 0 takes a free one.
        started: Starts runs on drawn areas; to be left when the server ends.

    Returns:
        The server, whose `serve_forever` ends at Ctrl-C, and the guard, which knows the address.

    Raises:
        InputError: If the port cannot be used.
    """
    try:
        listening = socket.create_server((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        raise InputError(f"--port {port}: cannot be listened on ({one_line(error)})") from None
    with listening:
        guard = Guard(listening.getsockname()[1])
        pages = Pages(folder, guard, started)
        server = make_server(
            LOOPBACK,
            guard.port,
            pages,
            threaded=True,
            request_handler=_SilentHandler,
            fd=listening.fileno(),  # the server has a copy
        )
    return server, guard


@contextmanager
def opened_browser(guard: Guard) -> Iterator[None]:
    """Open the first page in the user's browser.

    Other users see a browser's arguments, so it gets a file that only this user can read. The file
    forwards to an address that works once; the token is in no file.
    """
    with tempfile.TemporaryDirectory(prefix="snnquant-view-") as folder:
        page = Path(folder) / "open.html"
        page.touch(mode=0o600)
        forward = f"http://{guard.host}/{guard.once}"
        page.write_text(f'<meta http-equiv="refresh" content="0; url={forward}">', encoding="utf-8")
        threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
        yield
