"""Every `>>>` example in the docstrings of both packages gives what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("snnquant", "pim_sim")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _examples() -> Iterator[tuple[Path, int, str]]:
    """Yield file, line and text of docstrings, by syntax: modules are imported only when run.

    Decorated functions and attributes, which `doctest.DocTestFinder` passes over, are found too.
    """
    for path in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if ">>>" in text:
            for node in ast.walk(ast.parse(text)):
                match node:
                    case ast.Expr(ast.Constant(str(docstring))) if ">>>" in docstring:
                        yield path.relative_to(ROOT), node.lineno, docstring


EXAMPLES = list(_examples())


def test_both_packages_have_examples() -> None:
    assert {path.parts[0] for path, _, _ in EXAMPLES} == set(PACKAGES)


@pytest.mark.parametrize(
    ("path", "line", "docstring"),
    [pytest.param(*example, id=f"{example[0]}:{example[1]}") for example in EXAMPLES],
)
def test_example(
    path: Path, line: int, docstring: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
    names = dict(vars(module))
    example = doctest.DocTestParser().get_doctest(docstring, names, str(path), str(path), line - 1)
    out = io.StringIO()
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=out.write)
    assert result.attempted > 0
    assert result.failed == 0, out.getvalue()
