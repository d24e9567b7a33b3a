"""Runs of before an option: they keep the split that they were trained with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snnquant.cli import main
from snnquant.config import RunConfig, SplitConfig
from snnquant.errors import InputError
from snnquant.pipeline.run import Run


def without_later_options(run: Run) -> None:
    """Take the options out of the configuration that runs of before do not have."""
    file = run.path / "config.toml"
    lines = file.read_text().splitlines()
    later = ("validation =", "train_pixels =", "guard =")
    kept = [line for line in lines if not line.startswith(later)]
    assert len(lines) - len(kept) == 2  # no guard is no line
    file.write_text("\n".join(kept))


@pytest.mark.parametrize("protocol", ["random", "blocks"])
def test_a_run_of_before_opens_with_its_split(tmp_path: Path, protocol: str) -> None:
    split = SplitConfig(protocol=protocol, validation="pixels")  # type: ignore[arg-type]
    run = Run.create(RunConfig(scene="synthetic:96x96x8", split=split), tmp_path / "run")
    run.write()
    without_later_options(run)
    assert Run.open(run.path).split.digest == run.split.digest


def test_another_split_than_that_of_its_options_is_refused(tmp_path: Path) -> None:
    split = SplitConfig(protocol="blocks", validation="blocks", refit=False)
    run = Run.create(RunConfig(scene="synthetic:96x96x8", split=split), tmp_path / "run")
    run.write()
    without_later_options(run)
    with pytest.raises(InputError, match=r"split\.npz: found a split that scene and options"):
        Run.open(run.path)


def test_the_snn_of_a_run_of_before_is_trained_with_other_options(
    copied: Callable[[], Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied()
    run.file("snn_trained").unlink()
    without_later_options(run)
    main(["finetune", str(run.path), "--snn-epochs", "2", "--json"])
    assert "snn_trained" in json.loads(capsys.readouterr().out)
