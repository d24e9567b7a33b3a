"""Runs of MLflow, on the user's server or in the folder of the run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnquant.errors import InputError
from snnquant.io import one_line, require_extra, write_json
from snnquant.training.resumable import Epoch
from snnquant.training.tracking import TRACKERS, Tracker, curves

STORE, KEPT = "mlruns", "mlflow.json"
"""Folder of MLflow's files where no server is named, and the file with the run's id there."""
_AT_ONCE = 100
"""Options that a server takes in one request."""


@TRACKERS.register("mlflow")
class MLflow(Tracker):
    """A run of MLflow: options as parameters, curves and scores as metrics.

    MLFLOW_TRACKING_URI names the server; without it the files are in the folder of the run.
    MLFLOW_EXPERIMENT_NAME names the experiment, "snnquant" by default. A run that resumes writes to
    the same run of MLflow unless its options have changed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # Looked at by the import: a run reports to nobody whom the user has not named.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._library, self._errors = require_extra(
            "mlflow", "mlflow.tracking", "mlflow.exceptions"
        )
        (self._entities,) = require_extra("mlflow", "mlflow.entities")
        self._client: Any = None
        self._run = ""
        self._written: dict[str, set[int]] = {}
        self._scored = False

    def options(self, values: Mapping[str, Any]) -> None:
        """Open the run of MLflow that has these options, or make one."""
        given = {name: str(value) for name, value in values.items()}
        with self._in_one_line():
            if self._client is None:
                self._client = self._library.MlflowClient(self._place())
            if self._run and self._params(self._run) == given:
                return
            kept = self._kept()
            self._run = kept if kept and self._params(kept) == given else self._new(given)
            self._client.update_run(self._run, status="RUNNING")

    def epoch(self, row: Epoch) -> None:
        """Write the curves of an epoch that the run of MLflow lacks."""
        with self._in_one_line():
            key = f"{row.stage}/loss"
            if row.stage not in self._written:
                history = self._client.get_metric_history(self._run, key)
                self._written[row.stage] = {metric.step for metric in history}
            if row.epoch not in self._written[row.stage]:
                named = {f"{row.stage}/{name}": value for name, value in curves(row).items()}
                self._log(named, row.epoch)
                self._written[row.stage].add(row.epoch)

    def scores(self, values: Mapping[str, float]) -> None:
        """Write the final scores."""
        with self._in_one_line():
            self._log(values, 0)
        self._scored = True

    def close(self) -> None:
        """Set the status: finished where the scores are written, else killed."""
        if self._run:
            with self._in_one_line():
                self._client.set_terminated(self._run, "FINISHED" if self._scored else "KILLED")

    def _place(self) -> str | None:
        """Return the address of the files; None where MLflow knows a server."""
        if self._library.is_tracking_uri_set():
            return None
        # Its other local store, a database, takes the whole of MLflow.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        return (self.folder.resolve() / STORE).as_uri()

    def _kept(self) -> str:
        try:
            values = json.loads((self.folder / KEPT).read_text(encoding="utf-8"))
            return str(values["run_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _params(self, run: str) -> dict[str, str] | None:
        """Return the options of a run of MLflow; None where the server has no such run."""
        try:
            return dict(self._client.get_run(run).data.params)
        except self._errors.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _new(self, options: Mapping[str, str]) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "snnquant")
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name)
        run = str(self._client.create_run(number, run_name=self.folder.name).info.run_id)
        params = [self._entities.Param(name, value) for name, value in options.items()]
        for start in range(0, len(params), _AT_ONCE):
            self._client.log_batch(run, params=params[start : start + _AT_ONCE])
        write_json(self.folder / KEPT, {"run_id": run})
        self._written = {}
        return run

    def _log(self, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    @contextmanager
    def _in_one_line(self) -> Iterator[None]:
        try:
            yield
        except self._errors.MlflowException as error:
            raise InputError(f"--track mlflow: {one_line(error)}") from None
