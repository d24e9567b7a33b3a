"""Worked examples at the end of every subcommand's help."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "pim-sim": (
        ("the networks of a run on a chip", "run --run runs/my_run --chip edge_22nm"),
        ("the options of a subcommand", "sweep --help"),
        ("tab completion in your shell", "--install-completion"),
    ),
    "run": (
        (
            "the networks of a run, the first layer in memory",
            "run --run runs/my_run --chip edge_22nm --in-memory first",
        ),
        (
            "one layer, for another program",
            "run --layer 8x1x7x3x3 --input 1x200x5x5 --bits 6 --json",
        ),
        (
            "your own macro at another supply, all layers in memory",
            "run --workload workload.json --macro my.toml --supply 0.7 --in-memory all",
        ),
    ),
    "sweep": (
        (
            "two fields of the hardware",
            "sweep --run runs/my_run --axis adc.bits=4:8 --axis array.columns=64:512:64",
        ),
        (
            "designs that reach your own claim",
            "sweep --run runs/my_run --axis adc.bits=4:8 --claim energy=1.30,delay=1.07",
        ),
        (
            "a large sweep, resumed by the same command",
            "sweep --run runs/my_run --axis array.rows=8:1024 --parquet points",
        ),
    ),
    "macro": (
        ("the macros of the package", "macro"),
        ("one of them at 4 bits", "macro wang_2022 --input-bits 4 --weight-bits 4"),
        ("your own macro, for another program", "macro my_macro.toml --json"),
    ),
    "validate": (
        ("errors by family of chips, laws and tables", "validate"),
        ("measured against predicted energy as a picture", "validate --svg parity.svg"),
        ("the converter laws by survey", "validate --adc-survey adc_survey_1997_2017.csv"),
    ),
    "fit": (
        ("the constants of your own chip", "fit my_chip.toml --out my_scales.json"),
        ("its macro with them", "macro my_chip.toml --scales my_scales.json"),
        ("figures before and after, for another program", "fit my_chip.toml --json"),
    ),
    "fields": (
        ("of the default hardware", "fields"),
        ("of a macro", "fields charge_65nm"),
        ("of your own hardware, for another program", "fields my.toml --json"),
    ),
    "hardware": (
        ("the technologies of the package", "hardware"),
        ("one of them as a start for your own", "hardware show sram_65nm > my.toml"),
        ("your own", "hardware check my.toml"),
    ),
    "chips": (
        ("the chips of the package", "chips"),
        ("one of them as a start for your own", "chips show edge_22nm > my_chip.toml"),
        ("your own", "chips check my_chip.toml"),
    ),
}
"""Three per subcommand: the purpose, and the arguments of `pim-sim`."""


def epilogue(subcommand: str) -> str:
    """Return the examples of a subcommand in Markdown."""
    lines = [f"# {purpose}\npim-sim {call}" for purpose, call in EXAMPLES[subcommand]]
    return "Examples:\n```text\n" + "\n".join(lines) + "\n```"
