"""Extension of griffe: doctests in fences, as Markdown would take them for quotes."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

DOCTEST = re.compile(r"^( *)>>> .*(?:\n(?! *(?:\"\"\")?$).*)*", re.MULTILINE)


class DoctestBlocks(Extension):
    """Fences around every doctest."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Put fences around the doctests of an object's docstring."""
        if obj.docstring is not None:
            fenced = r"\1```pycon\n\g<0>\n\1```"
            obj.docstring.value = DOCTEST.sub(fenced, obj.docstring.value)
