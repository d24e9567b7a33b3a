"""`snnquant convert`: conversion of a CNN to an SNN."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from snnquant.cli.options import (
    DEFAULT_CONFIG,
    DEFAULT_OPTIONS,
    Config,
    SharedOptions,
    create_or_resume,
    open_run,
    place_of_data,
    print_metrics,
    run_with_progress,
)
from snnquant.errors import InputError

if TYPE_CHECKING:
    from snnquant.pipeline.run import Progress, Run
    from snnquant.report import RunMetrics


def convert(
    cnn: Annotated[
        Path,
        Parameter(
            help="Folder of a run with a CNN, a snnquant checkpoint, a state dict of PyTorch or "
            "safetensors, or an ONNX file."
        ),
    ],
    config: Config = DEFAULT_CONFIG,
    options: SharedOptions = DEFAULT_OPTIONS,
    *,
    finetune: Annotated[
        bool, Parameter(negative="", help="Train the SNN under quantization as well.")
    ] = False,
    trust_code: Annotated[
        bool, Parameter(negative="", help="Run the file of --architecture FILE.py:CLASS.")
    ] = False,
    layout: Annotated[
        str | None,
        Parameter(
            help="Axes of the patches that the CNN takes, such as N,1,h,w,B (N: batch, B: bands); "
            "by default those with which it is right most often on validation pixels."
        ),
    ] = None,
    logits: Annotated[
        int | None,
        Parameter(help="Place, from 0, of the logits where the CNN returns several tensors."),
    ] = None,
) -> None:
    """Convert a CNN: calibrate thresholds, search their factors on the validation pixels.

    A run's folder is converted in place with its own options; a file starts a new run.
    """
    from snnquant.pipeline import import_cnn, stages
    from snnquant.pipeline.report_data import evaluate_and_report

    in_place = cnn.is_dir()
    moved = place_of_data(config)
    more = (options.output, options.resume, options.config, layout, logits)
    given = config is not DEFAULT_CONFIG and moved is None
    given = given or any(option is not None for option in more)
    if in_place and given:
        raise InputError(f"{cnn}: found options beside a run's folder, expected only its own")

    def start(progress: Progress) -> Run:
        if in_place:
            return open_run(cnn, progress, options.device, moved)
        new = config if options.resume else import_cnn.fitted_config(config, cnn)
        return create_or_resume(new, options, progress)

    def work(run: Run) -> RunMetrics:
        if not in_place and not run.has("cnn_fp32"):
            reading = import_cnn.Reading(trust_code=trust_code, layout=layout, logits=logits)
            for remark in import_cnn.import_cnn(run, cnn, reading):
                print(f"{cnn}: {remark}", file=sys.stderr)
        stages.convert_cnn(run)
        if finetune:
            stages.train_twin(run)
            stages.train_snn(run)
        return evaluate_and_report(run)

    metrics = run_with_progress(start, work)
    folder = Path(metrics.run)
    report = _report(folder)
    if not options.json:
        from rich.console import Console

        from snnquant.report import print_conversion

        key_map, conversion = report.get("key_map", {}), report["conversion"]
        operations = key_map.get("operations", conversion["operations"])
        print_conversion(conversion, operations, Console())
    print_metrics(metrics, options.json, **report)
    if not options.json:
        print(f"report: {folder / 'report.html'}")


def _report(folder: Path) -> dict[str, Any]:
    """Read the reports in a run's folder: the conversion's, and the imported file's if any."""
    files = {"conversion": folder / "conversion.json", "key_map": folder / "key_map.json"}
    return {
        name: json.loads(file.read_text(encoding="utf-8"))
        for name, file in files.items()
        if file.exists()
    }
