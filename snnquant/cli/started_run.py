"""`snnquant` as `snnquant view` starts it: it ends, as by Ctrl-C, when its standard input does."""

from __future__ import annotations

import os
import signal
import threading

from snnquant.cli import main


def _end_with_input() -> None:
    # Not by `sys.stdin`, whose lock this thread would still hold when the interpreter ends.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    # A server in the background ignores Ctrl-C, and so would the processes that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_input, daemon=True).start()
    main()
