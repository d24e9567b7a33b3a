"""Files written whole, exit codes, optional libraries: the tools of `pim_sim.io`."""

from pim_sim.io import exit_codes, one_line, remove_leftovers, replacing, require_extra, write_json

__all__ = ["exit_codes", "one_line", "remove_leftovers", "replacing", "require_extra", "write_json"]
