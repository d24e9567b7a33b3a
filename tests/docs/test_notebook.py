"""The notebook docs/first_hour.ipynb runs, and is stored without its outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "first_hour.ipynb"


@pytest.fixture
def _this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels import the packages of this checkout."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.mark.slow
@pytest.mark.usefixtures("_this_checkout")
def test_every_cell_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
    printed = "".join(output.get("text", "") for output in shown)
    assert "(145, 145, 200) 16 classes" in printed
    assert "blocks leakage 0.000" in printed
    assert "in memory: " in printed


@pytest.mark.slow
@pytest.mark.usefixtures("_this_checkout")
def test_a_cell_that_fails_is_found() -> None:
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        NotebookClient(broken, timeout=600, kernel_name="python3").execute()


def test_no_outputs_are_stored() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)
