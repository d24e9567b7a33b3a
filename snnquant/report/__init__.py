"""What a run measured, beside what was published: tables for the terminal, a page to keep."""

from snnquant.report.conversion import print_conversion
from snnquant.report.maps import write_map
from snnquant.report.page import write_html
from snnquant.report.terminal import print_table

__all__ = ["print_conversion", "print_table", "write_html", "write_map"]
