"""Settings of the whole test run."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from snnquant.errors import InputError

# The networks of the tests are tiny: a second thread only waits, and waits busily where tests run
# beside other work. Set before torch is imported, and inherited by the commands that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """Call a reader with a path that it must refuse in one line naming the path."""

    def check(reader: Callable[[Path], object], path: Path) -> str:
        with pytest.raises(InputError) as caught:
            reader(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message

    return check
