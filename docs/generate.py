"""Pages made from the code: options, folder of a run, reference, and examples in your_method.md.

    python docs/generate.py

A block of code after a comment such as `<!-- tests/sockets/grid_reader.py -->` is that file; after
`<!-- FILE.py: NAME -->` it is the text of a constant in it.
"""

from __future__ import annotations

import ast
import importlib
import re
import typing
from enum import EnumMeta
from pathlib import Path

from cyclopts import Argument

from snnquant.cli import app
from snnquant.config import markdown
from snnquant.io import replacing
from snnquant.report.run_folder import run_folder_page

DOCS = Path(__file__).parent
EXAMPLE = re.compile(r"(<!-- (\S+\.py)(?:: (\w+))? -->\n```python\n).*?(?=^```$)", re.M | re.S)
OPTIONS = """# Options

Options of `snnquant run`; `train` and `convert` take them too. They may also stand in a file,
`--config file.toml`, with underscores: `--time-steps 3` is `time_steps = 3` there; the command line
beats the file. A run stores all of them in its `config.toml`. `make docs` makes this page from
`snnquant.config`; a plugin adds the options of its quantization method.
"""


REFERENCE = {
    "snnquant": """From scenes to trained networks. Names are imported from `snnquant` itself; its
subcommands are in [commands](../commands.md), the options in [options](../options.md).""",
    "snnquant.quantization": """Quantizers, and what a method of your own is made of:
[your method](../your_method.md) shows one.""",
    "pim_sim": """Energy and delay of layers and networks on chips, digital and in memory;
[pim_sim](../pim_sim.md) has the equations.""",
}
"""Packages of the reference, and the first lines of their pages."""
READING = ("compare", "figure", "doctor")
"""Subcommands that read runs and have options of their own."""
OF_READING = """
## Reading runs

Options of the subcommands that compare runs, draw figures and check the installation.

| option | value | default | meaning |
|---|---|---|---|
"""


def options_page() -> str:
    """Return the page of all options, one table per help group."""
    rows = (
        f"| {' | '.join(_cells(name, argument))} |\n"
        for name in READING
        for argument in app[name].assemble_argument_collection()
        if argument.name.startswith("--")
    )
    return f"{OPTIONS}\n{markdown()}{OF_READING}{''.join(rows)}"


def _cells(subcommand: str, argument: Argument) -> tuple[str, str, str, str]:
    """Return flag, value, default and meaning of an option."""
    value, default = argument.hint, argument.field_info.default
    repeated = typing.get_origin(value) is tuple
    value = typing.get_args(value)[0] if repeated else value
    if isinstance(value, EnumMeta):
        words = ", ".join(value)
    elif typing.get_origin(value) is typing.Literal:
        words = ", ".join(typing.get_args(value))
    else:
        words = {bool: "true or false", int: "a whole number", str: "text"}.get(
            value, "text or path"
        )
    words += ", repeated" if repeated else ""
    default = ", ".join(default) if isinstance(default, tuple) else default
    shown = "" if default is None else f"`{str(default).lower()}`"
    return f"`{subcommand} {argument.name}`", words, shown, str(argument.parameter.help)


def reference_page(package: str) -> str:
    """Return the page of a package's public names, which mkdocstrings fills from the docstrings."""
    names = sorted(vars(importlib.import_module(package))["__all__"], key=str.lower)
    shown = "\n".join(f"::: {package}.{name}\n" for name in names if not name.startswith("__"))
    return f"# {package}\n\n{REFERENCE[package]}\n\n{shown}"


def with_examples(page: str) -> str:
    """Return a page with the code of its examples as it is in their files."""

    def example(found: re.Match[str]) -> str:
        head, file, name = found.groups()
        text = (DOCS.parent / file).read_text(encoding="utf-8")
        return head + (_constant(text, name) if name else text).strip() + "\n"

    return EXAMPLE.sub(example, page)


def _constant(code: str, name: str) -> str:
    for statement in ast.parse(code).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return str(ast.literal_eval(value))
    raise KeyError(name)


def pages() -> dict[str, str]:
    """Return the content of every generated page by the name of its file."""
    methods = "your_method.md"
    return {
        "options.md": options_page(),
        "run_folder.md": run_folder_page(),
        methods: with_examples((DOCS / methods).read_text(encoding="utf-8")),
        **{
            f"reference/{package.removeprefix('snnquant.')}.md": reference_page(package)
            for package in REFERENCE
        },
    }


if __name__ == "__main__":
    for name, text in pages().items():
        with replacing(DOCS / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
