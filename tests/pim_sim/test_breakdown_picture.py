from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pim_sim.cli import main
from pim_sim.hardware import HARDWARE

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def workload(workload_table: dict[str, Any], tmp_path: Path) -> str:
    path = tmp_path / "workload.json"
    path.write_text(json.dumps(workload_table), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", HARDWARE.names())
def test_picture_has_every_component_as_long_as_it_costs(
    name: str, workload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "breakdown.svg"
    main(["run", "--workload", workload, "--hardware", name, "--svg", str(target), "--json"])
    answer = json.loads(capsys.readouterr().out)
    root = ElementTree.parse(target).getroot()
    drawn = [rect for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    widths = iter(float(rect.attrib["width"]) for rect in drawn)
    for quantity in ("energy_pj", "delay_ns"):
        sides = [answer["breakdown"][side] for side in ("digital", "in_memory")]
        most = max(sum(cost[quantity] for cost in side.values()) for side in sides)
        for side in sides:
            for cost in side.values():
                assert next(widths) == pytest.approx(460 * cost[quantity] / most, abs=0.006)
    assert next(widths, None) is None
    texts = {text.text for text in root.iter(f"{SVG}text")}
    for side in answer["breakdown"].values():
        assert {part.replace("_", " ") for part in side} <= texts


def test_picture_that_cannot_be_written_is_one_line(
    workload: str, tmp_path: Path, one_line_refusal: Callable[..., str]
) -> None:
    (tmp_path / "file").touch()
    target = str(tmp_path / "file" / "breakdown.svg")
    line = one_line_refusal("run", "--workload", workload, "--svg", target)
    assert f"{target}: cannot be written" in line
