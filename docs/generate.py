"""Pages made from the code: options.md, run_folder.md, and the examples in your_method.md.

    python docs/generate.py

A block of code after a comment such as `<!-- tests/sockets/grid_reader.py -->` is that file; after
`<!-- FILE.py: NAME -->` it is the text of a constant in it.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

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


def options_page() -> str:
    """Return the page of all options, one table per help group."""
    return f"{OPTIONS}\n{markdown()}"


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
    }


if __name__ == "__main__":
    for name, text in pages().items():
        with replacing(DOCS / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
