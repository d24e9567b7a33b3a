"""`snnquant view`: runs in the browser, on this machine only."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from snnquant.errors import InputError
from snnquant.io import require_extra


def view(
    folder: Annotated[Path, Parameter(help="Folder of runs, or one run.")] = Path("runs"),
    /,
    *,
    port: Annotated[int, Parameter(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    browser: Annotated[bool, Parameter(help="Open the page in a browser.")] = True,
) -> None:
    """Show runs and cubes in the browser, and start runs on drawn areas; Ctrl-C ends it.

    The page is served to this machine only, at an address with a random token. Only a run that is
    started there is written, to the folder. It ends with the server and can be resumed.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected a folder of runs")
    if not 0 <= port <= 65535:
        raise InputError(f"--port: found {port}, expected 0 to 65535")
    require_extra("view", "werkzeug")
    from snnquant.cli.allocator import keep_freed_memory
    from snnquant.view import StartedRun, bind, opened_browser

    keep_freed_memory()
    # Without -P a module in the working folder would stand for one of Python's.
    with StartedRun((sys.executable, "-P", "-m", "snnquant.cli.started_run")) as started:
        server, guard = bind(folder, port, started)
        print(guard.address, flush=True)
        with opened_browser(guard) if browser else nullcontext():
            server.serve_forever()
