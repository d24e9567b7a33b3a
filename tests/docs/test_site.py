"""The site builds without a warning: every link, anchor and name of the reference resolves."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("material", "mkdocs", "mkdocstrings") if find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"the extra docs lacks {', '.join(MISSING)}"),
]
PACKAGES = {
    "snnquant": "snnquant",
    "quantization": "snnquant.quantization",
    "pim_sim": "pim_sim",
}


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout as `make docs` does."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    for page in re.findall(r": (\S+)\.md$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE):
        folder = site / re.sub(r"(^|/)(README|index)$", r"\1", page)
        assert (folder / "index.html").exists(), page
    assert not list(site.rglob("*.py"))


def test_links_across_folders_stay_on_the_site(site: Path) -> None:
    scripts = (site / "scripts" / "index.html").read_text(encoding="utf-8")
    assert 'href="../results/published/"' in scripts
    quickstart = (site / "quickstart" / "index.html").read_text(encoding="utf-8")
    assert 'href="../scripts/"' in quickstart
    assert 'href="../datasets/"' in quickstart


@pytest.mark.parametrize("page", PACKAGES)
def test_the_reference_has_every_public_name(site: Path, page: str) -> None:
    text = (site / "reference" / page / "index.html").read_text(encoding="utf-8")
    package = PACKAGES[page]
    for name in vars(importlib.import_module(package))["__all__"]:
        if not name.startswith("__"):
            assert f'id="{package}.{name}"' in text, name
    assert "&gt;&gt;&gt;" in text or 'class="gp"' in text
    assert "<blockquote>" not in text


def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    for name in ("docs", "datasets", "scripts", "snnquant", "pim_sim"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, root)
    with (root / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write("\n[broken](no_such_page.md) [too](limits.md#no-such-heading)\n")
    done = build(root, tmp_path / "site")
    assert done.returncode == 1
    assert "no_such_page.md" in done.stderr
    assert "no-such-heading" in done.stderr
