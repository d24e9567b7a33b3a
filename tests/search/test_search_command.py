"""`snnquant search` from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snnquant.cli import main

SMALL = (
    *(
        "search",
        "--scene",
        "synthetic:24x24x16",
        "--model",
        "cnn32h",
        "--widths",
        "2",
        "2",
        "2",
        "2",
    ),
    *("--cnn-epochs", "2", "--snn-epochs", "2", "--workers", "1", "--rungs", "1"),
    *("--over", "time-steps=1,2"),
)
LONGER = (
    *(
        "search",
        "--scene",
        "synthetic:48x48x32",
        "--model",
        "cnn32h",
        "--widths",
        "4",
        "4",
        "8",
        "8",
    ),
    *("--cnn-epochs", "1", "--snn-epochs", "20", "--calibration", "maximum"),
    *("--over", "time-steps=2,3", "--rungs", "1"),
)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_search_prints_its_front_and_pick(capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "--budget-nj", "1e6", "--min-oa", "0"])
    out, err = capsys.readouterr()
    assert "front of 2 candidates, energy of a pixel on its own" in out
    assert "max 1e+06 nJ, min 0 %: pick: candidate" in out
    assert "rung 1 of 1, SNNs: 2/2" in err
    (folder,) = Path("searches").iterdir()
    assert out.splitlines()[-1] == f"front: {folder / 'front.json'}"

    main([*SMALL, "--budget-nj", "0.001", "--json"])  # resumes, in the same folder
    out, _ = capsys.readouterr()
    found = json.loads(out)
    assert found["folder"] == str(folder)
    assert found["choice"]["reached"] is False
    assert found["choice"]["candidate"] == found["front"][0]["candidate"]
    assert list(Path("searches").iterdir()) == [folder]

    main([*SMALL, "--budget-nj", "0.001"])
    assert "max 0.001 nJ: none; nearest: candidate" in capsys.readouterr().out


def test_runs_of_the_front_are_ordinary(capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "--output", "all", "--map", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["in_map"] is True
    run = f"all/{found['front'][0]['run']}"
    main(["evaluate", run, "--json"])
    assert json.loads(capsys.readouterr().out)["snn_trained"]["oa"] == found["front"][0]["test_oa"]
    main(["map", run])
    main(["run", "--resume", run])
    assert {"map.png", "cnn_quantized.safetensors"} <= {path.name for path in Path(run).iterdir()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--over", "time-steps"), "--over: found 'time-steps', expected NAME=VALUE,VALUE"),
        (("--over", "bits=3,3"), "--over bits: found a value twice, expected each once"),
        (("--over", "bits=3", "--over", "bits=4"), "--over bits: found twice"),
        (("--over", "bits=1"), "--over: --bits: found 1, expected 2 to 8, or 32"),
        (("--over", "seed=1,2"), "--over seed: found an option of the split"),
        (("--over", "depth=1"), "--over depth: found no such option"),
        (("--over", "chip=none"), "none"),
        (("--over", "schedule=fast"), "schedule"),
        (("--space", "none.toml"), "--space none.toml: cannot be read"),
        (("--space", "wrong.toml"), "--space wrong.toml: bits: found 3, expected a list of values"),
        (("--space", "broken.toml"), "--space broken.toml: not a TOML file"),
        (("--budget-nj", "0"), "--budget-nj: found 0.0, expected above 0 nJ"),
        (("--min-oa", "100"), "--min-oa: found 100.0, expected 0 to below 100 %"),
        (("--rungs", "0"), "--rungs: found 0, expected 1 to 10"),
        (("--reduction", "1"), "--reduction: found 1.0, expected above 1, at most 100"),
        (("--candidates", "0"), "--candidates: found 0, expected 1 to 10,000"),
        (("--workers", "-1"), "--workers: found -1, expected 0 to 1,024"),
        (("--output", "full"), "full: exists and holds no search, expected a new folder"),
        (("--scene", "none"), "none"),
        (("--model", "hu", "--over", "bits=3"), "--model hu: "),
        (("--scheduler", "nowhere"), "--scheduler nowhere: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_input_is_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.toml").write_text("bits = 3\n")
    Path("broken.toml").write_text("bits = [\n")
    Path("full").mkdir()
    Path("full/file").touch()
    scene = () if "--scene" in arguments else ("--scene", "synthetic:24x24x16")
    with pytest.raises(SystemExit) as stop:
        main(["search", *scene, *arguments])
    out, err = capsys.readouterr()
    *progress, line = err.splitlines()
    assert (stop.value.code, out) == (2, "")
    assert all("0/" in earlier for earlier in progress)
    assert line.startswith("snnquant: ")
    assert message in line


@pytest.fixture
def stop_with(tmp_path: Path) -> Callable[[signal.Signals], tuple[int, str]]:
    """Start a search in processes, and send it a signal while they train SNNs."""

    def stop(what: signal.Signals) -> tuple[int, str]:
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from snnquant.cli import main; main()"
        command = [sys.executable, "-c", code, *LONGER, "--workers", "2", "--output", "all"]
        started = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        begun = time.time_ns()
        while not any(
            path.stat().st_mtime_ns > begun
            for path in tmp_path.glob("all/rung_1/*/snn.state.safetensors")
        ):
            assert started.poll() is None, started.communicate()
            time.sleep(0.005)
        os.kill(started.pid, what)
        errors = started.communicate()[1]
        assert not (tmp_path / "all" / "front.json").exists(), "the signal came too late"
        return started.returncode, errors

    return stop


@pytest.mark.slow
def test_a_killed_search_resumes_to_the_same_front(
    stop_with: Callable[[signal.Signals], tuple[int, str]], tmp_path: Path
) -> None:
    assert stop_with(signal.SIGKILL)[0] == -signal.SIGKILL
    code, errors = stop_with(signal.SIGINT)
    assert code == 130
    assert "Traceback" not in errors
    hint, last = errors.splitlines()[-2:]
    assert hint.startswith("snnquant: resume with: snnquant search --scene synthetic:48x48x32")
    assert last == "snnquant: stopped"
    main([*LONGER, "--output", "all", "--workers", "1"])
    main([*LONGER, "--output", "other", "--workers", "1"])
    assert Path("all/front.json").read_bytes() == Path("other/front.json").read_bytes()
