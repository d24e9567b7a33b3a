"""`snnquant view`: runs in the browser, on this machine only."""

from __future__ import annotations

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
    """Show runs, cubes and spectra in the browser and classify rectangles; Ctrl-C ends it.

    The page is served to this machine only, at an address with a random token. Nothing is written.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected a folder of runs")
    if not 0 <= port <= 65535:
        raise InputError(f"--port: found {port}, expected 0 to 65535")
    require_extra("view", "werkzeug")
    from snnquant.cli.allocator import keep_freed_memory
    from snnquant.view import bind, opened_browser

    keep_freed_memory()
    server, guard = bind(folder, port)
    print(guard.address, flush=True)
    with opened_browser(guard) if browser else nullcontext():
        server.serve_forever()
