"""Print every option of a run as Markdown: `python -m snnquant.config`."""

from snnquant.config.option_rows import markdown

print(markdown(), end="")
