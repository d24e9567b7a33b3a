"""A whole run, from training the CNN to the report."""

from __future__ import annotations

from snnquant.models import require_convertible
from snnquant.pipeline.evaluation import evaluate
from snnquant.pipeline.report_data import write_report
from snnquant.pipeline.run import Run
from snnquant.pipeline.scene_map import draw_map
from snnquant.pipeline.stages import convert_cnn, quantize_cnn, train_cnn, train_snn, train_twin
from snnquant.report import RunMetrics


def run_all(run: Run) -> RunMetrics:
    """Run every stage in turn, then draw the map and write report.html.

    Args:
        run: A run, new or resumed.

    Returns:
        The content of metrics.json.

    Raises:
        InputError: At once if the network has no spiking form; later if a file cannot be written.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from snnquant.config import ModelConfig, RunConfig, TrainingConfig
    >>> config = RunConfig(
    ...     scene="synthetic:24x24x16",
    ...     model=ModelConfig(widths=(2, 2)),
    ...     training=TrainingConfig(cnn_epochs=1, quantized_epochs=1, snn_epochs=1),
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     metrics = run_all(Run.create(config, Path(folder) / "run"))
    ...     (Path(folder) / "run" / "map.png").exists()
    True
    >>> len(metrics.networks)
    5
    """
    require_convertible(run.config.model)
    for stage in (train_cnn, quantize_cnn, convert_cnn, train_twin, train_snn):
        stage(run)
    metrics = evaluate(run)
    draw_map(run)
    write_report(run, metrics)
    return metrics
