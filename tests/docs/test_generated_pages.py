"""Tests that the generated pages are those of today's code."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from snnquant.cli import app
from snnquant.config import option_table

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The script docs/generate.py as a module."""
    spec = spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_up_to_date(generate: ModuleType) -> None:
    for name, text in generate.pages().items():
        written = (DOCS / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is out of date: run `make docs`"


def test_every_option_has_help_and_a_row(generate: ModuleType) -> None:
    page = generate.options_page()
    rows = list(option_table())
    for row in rows:
        assert row.help, row.flag
        of_methods = sum(other.flag == row.flag for other in rows)
        assert page.count(f"| `{row.flag}` | ") == of_methods
        assert f"\n## {row.group}\n" in page
    assert len({(row.group, row.flag) for row in rows}) == len(rows)


def test_options_of_subcommands_that_read_runs_have_rows(generate: ModuleType) -> None:
    page = generate.options_page()
    for name in generate.READING:
        flags = [
            argument.name
            for argument in app[name].assemble_argument_collection()
            if argument.name.startswith("--")
        ]
        assert flags
        for flag in flags:
            (row,) = re.findall(rf"^\| `{name} {flag}` \| (.+) \|$", page, re.MULTILINE)
            value, _, meaning = row.split(" | ")
            assert value
            assert meaning != "None"


def test_examples_are_replaced_by_their_files(generate: ModuleType, tmp_path: Path) -> None:
    page = "a\n<!-- docs/generate.py: OPTIONS -->\n```python\nold\n```\nb\n```python\nkept\n```\n"
    new = generate.with_examples(page)
    assert generate.OPTIONS.strip() in new
    assert "old" not in new
    assert "kept" in new
    assert new.endswith("```\nb\n```python\nkept\n```\n")
    assert generate.with_examples(new) == new
