"""Where the command line gets a workload from: a run, a file, or a checkpoint of snnquant."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pim_sim.errors import InputError
from pim_sim.workload import Workload

_SNNQUANT = "from snnquant.cli import main; main()"


@dataclass(frozen=True, kw_only=True)
class Source:
    """The options that name a workload, one of the first three."""

    run_dir: Annotated[Path | None, Parameter(name="--run")] = None
    """Run directory; its workload.json is read."""
    workload: Path | None = None
    """Workload file."""
    checkpoint: Path | None = None
    """Quantized SNN of snnquant, such as a run's snn.safetensors; --scene says of which scene."""
    scene: str | None = None
    """Scene of the checkpoint: a card's name, a card's path, or synthetic:HxWxB."""

    def read(self) -> Workload:
        """The workload; `InputError` for no source, for two, or for one that cannot be used."""
        given = [self.run_dir, self.workload, self.checkpoint]
        if sum(source is not None for source in given) != 1:
            raise InputError("give one of --run DIR, --workload FILE and --checkpoint FILE")
        if (self.checkpoint is None) != (self.scene is None):
            raise InputError("--checkpoint and --scene: found one, expected both or neither")
        if self.run_dir is not None:
            return Workload.from_json(self.run_dir / "workload.json")
        if self.workload is not None:
            return Workload.from_json(self.workload)
        return _of_checkpoint(str(self.checkpoint), str(self.scene))


def _of_checkpoint(checkpoint: str, scene: str) -> Workload:
    """What the command `snnquant workload` of this installation says: it is never imported here."""
    if importlib.util.find_spec("snnquant") is None:
        raise InputError("--checkpoint: needs snnquant, which is not installed beside pim_sim")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "workload.json"
        command = ["workload", "--scene", scene, "--", checkpoint, str(file)]
        done = subprocess.run(
            [sys.executable, "-c", _SNNQUANT, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode == 2:
            raise InputError(done.stderr.strip().rpartition("\n")[2].removeprefix("snnquant: "))
        if done.returncode:
            raise RuntimeError(f"snnquant {' '.join(command)} failed:\n{done.stderr}")
        return Workload.from_json(file)
