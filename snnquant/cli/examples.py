"""Worked examples at the end of every subcommand's help."""

from __future__ import annotations

RUN = "runs/indian_pines-cnn1x1-random-seed0"

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "snnquant": (
        ("from a scene to scores, prices, map and report", "run --scene indian_pines"),
        ("the options of a subcommand", "run --help"),
        ("tab completion in your shell", "--install-completion"),
    ),
    "run": (
        ("a scene that comes with the package", "run --scene indian_pines"),
        (
            "4-bit weights, 3 time steps, test pixels apart from the training pixels",
            "run --scene indian_pines --bits 4 --time-steps 3 --split blocks",
        ),
        ("an interrupted run", f"run --resume {RUN}"),
    ),
    "train": (
        ("the 32-bit and the 6-bit CNN", "train --scene indian_pines"),
        ("your own scene, by its card", "train --scene field.toml --output runs/field"),
        ("a published network", "train --scene indian_pines --model hamida --cnn-epochs 100"),
    ),
    "convert": (
        ("the CNN of a run, in place", f"convert {RUN}"),
        (
            "weights from PyTorch, then trained as an SNN",
            "convert cnn.pt --architecture hamida --scene indian_pines --finetune",
        ),
        ("an ONNX file, which holds its network", "convert cnn.onnx --scene indian_pines"),
    ),
    "finetune": (
        ("the converted SNN of a run", f"finetune {RUN}"),
        ("on a GPU", f"finetune {RUN} --device cuda"),
        ("metrics for another program", f"finetune {RUN} --json"),
    ),
    "search": (
        (
            "networks, time steps and bits; the best within 100 nJ per pixel",
            "search --scene indian_pines --budget-nj 100 --min-oa 99",
        ),
        (
            "your own axes, over any option of run",
            "search --over time-steps=1,2,3 --over widths=8/32/64,16/64/128 --model cnn1x1h",
        ),
        (
            "by two schedules of a chip, for pixels in a map",
            "search --over schedule=events,time_inner --map --json",
        ),
    ),
    "evaluate": (
        ("every network of a run", f"evaluate {RUN}"),
        ("and the savings of stopping early", f"evaluate {RUN} --early-exit"),
        ("and the SNN as hardware computes it", f"evaluate {RUN} --integers --json"),
    ),
    "map": (
        ("the scene of the run", f"map {RUN}"),
        ("in integers, several times as fast", f"map {RUN} --engine integer --early-exit"),
        ("another cube, by the CNN", f"map {RUN} --cube flight.npy --network cnn_fp32"),
    ),
    "report": (
        ("the page of a run", f"report {RUN}"),
        ("on a GPU", f"report {RUN} --device cuda"),
        ("of a scene whose data have moved", f"report {RUN} --scene /data/scenes"),
    ),
    "energy": (
        ("a table of all layers", f"energy {RUN}"),
        ("the same as JSON, in a file", f"energy {RUN} --json > energy.json"),
        ("the same as JSON, to be read", f"energy {RUN} --json | python -m json.tool"),
    ),
    "compare": (
        ("the SNNs of two runs", "compare runs/first runs/second"),
        (
            "SNN and twin of one run, on one page",
            f"compare {RUN} --network snn_trained --network cnn_twin --html compare.html",
        ),
        ("all runs by energy, for another program", "compare runs/* --sort energy --json"),
    ),
    "figure": (
        ("all figures of a run as PDF", f"figure {RUN}"),
        (
            "one for a page of two columns",
            f"figure {RUN} --what map --width 17.5cm --output figures",
        ),
        (
            "pictures for slides",
            f"figure {RUN} --what confusion,energy --format png --dpi 200",
        ),
    ),
    "workload": (
        (
            "the trained SNN of a run",
            f"workload {RUN}/snn.safetensors snn.json --scene indian_pines",
        ),
        ("your own scene", "workload snn.safetensors snn.json --scene field.toml"),
        ("any scene of a size", "workload snn.safetensors snn.json --scene synthetic:64x64x100"),
    ),
    "export": (
        ("the trained SNN of a run", f"export {RUN} --format onnx --output snn.onnx"),
        (
            "the CNN with 8-bit integer weights",
            f"export {RUN} --format qdq --output cnn.onnx",
        ),
        ("a checkpoint, for Brian2", "export snn.safetensors --format brian2 --output snn.py"),
    ),
    "view": (
        ("all runs in the folder runs", "view"),
        ("one run, at an address to open by hand", f"view {RUN} --no-browser"),
        ("on a port of your choice, such as one forwarded by ssh", "view --port 8765 --no-browser"),
    ),
    "models": (
        ("the networks with their sizes", "models"),
        ("for another program", "models --json"),
        ("then train one of them", "train --scene indian_pines --model cnn3d"),
    ),
    "methods": (
        ("the quantization methods", "methods"),
        ("for another program", "methods --json"),
        ("the options of one", "run --quantization uniform --help"),
    ),
    "doctor": (
        ("the whole installation", "doctor"),
        ("for another program", "doctor --json"),
        ("for a report of a fault", "doctor > installation.txt"),
    ),
    "scenes": (
        ("the known scenes", "scenes"),
        ("one scene's card", "scenes show indian_pines"),
        ("its data, downloaded and checked", "scenes fetch salinas"),
    ),
}
"""Three per subcommand: the purpose, and the arguments of `snnquant`."""


def epilogue(subcommand: str) -> str:
    """Return the examples of a subcommand as they are printed."""
    lines = [f"  # {purpose}\n  snnquant {call}\n" for purpose, call in EXAMPLES[subcommand]]
    return "Examples:\n" + "".join(lines)
