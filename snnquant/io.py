"""Files written whole, errors on one line, optional libraries: the tools of `pim_sim.io`."""

from pim_sim.io import one_line, remove_leftovers, replacing, require_extra, write_json

__all__ = ["one_line", "remove_leftovers", "replacing", "require_extra", "write_json"]
