"""Options of the quantization method that the command line or the file of --config names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import App

from snnquant.config import (
    DEFAULT_METHOD,
    FLAT,
    MethodConfig,
    QuantizationConfig,
    RunConfig,
    find_method,
    options_of,
    run_config_type,
)
from snnquant.errors import InputError


def split_by_method(
    given: str | None, values: Mapping[str, object]
) -> tuple[type[MethodConfig], dict[str, object]]:
    """Return the method in force, and a file's values without those of a method it replaces.

    Args:
        given: Value of `--quantization` on the command line, which beats the file; None without.
        values: Values of the file of `--config`.

    Raises:
        InputError: There is no such method.
    """
    of_file = values.get("quantization", DEFAULT_METHOD)
    name = of_file if given is None else given
    # Without a look-up, which imports plugins: most commands need none.
    method = QuantizationConfig if name == DEFAULT_METHOD else find_method(name)
    if name == of_file:
        table = values.get(str(name), {}) if name != DEFAULT_METHOD else {}
        if not isinstance(table, Mapping):
            raise InputError(f"--config: {name}: found {table!r}, expected a table of options")
        rest = {key: value for key, value in values.items() if value is not table}
        return method, rest | {f"quantization.{key}": value for key, value in table.items()}
    uniform = {option.name for option in options_of(QuantizationConfig)}
    replaced = uniform if of_file == DEFAULT_METHOD else {"quantization", of_file}
    return method, {name: value for name, value in values.items() if name not in replaced}


@contextmanager
def options_of_method(app: App, subcommand: str, method: type[MethodConfig]) -> Iterator[None]:
    """Give a subcommand the options of a method other than uniform while the block runs."""
    if method is QuantizationConfig or subcommand not in app:
        yield
        return
    command = app[subcommand]
    function = command.default_command
    command.default_command = function and _with_method(function, method)
    try:
        yield
    finally:
        command.default_command = function


def _with_method(command: Callable[..., Any], method: type[MethodConfig]) -> Callable[..., Any]:
    """Return a subcommand that takes a method's options in place of uniform's."""
    signature = inspect.signature(command, eval_str=True)
    if "config" not in signature.parameters:
        return command
    kind = run_config_type(method)
    config = signature.parameters["config"].replace(annotation=Annotated[kind, FLAT])

    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        # Only where nothing is given: with other options the defaults may exclude each other.
        given = bound.arguments["config"] if "config" in bound.arguments else kind()
        bound.arguments["config"] = RunConfig(**vars(given))
        return command(*bound.args, **bound.kwargs)

    parameters = [config if p.name == "config" else p for p in signature.parameters.values()]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call
