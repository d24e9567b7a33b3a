"""Networks whose class is in a Python file of the user; the file is run."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from snnquant.errors import InputError
from snnquant.io import one_line

ARGUMENTS = {
    "bands": ("bands", "n_bands", "num_bands", "input_channels", "in_channels", "band"),
    "classes": ("classes", "n_classes", "num_classes", "class_num", "nb_classes", "out_channels"),
    "window": ("window", "window_size", "patch_size", "patchsize", "patch"),
}
"""Names of a class's arguments that get the scene's numbers."""


def build_from_code(place: str, bands: int, classes: int, window: int) -> tuple[nn.Module, str]:
    r"""Run a user's Python file and make an instance of a class in it.

    Arguments whose name is in `ARGUMENTS` get the scene's numbers; all others must have defaults.
    Nothing is written beside the file.

    Args:
        place: FILE.py:CLASS. Its code runs with all rights of the user: ask before.
        bands: Bands, or principal components, of the patches.
        classes: Number of classes.
        window: Height and width of the patches, pixels.

    Returns:
        The network in evaluation mode, and the call that made it, such as `Net(n_bands=200)`.

    Raises:
        InputError: One line, which names the file's line where the code fails; also for a missing
            file and for what is no `nn.Module`.

    Example:
        >>> import tempfile
        >>> from snnquant.importers import build_from_code
        >>> lines = [
        ...     "from torch import nn",
        ...     "class Net(nn.Linear):",
        ...     "    def __init__(self, n_bands, n_classes, bias=True):",
        ...     "        super().__init__(n_bands, n_classes, bias)",
        ... ]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "my_net.py").write_text("\n".join(lines))
        ...     network, call = build_from_code(f"{folder}/my_net.py:Net", 30, 3, 1)
        >>> call
        'Net(n_bands=30, n_classes=3)'
    """
    file, _, name = place.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"{file}: no such file, expected the Python file of a network")
    with _importing(path.parent), _one_line_errors(place, path):
        spec = importlib.util.spec_from_file_location(f"user_code_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look there
        spec.loader.exec_module(module)
        cls = getattr(module, name, None)
        if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
            found = "nothing" if cls is None else type(cls).__name__
            raise InputError(f"{place}: found {found} of that name, expected a torch.nn.Module")
        arguments = _arguments(place, cls, {"bands": bands, "classes": classes, "window": window})
        network = cls(**arguments)
    call = ", ".join(f"{key}={value}" for key, value in arguments.items())
    return network.eval(), f"{name}({call})"


def _arguments(place: str, cls: type, values: dict[str, int]) -> dict[str, int]:
    """Choose the arguments to call a class with."""
    known = {name: values[meaning] for meaning, names in ARGUMENTS.items() for name in names}
    arguments, unknown = {}, []
    for name, parameter in inspect.signature(cls).parameters.items():
        if name in known:
            arguments[name] = known[name]
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            unknown.append(name)
    if unknown:
        raise InputError(
            f"{place}: needs {', '.join(unknown)}, expected defaults for all arguments except "
            "bands, classes and window"
        )
    return arguments


@contextmanager
def _importing(folder: Path) -> Iterator[None]:
    """Let a file import its neighbours; write no compiled code beside it."""
    path, dont_write = list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = dont_write


@contextmanager
def _one_line_errors(place: str, path: Path) -> Iterator[None]:
    """Turn any error of the user's code into one line with the line number in its file."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename) == path
        ]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
        where = f"{path}:{line}" if line else place
        raise InputError(f"{where}: {type(error).__name__}: {one_line(error)}") from None
