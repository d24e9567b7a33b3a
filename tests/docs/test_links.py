"""Tests of the pages: relative links, anchors, paths named in text, navigation of the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("datasets", "docs", "pim_sim", "scripts", "snnquant", "tests")
PAGES = sorted([*ROOT.glob("*.md"), *(p for name in FOLDERS for p in (ROOT / name).rglob("*.md"))])
FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
NAMED = re.compile(
    r"(?<![\w/.])(?:scripts|datasets|docs|tests)/[\w./-]*\.(?:py|toml|md|svg|jsonl?)\b"
)


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are formed on the web."""
    names = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(page)))
    return {name.replace(" ", "-") for name in names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link}: no such file"
        assert target.is_relative_to(ROOT), f"{link}: outside of the repository"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


def test_links_are_found_and_checked(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b` c\n[x](y.md#z) `[no](no.md)`\n```\n[no](no.md)\n```\n![p](p.svg)\n")
    assert links(page) == ["y.md#z", "p.svg"]
    assert anchors(page) == {"a-b-c"}


def texts() -> Iterator[Path]:
    """Yield the files whose text may name another file of the repository."""
    yield from PAGES
    yield ROOT / "Makefile"
    for folder in FOLDERS:
        for suffix in ("py", "toml"):
            yield from (ROOT / folder).rglob(f"*.{suffix}")


def test_files_named_in_text_exist() -> None:
    missing = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in texts()
        if file != Path(__file__)
        for name in NAMED.findall(file.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    }
    assert missing <= {
        # Written only where torch sees a CUDA device.
        "scripts/benchmarks/gpu.py: docs/results/benchmark_gpu.md",
        "docs/gpu.md: docs/results/benchmark_gpu.md",
    }


def test_every_page_is_in_the_navigation_and_nothing_else() -> None:
    named = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    docs = ROOT / "docs"
    pages = {str(p.relative_to(docs)) for p in docs.rglob("*.md")}
    assert len(named) == len(set(named))
    assert pages <= set(named)
    assert all((ROOT / name).exists() for name in set(named) - pages)
