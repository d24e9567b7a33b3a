"""Options that verbs share, and how they open a run, show progress and print results."""

from __future__ import annotations

import functools
import inspect
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from snnquant.config import FLAT, MethodConfig, RunConfig, run_config_type
from snnquant.config.options import OUTPUT
from snnquant.errors import InputError

if TYPE_CHECKING:
    import torch

    from snnquant.pipeline.run import Progress, Run

Json = Annotated[bool, Parameter(negative="")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Parameter(help="Where torch computes; auto: on a CUDA device if there is one."),
]
RunFolder = Annotated[Path, Parameter(help="Folder of a run.")]
Config = Annotated[RunConfig, FLAT]
DEFAULTS = RunConfig()
"""The very object that a verb gets where no option of RunConfig is given."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a run goes and where its options come from."""

    output: Path | None = None
    """New folder of the run; by default runs/SCENE-MODEL-SPLIT-seedN."""
    config: Path | None = None
    """TOML file of options, such as a run's config.toml; the command line beats it."""
    resume: Path | None = None
    """Folder of a run to go on with; its own configuration holds and no other option is allowed."""
    device: Device = "auto"
    json: Json = False
    """Print the metrics as one JSON object and nothing else on stdout."""


StartOptions = Annotated[Start, Parameter(name="*", group=OUTPUT)]
NO_START = Start()


def with_method(command: Callable[..., Any], method: type[MethodConfig]) -> Callable[..., Any]:
    """Return a subcommand that takes a quantization method's options in place of uniform's.

    A subcommand without options of a run stays as it is.
    """
    signature = inspect.signature(command, eval_str=True)
    if "config" not in signature.parameters:
        return command
    kind = run_config_type(method)
    config = signature.parameters["config"].replace(annotation=Annotated[kind, FLAT])

    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments.get("config", kind())
        bound.arguments["config"] = RunConfig(**vars(given))
        return command(*bound.args, **bound.kwargs)

    parameters = [config if p.name == "config" else p for p in signature.parameters.values()]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call


def start(config: RunConfig, options: Start, progress: Progress) -> Run:
    """The run that the options ask for, new or resumed."""
    from snnquant.cli.allocator import keep_freed_memory
    from snnquant.io import remove_leftovers
    from snnquant.pipeline.run import Run

    keep_freed_memory()
    device = _find(options.device)
    if options.resume is None:
        return Run.create(config, options.output, progress, device)
    if config is not DEFAULTS or options.output or options.config:
        raise InputError("--resume: found other options beside it, expected the run's own alone")
    run = Run.open(options.resume, progress, device)
    remove_leftovers(run.path)
    return run


def reopen(folder: Path, progress: Progress, device: Device = "cpu") -> Run:
    """The run in a folder."""
    from snnquant.cli.allocator import keep_freed_memory
    from snnquant.pipeline.run import Run

    keep_freed_memory()
    return Run.open(folder, progress, _find(device))


def _find(device: Device) -> torch.device:
    """The device of that name, which computes in full float32; InputError where there is none."""
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise InputError(
            "--device: found cuda, expected cpu or auto: torch sees no CUDA device here"
        )
    if device == "cpu" or not there:
        return torch.device("cpu")
    torch.backends.cudnn.allow_tf32 = False  # its factors would have 10 bits
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda")


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Progress bars on a terminal's stderr; elsewhere a line where a stage starts and ends."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<13}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int, remark: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, remark="")
            bars.update(tasks[stage], completed=done, total=total, remark=remark)
            if not console.is_terminal and done in (0, total):
                print(f"{stage}: {done}/{total} {remark}".rstrip(), file=sys.stderr, flush=True)

        yield update


def show(metrics: dict[str, Any], as_json: bool) -> None:
    """Print the metrics as one JSON object, or as the table that ends with the run's folder."""
    if as_json:
        print(json.dumps(metrics))
        return
    from rich.console import Console

    from snnquant.report import print_table

    print_table(metrics, Console())
    print(f"run: {metrics['run']}")


def carry_out(open_run: Callable[[Progress], Run], work: Callable[[Run], Any]) -> Any:
    """Open a run, work on it under progress bars, and say how to go on where Ctrl-C stops it."""
    with progress_bars() as progress:
        run = open_run(progress)
        try:
            return work(run)
        except KeyboardInterrupt:
            folder = shlex.quote(str(run.path))
            print(f"snnquant: go on with: snnquant run --resume {folder}", file=sys.stderr)
            raise
