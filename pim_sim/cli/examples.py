"""Worked examples, three per subcommand, for the end of each help page."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, str, str]] = {
    "run": (
        "pim-sim run --run runs/my_run",
        "pim-sim run --workload workload.json --hardware c2c_22nm --json",
        "pim-sim run --run runs/my_run --hardware my.toml --csv parts.csv --svg parts.svg",
    ),
    "sweep": (
        "pim-sim sweep --run runs/my_run --axis adc.bits=4:8 --axis array.columns=64:512:64",
        "pim-sim sweep --run runs/my_run --axis adc.bits=4:8 --claim energy=1.30,delay=1.07",
        "pim-sim sweep --run runs/my_run --hardware c2c_22nm --axis macro.array.rows=8:512:8 "
        "--parquet points",
    ),
    "macro": (
        "pim-sim macro",
        "pim-sim macro wang_2022 --input-bits 4 --weight-bits 4",
        "pim-sim macro my_macro.toml --json",
    ),
    "validate": (
        "pim-sim validate",
        "pim-sim validate --svg parity.svg",
        "pim-sim validate --adc-survey adc_survey_1997_2017.csv --json",
    ),
    "hardware": (
        "pim-sim hardware",
        "pim-sim hardware show sram_65nm > my.toml",
        "pim-sim hardware check my.toml",
    ),
}


def epilogue(command: str) -> str:
    """Return the examples of a subcommand as the last part of its help page."""
    return "\n".join(["Examples:", "```", *EXAMPLES[command], "```"])
