"""Tests of the study's file of records: one JSON object per line, rewritten whole."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnquant.errors import InputError

ROOT = Path(__file__).parents[2]


def records_script() -> ModuleType:
    spec = spec_from_file_location("study_records", ROOT / "scripts" / "study" / "records.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["study_records"] = module
    spec.loader.exec_module(module)
    return module


Records = records_script().Records
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
CONTENTS = st.dictionaries(st.text().filter(lambda key: key != "name"), VALUES, max_size=4)


@given(st.dictionaries(st.text(), CONTENTS, max_size=4))
def test_what_is_added_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, dict[str, object]]
) -> None:
    file = tmp_path_factory.mktemp("records") / "results" / "runs.jsonl"
    written = Records(file)
    for name, record in contents.items():
        written.add(name, record)
    read = Records(file)
    for name, record in contents.items():
        assert name in read
        assert read.get(name) == written.get(name) == record
    assert read.get("\x00 none") is None


def test_writers_at_the_same_time_keep_each_others_records(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    writers = [Records(file) for _ in range(8)]  # all begin with the empty file
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: writers[i].add(f"run{i}", {"value": i}), range(8)))
    assert [Records(file).get(f"run{i}") for i in range(8)] == [{"value": i} for i in range(8)]
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl"]


@pytest.mark.parametrize("line", ["{", "3", "[]", '{"command": ""}'])
def test_a_damaged_line_is_one_line(line: str, tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(f'{{"name": "a"}}\n{line}\n')
    with pytest.raises(InputError, match=r"runs\.jsonl: line 2: found no record") as error:
        Records(file)
    assert "\n" not in str(error.value)


def test_the_records_of_the_results_have_what_the_page_needs() -> None:
    lines = (ROOT / "docs" / "results" / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    names = [record["name"] for record in found]
    assert names == sorted(set(names))
    for record in found:
        assert record.keys() == {"name", "command", "config", "seconds", "metrics"}
        assert record["command"].startswith("snnquant run --scene ")
