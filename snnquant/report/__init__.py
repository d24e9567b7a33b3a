"""Measurements of a run: typed metrics, tables for the terminal, maps, and a page to keep."""

from snnquant.report.conversion_tables import print_conversion
from snnquant.report.maps import write_map
from snnquant.report.page import write_html
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.terminal import next_steps, print_table
from snnquant.report.value_maps import write_values

__all__ = [
    "RunMetrics",
    "next_steps",
    "print_conversion",
    "print_table",
    "write_html",
    "write_map",
    "write_values",
]
