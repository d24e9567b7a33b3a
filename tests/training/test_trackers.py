"""Tests of the trackers: what they write is read back by the readers of their programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from snnquant.errors import InputError
from snnquant.training import TRACKERS, Epoch, Tracker

OPTIONS = {"seed": 3, "model": "cnn32h", "widths": (2, 2), "guard": None, "refit": True}
SCORES = {"snn_trained/oa": 0.75, "snn_trained/energy_pj/horowitz": 1234.5}
ROWS = [Epoch("cnn", k, 2.0**-k, 0.25 * k, 2 * 2.0**-k) for k in range(3)]


def _session(
    name: str, folder: Path, rows: list[Epoch], *, ends: bool = False, **more: Any
) -> None:
    """Write what a run tells a tracker, up to an interruption or the end."""
    tracker = TRACKERS.get(name)(folder)
    tracker.options(OPTIONS | more)
    for row in rows:
        tracker.epoch(row)
    if ends:
        tracker.options(OPTIONS | more)
        tracker.scores(SCORES)
    tracker.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_ALLOW_FILE_STORE", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "true")  # so that what a tracker sets is undone
    return tmp_path / "run"


def test_every_tracker_is_listed() -> None:
    assert {"tensorboard", "mlflow"} <= set(TRACKERS.names())
    with pytest.raises(InputError, match=r"--track: found 'wandb', expected one of .*tensorboard"):
        TRACKERS.get("wandb")


@pytest.mark.parametrize(("name", "module"), [("tensorboard", None), ("mlflow", "mlflow.tracking")])
def test_a_missing_extra_is_one_line(
    name: str, module: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module or name, None)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError) as caught:
        TRACKERS.get(name)(folder)
    assert str(caught.value).endswith(f"expected the extra: pip install 'snnquant[{name}]'")
    assert not folder.exists()


# --- TensorBoard ---------------------------------------------------------------------------------


def _events(folder: Path) -> Any:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(folder))
    found.Reload()
    return found


def _curve(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in _events(folder).Scalars(name)]


def test_tensorboard_reads_curves_scores_and_options(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    _session("tensorboard", folder, ROWS, ends=True)
    curves = folder / "tensorboard/cnn"
    assert _curve(curves, "loss") == [(0, 1.0), (1, 0.5), (2, 0.25)]
    assert _curve(curves, "validation_loss") == [(0, 2.0), (1, 1.0), (2, 0.5)]
    assert _curve(curves, "validation_accuracy") == [(0, 0.0), (1, 0.25), (2, 0.5)]
    top = _events(folder / "tensorboard")
    for name, value in SCORES.items():
        assert [event.value for event in top.Scalars(name)] == [value]
    (text,) = top.Tensors("options/text_summary")
    assert b"| seed | 3 |" in text.tensor_proto.string_val[0]
    assert b"| widths | (2, 2) |" in text.tensor_proto.string_val[0]
    plugin = top.summary_metadata["_hparams_/session_start_info"].plugin_data
    assert plugin.plugin_name == "hparams"
    assert b"cnn32h" in plugin.content


def test_tensorboard_has_a_resumed_stage_once(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    _session("tensorboard", folder, ROWS[:2])
    other = [Epoch("snn", 0, 4.0, 0.5, 5.0)]
    _session("tensorboard", folder, ROWS + other, ends=True)
    curve = _curve(folder / "tensorboard/cnn", "loss")
    assert [step for step, _ in curve] == [0, 1, 2]
    # A run whose stage is finished is told only the next one.
    _session("tensorboard", folder, [Epoch("snn", 0, 3.0, 0.5, 5.0)], ends=True)
    assert _curve(folder / "tensorboard/cnn", "loss") == curve
    assert _curve(folder / "tensorboard/snn", "loss") == [(0, 3.0)]
    assert len(_events(folder / "tensorboard").Scalars("snn_trained/oa")) == 1


# --- MLflow --------------------------------------------------------------------------------------


def _mlflow(store: Path) -> Any:
    tracking = pytest.importorskip("mlflow.tracking")
    return tracking.MlflowClient(store.as_uri())


def _steps(client: Any, run: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run, name)]


def test_mlflow_reads_curves_scores_and_options(folder: Path) -> None:
    client = _mlflow(folder / "mlruns")
    _session("mlflow", folder, ROWS, ends=True)
    (experiment,) = [e for e in client.search_experiments() if e.name == "snnquant"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run"
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in OPTIONS.items()}
    assert {name: run.data.metrics[name] for name in SCORES} == SCORES
    number = run.info.run_id
    assert _steps(client, number, "cnn/loss") == [(row.epoch, row.loss) for row in ROWS]
    assert _steps(client, number, "cnn/validation_accuracy") == [(0, 0.0), (1, 0.25), (2, 0.5)]


def test_mlflow_resumes_its_run_unless_options_changed(folder: Path) -> None:
    client = _mlflow(folder / "mlruns")

    def kept() -> str:
        return str(json.loads((folder / "mlflow.json").read_text(encoding="utf-8"))["run_id"])

    _session("mlflow", folder, ROWS[:2])
    first = kept()
    assert client.get_run(first).info.status == "KILLED"
    _session("mlflow", folder, ROWS, ends=True)
    assert kept() == first
    assert client.get_run(first).info.status == "FINISHED"
    assert [step for step, _ in _steps(client, first, "cnn/loss")] == [0, 1, 2]
    _session("mlflow", folder, ROWS[:1], seed=4)
    assert kept() != first
    assert client.get_run(kept()).data.params["seed"] == "4"
    assert client.get_run(first).data.params["seed"] == "3"


def test_mlflow_heeds_its_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = folder.parent / "elsewhere"
    client = _mlflow(store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "fields")
    _session("mlflow", folder, ROWS[:1])
    (experiment,) = [e for e in client.search_experiments() if e.name == "fields"]
    assert len(client.search_runs([experiment.experiment_id])) == 1
    assert not (folder / "mlruns").exists()


def test_an_error_of_mlflow_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow.tracking")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://host")
    with pytest.raises(InputError, match=r"^--track mlflow: [^\n]*nonsense[^\n]*$"):
        _session("mlflow", folder, ROWS)


def test_a_tracker_must_write_epochs() -> None:
    class Silent(Tracker):
        pass

    with pytest.raises(TypeError, match="epoch"):
        Silent(Path("run"))  # type: ignore[abstract]
