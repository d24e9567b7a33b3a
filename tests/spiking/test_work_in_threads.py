"""Work on torch's own threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.spiking.backends import threads


@pytest.fixture(params=["openmp", "pool"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Select each source of threads that torch offers."""
    if request.param == "pool":
        monkeypatch.setenv("SNNQUANT_OPENMP", "0")
    elif threads._openmp() is None:
        pytest.skip("torch is not linked with GNU's OpenMP here")
    return str(request.param)


@given(parts=st.integers(1, 9))
@settings(deadline=None, max_examples=9)
def test_every_part_is_done_once_and_stands_in_its_place(parts: int) -> None:
    done: list[int] = []

    def work(part: int) -> int:
        done.append(part)
        return part * part

    assert threads.in_threads(work, parts) == [part * part for part in range(parts)]
    assert sorted(done) == list(range(parts))


def test_parts_run_side_by_side(way: str) -> None:
    meeting = threading.Barrier(2, timeout=60)  # breaks if one waits for the other to end
    assert sorted(threads.in_threads(lambda part: meeting.wait() * 0 + part, 2)) == [0, 1]


def test_openmp_is_used_unless_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def parallel(call: Any, _: None, parts: int, flags: int) -> None:
        calls.append(parts)
        call(None)

    monkeypatch.setattr(threads, "_openmp", lambda: parallel)
    for value, expected in (("0", []), ("1", [3])):
        monkeypatch.setenv("SNNQUANT_OPENMP", value)
        assert threads.in_threads(lambda part: part, 3) == [0, 1, 2]
        assert calls == expected
    monkeypatch.delenv("SNNQUANT_OPENMP")
    assert threads.in_threads(lambda part: part, 2) == [0, 1]
    assert calls == [3, 2]


def test_an_error_comes_out_when_all_have_ended(way: str) -> None:
    done: list[int] = []

    def work(part: int) -> None:
        if part == 1:
            raise ArithmeticError("part 1")
        done.append(part)

    with pytest.raises(ArithmeticError, match="part 1"):
        threads.in_threads(work, 3)
    assert done
