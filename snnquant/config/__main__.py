"""Print every option of a run as Markdown: `python -m snnquant.config`."""

from snnquant.config.table import markdown

print(markdown(), end="")
