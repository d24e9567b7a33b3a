"""The table of all options, which docs/options.md is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from snnquant.config.methods import METHODS
from snnquant.config.options import GROUPS, Option, described, options_of
from snnquant.config.run_config import RunConfig, run_config_type


@dataclass(frozen=True)
class OptionRow:
    """One option in words."""

    group: str
    """Help group, such as "Neuron"; "Quantization: lbw" for the options of a method."""
    flag: str
    """Spelling on the command line, such as "--time-steps"."""
    key: str
    """Key in config.toml, such as "time_steps"."""
    type: str
    """Type or allowed values, such as "delayed, same_step or zero"."""
    default: str
    """Default as it is written in TOML; empty where it depends on other options."""
    help: str
    """Help text."""


def option_table(*kinds: type) -> Iterator[OptionRow]:
    """Yield every option in the order of the help groups.

    Args:
        kinds: Dataclasses of options; by default all options of a run, those of every registered
            quantization method included.

    >>> row = next(row for row in option_table() if row.flag == "--time-steps")
    >>> row.group, row.default, row.help
    ('Neuron', '2', 'Time steps T per classification.')
    """
    # By name: their order in the registry depends on which file was imported first.
    methods = sorted(METHODS, key=lambda method: method.method)
    wanted = kinds or (RunConfig, *map(run_config_type, methods))
    found: dict[tuple[str, str], Option] = {}
    for option in (option for kind in wanted for option in options_of(kind)):
        found.setdefault((_method(option), option.name), option)
    order = [group.name for group in GROUPS]
    for option in sorted(found.values(), key=lambda option: order.index(option.group)):
        yield _row(option)


def _method(option: Option) -> str:
    """Return the method other than uniform that an option belongs to, or nothing."""
    return option.owner.method if "." in option.name else ""  # type: ignore[attr-defined]


def _row(option: Option) -> OptionRow:
    default = "" if option.default is None else str(option.default)
    if isinstance(option.default, bool):
        default = default.lower()
    flag = option.flag
    if option.hint is bool:
        flag = f"{flag}, --no-{flag.removeprefix('--')}"
    method = _method(option)
    group = f"{option.group}: {method}" if method else option.group
    return OptionRow(group, flag, option.name, described(option.hint), default, option.help)


def markdown(*kinds: type) -> str:
    """Return the options as Markdown: a heading and a table per help group."""
    lines: list[str] = []
    group = ""
    for row in option_table(*kinds):
        if row.group != group:
            group = row.group
            lines += [
                "",
                f"## {group}",
                "",
                "| option | value | default | meaning |",
                "|---|---|---|---|",
            ]
        default = f"`{row.default}`" if row.default else ""
        cells = (f"`{row.flag}`", row.type, default, row.help.replace("|", "\\|"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines[1:]) + "\n"
