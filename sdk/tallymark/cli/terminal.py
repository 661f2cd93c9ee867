"""What the terminal can show: its width, its colours, and text that does not steer it."""

from __future__ import annotations

import os
import sys
import unicodedata

import click

_COLOURS = {
    "production": "green",
    "succeeded": "green",
    "staging": "yellow",
    "running": "yellow",
    "archived": "bright_black",
    "deleted": "red",
    "failed": "red",
    "lost": "red",
}


def is_coloured() -> bool:
    """Whether standard output is a terminal that has colours, and whose owner wants them."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width_of_terminal() -> int | None:
    """Return the columns of the terminal that shows standard output, or COLUMNS; None for what is no terminal."""
    # Imported here, since it brings every compression of the standard library along.
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def coloured(cell: str) -> str:
    """Return a stage or a state in its colour, and any other text as it is."""
    return click.style(cell, fg=_COLOURS[cell]) if cell in _COLOURS else cell


def printable(text: str) -> str:
    """Return the text with everything escaped that is not printable."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def columns_of(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)
