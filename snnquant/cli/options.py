"""Options that subcommands share; opening a run, working on it, printing its metrics."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from snnquant.cli.progress import show_progress
from snnquant.cli.torchrun import join
from snnquant.config import FLAT, RunConfig
from snnquant.config.options import OUTPUT, section
from snnquant.errors import InputError
from snnquant.stored_networks import Network

if TYPE_CHECKING:
    import torch

    from snnquant.pipeline.run import Progress, Run
    from snnquant.report import RunMetrics

Json = Annotated[
    bool,
    Parameter(negative="", help="Print one JSON object and nothing else on stdout.", group=OUTPUT),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Parameter(help="Where torch computes; auto: on a CUDA device if available.", group=OUTPUT),
]
Track = Annotated[
    tuple[str, ...],
    Parameter(
        help="Program to write curves and scores for: tensorboard (RUN/tensorboard) or mlflow "
        "(MLFLOW_TRACKING_URI, else RUN/mlruns); repeatable.",
        group=OUTPUT,
        negative="",
        show_default=False,
    ),
]
RunFolder = Annotated[Path, Parameter(help="Folder of a run.")]
Moved = Annotated[
    str | None,
    Parameter(
        name="--scene",
        help="Where the scene's data are now, if they have moved: a folder, or a card in it.",
    ),
]
NetworkKey = Annotated[Network, Parameter(name_transform=str.lower)]
Config = Annotated[RunConfig, FLAT]
DEFAULT_CONFIG = RunConfig()
"""Sentinel: no option of RunConfig was given."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Destination of a run and origin of its configuration."""

    output: Path | None = None
    """New folder of the run; by default runs/SCENE-MODEL-SPLIT-seedN."""
    config: Path | None = None
    """TOML file of options, such as a run's config.toml; the command line beats it."""
    resume: Path | None = None
    """Folder of a run to resume; its own configuration holds and no other option is allowed."""
    track: Track = ()
    device: Device = "auto"
    json: Json = False


SharedOptions = Annotated[RunOptions, section(OUTPUT)]
DEFAULT_OPTIONS = RunOptions()


def create_or_resume(config: RunConfig, options: RunOptions, progress: Progress) -> Run:
    """Create the run that the options describe, or open the one to resume."""
    from snnquant.cli.allocator import keep_freed_memory
    from snnquant.io import remove_leftovers
    from snnquant.pipeline.run import Run
    from snnquant.pipeline.tracked import add_trackers

    keep_freed_memory()
    options, progress = join(options, progress)
    device = _torch_device(options.device)
    if options.resume is None:
        run = Run.create(config, options.output, progress, device)
        add_trackers(run, options.track)
        return run
    moved = place_of_data(config)
    if (config is not DEFAULT_CONFIG and moved is None) or options.output or options.config:
        raise InputError("--resume: found other options beside it, expected only the run's own")
    run = Run.open(options.resume, progress, device, scene=moved)
    remove_leftovers(run.path)
    add_trackers(run, options.track)
    return run


def place_of_data(config: RunConfig) -> str | None:
    """Return `--scene` where it is the only option beside a run's folder, else None."""
    only = config == replace(DEFAULT_CONFIG, scene=config.scene) and config != DEFAULT_CONFIG
    return config.scene if only else None


def open_run(
    folder: Path, progress: Progress, device: Device = "cpu", scene: str | None = None
) -> Run:
    """Open the run in a folder; `scene` is where its data went."""
    from snnquant.cli.allocator import keep_freed_memory
    from snnquant.pipeline.run import Run

    keep_freed_memory()
    return Run.open(folder, progress, _torch_device(device), scene=scene)


def run_with_progress(open_run: Callable[[Progress], Run], work: Callable[[Run], Any]) -> Any:
    """Open a run, work on it with progress shown, and say how to resume it after Ctrl-C."""
    from snnquant.pipeline.tracked import closed_trackers

    with show_progress() as progress:
        run = open_run(progress)
        try:
            with closed_trackers(run):
                return work(run)
        except KeyboardInterrupt:
            folder = shlex.quote(str(run.path))
            print(f"snnquant: resume with: snnquant run --resume {folder}", file=sys.stderr)
            raise


def print_metrics(metrics: RunMetrics, as_json: bool, **more: Any) -> None:
    """Print the metrics and `more` keys as one JSON object, or the table and the run's folder."""
    if as_json:
        print(json.dumps(metrics.to_dict() | more))
        return
    from rich.console import Console

    from snnquant.report import print_table

    print_table(metrics, Console())
    print(f"run: {metrics.run}")


def _torch_device(device: Device) -> torch.device:
    """Return the named device, set to full float32; raise InputError for a missing one."""
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InputError(
            "--device: found cuda, expected cpu or auto: torch sees no CUDA device here"
        )
    if device == "cpu" or not available:
        return torch.device("cpu")
    torch.backends.cudnn.allow_tf32 = False  # its factors would have 10 bits
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda")
