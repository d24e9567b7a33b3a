"""Pages of other folders on the site, and the links to them: called by mkdocs, see mkdocs.yml."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = (
    "CONTRIBUTING.md",
    "datasets/README.md",
    "scripts/README.md",
    "snnquant/report/references/thresholds.toml",
)
"""Files of the repository outside of docs/ that the site has under the same path."""
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)[^()\s#]+")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the files of OUTSIDE."""
    root = Path(config.docs_dir).parent
    for name in OUTSIDE:
        files.append(File.generated(config, name, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Return a page whose links across the border of docs/ are those of the site."""
    here = page.file.src_uri
    folder = dirname(here if here in OUTSIDE else f"docs/{here}")

    def moved(link: re.Match[str]) -> str:
        target = normpath(f"{folder}/{link[0]}" if folder else link[0])
        crosses = target in OUTSIDE or here in OUTSIDE
        return relpath(target.removeprefix("docs/"), dirname(here) or ".") if crosses else link[0]

    return LINK.sub(moved, markdown)
