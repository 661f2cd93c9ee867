"""The width and the colours of the terminal, and text without control characters."""

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
    """Return whether standard output is a terminal with colours, and NO_COLOR is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width_of_terminal() -> int | None:
    """Return the columns of the terminal, or COLUMNS; None if standard output is not a terminal."""
    # Imported here, since it imports all compression modules of the standard library.
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def coloured(cell: str) -> str:
    """Return a stage or a state in its colour, and any other text unchanged."""
    return click.style(cell, fg=_COLOURS[cell]) if cell in _COLOURS else cell


def printable(text: str) -> str:
    """Return the text with all that is not printable escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def columns_of(text: str) -> int:
    """Return the number of columns that the text takes on a terminal."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)
