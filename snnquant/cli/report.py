"""`snnquant report`: the page of a run, written anew."""

from __future__ import annotations

from snnquant.cli.options import Device, Moved, RunFolder, open_run, run_with_progress


def report(folder: RunFolder, /, *, scene: Moved = None, device: Device = "auto") -> None:
    """Write report.html: scores, map, spectra, classes, energy on one page without a network.

    Figures are those of metrics.json; `snnquant evaluate` computes them anew.
    """
    from snnquant.pipeline.report_data import write_report

    page = run_with_progress(
        lambda progress: open_run(folder, progress, device, scene), write_report
    )
    print(page)
