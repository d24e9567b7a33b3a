"""Work on torch's own threads."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnquant.spiking.backends import threads


@pytest.fixture(params=["openmp", "pool"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to get threads, where torch has GNU's OpenMP."""
    if request.param == "pool":
        monkeypatch.setattr(threads, "_openmp", lambda: None)
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
    meeting = threading.Barrier(2, timeout=60)  # breaks where one waits for the other to end
    assert sorted(threads.in_threads(lambda part: meeting.wait() * 0 + part, 2)) == [0, 1]


def test_an_error_comes_out_when_all_have_ended(way: str) -> None:
    done: list[int] = []

    def work(part: int) -> None:
        if part == 1:
            raise ArithmeticError("part 1")
        done.append(part)

    with pytest.raises(ArithmeticError, match="part 1"):
        threads.in_threads(work, 3)
    assert done
