"""Energy per operation of shipped chips beside measured ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pim_sim import load_chip
from pim_sim.cli import main
from pim_sim.validation import geometric_error, operation_pj, place_operations

CHIP = load_chip("edge_22nm")


def test_a_synaptic_operation_on_paper() -> None:
    # a weight of 8 bits is read and moved, a sum of 8 bits and 576 products has 18: added, read and
    # written with the weight in registers; control is 5 % of the latter two
    added = CHIP.core.add_energy_pj * 18 / 8 + (2 * 18 + 8) * CHIP.core.register_energy_pj
    fetched = 8 * (3.79 / 64 + 0.064)
    found = operation_pj(CHIP, "SOP", 8, 8)
    assert found > 1.05 * added + fetched
    assert found == pytest.approx(1.05 * added + fetched, rel=0.1)  # spikes and neurons beside it


def test_digital_accelerators_of_the_same_bits_are_near() -> None:
    rows = {(row.chip, row.supply_v): row for row in place_operations(CHIP)}
    for key in (("DIANA (digital core)", 0.8), ("Mo et al.", 0.9), ("Tan et al.", 1.0)):
        assert 1 / 3 < rows[key].factor < 3
    assert not any("Neuro-CIM" in chip for chip, _ in rows)  # in memory
    assert all(4 <= row.node_nm <= 130 for row in rows.values())


def test_the_command_lists_and_draws_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "operations.svg"
    main(["chips", "measured", "--svg", str(picture)])
    text = capsys.readouterr().out
    rows = place_operations(CHIP)
    for operation in ("MAC", "SOP"):
        of_kind = [row for row in rows if row.operation == operation]
        off = re.search(rf"per {operation}: off by ([\d.]+)", text)
        assert off is not None
        assert float(off[1]) == pytest.approx(geometric_error(of_kind), abs=0.01)
    circles = picture.read_text().count("<circle class=")
    assert circles == len(rows)
    main(["chips", "measured", "edge_65nm", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert {row["chip"] for row in listed} == {row.chip for row in rows}
