"""Pareto search over the options of a run, with the real training in the loop."""

from snnquant.search.front import Choice, Front, FrontEntry, Rung
from snnquant.search.space import Candidate, Space, make_space, read_axes
from snnquant.search.stepwise import Search, search

__all__ = [
    "Candidate",
    "Choice",
    "Front",
    "FrontEntry",
    "Rung",
    "Search",
    "Space",
    "make_space",
    "read_axes",
    "search",
]
