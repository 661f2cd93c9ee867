"""Convert docstrings to reStructuredText: indented text is code, and maps of modules, for developers, are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HEADING = re.compile(r"(Args|Raises|Returns|Yields|Attributes):$")
_MAP = re.compile(r"[\w/]+ {2,}\S")
# Escaped, since reStructuredText takes a word that ends with an underscore for a reference.
_TRAILING_UNDERSCORE = re.compile(r"(?<![`\w])(\w+)_(?![\w`])")


def converted(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a docstring in reStructuredText."""
    before, code, blank = "", False, True
    for line in lines:
        indented = line.startswith("    ")
        if line.strip():
            code = indented and (
                code or (blank and not before.startswith(("-", "    ")) and not _HEADING.match(before))
            )
            if code and not before.startswith("    "):
                yield from (".. code-block:: python", "")
            if _MAP.match(line):
                continue
            before = line
        blank = not line.strip()
        yield line if code else _TRAILING_UNDERSCORE.sub(r"\1\\_", line)


def process(_app: object, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Replace the lines of a docstring in place, as autodoc expects."""
    lines[:] = list(converted(lines))
