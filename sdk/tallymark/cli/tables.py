"""Rows with titles: aligned and fitted to its width on a terminal, with a tab between cells for a program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import click

from tallymark.cli.terminal import coloured, columns_of, is_coloured, width_of_terminal

# Rows that are aligned with each other before they are printed: a screen or more, and little to wait for.
_BATCH = 500
# Columns of words that must be read whole.
_WHOLE = frozenset({"KIND", "STAGE", "STATE", "RUN_STATE"})
_GAP = 2
# A cell is cut down to so much at least, and to its title: less says nothing.
_LEAST = 7


class Table:
    """Prints rows under their titles."""

    def __init__(self, *, wide: bool, headers: bool, columns: tuple[str, ...] = ()) -> None:
        self._wide = wide
        self._headers = headers
        self._chosen = columns
        self._room = width_of_terminal()
        self._coloured = is_coloured()
        self._more = "…" if "utf" in (sys.stdout.encoding or "").lower() else "~"
        self._widths: list[int] = []

    def print(self, items: Iterator[Any], *, streaming: bool) -> None:
        """Print the items: as they come when streaming, else a screen or more at once."""
        from tallymark.cli.columns import row, text

        written = self._moments(streaming=streaming)
        while rows := [
            row(item, wide=self._wide, chosen=self._chosen) for item in islice(items, 1 if streaming else _BATCH)
        ]:
            lines = [[text(value, written) for value in cells.values()] for cells in rows]
            titles = list(rows[0])
            if self._headers:
                lines.insert(0, titles)
                self._headers = False
            self._fit(lines, titles)
            for line in lines:
                click.echo(self._line(line), color=self._coloured)

    def _moments(self, *, streaming: bool) -> Callable[[datetime], str]:
        """How moments are written: UTC for programs; for people their age, or local where it would not stay true."""
        from tallymark.cli import columns, times

        if self._room is None:
            return columns.in_utc
        return times.local if self._wide or streaming else times.age

    def _fit(self, lines: list[list[str]], titles: list[str]) -> None:
        """Set the widths: columns only become wider, so that batches stay in line where they can.

        Where the terminal has no room for all, the widest of those columns that may be cut give way.
        """
        widths = self._widths or [0] * len(lines[0])
        widths = [
            max(width, *map(columns_of, cells)) for width, cells in zip(widths, zip(*lines, strict=True), strict=True)
        ]
        if self._room is not None and not self._wide:
            least = [max(_LEAST, columns_of(title)) for title in titles]
            for places in _yielding(titles):
                _narrow(widths, places, least, self._room)
        self._widths = widths

    def _line(self, line: list[str]) -> str:
        if self._room is None:
            return "\t".join(line)
        shown = [self._cut(cell, width) for cell, width in zip(line, self._widths, strict=True)]
        padding = [" " * (width - columns_of(cell)) for cell, width in zip(shown, self._widths, strict=True)]
        styled = [coloured(cell) if self._coloured else cell for cell in shown]
        return (" " * _GAP).join(map("".join, zip(styled, padding, strict=True))).rstrip()

    def _cut(self, cell: str, width: int) -> str:
        if self._wide or columns_of(cell) <= width:
            return cell
        while columns_of(cell) > width - 1:
            cell = cell[:-1]
        return cell + self._more


def _yielding(titles: list[str]) -> list[list[int]]:
    """Return the columns that may be cut, in the order in which they are: ids of runs, which are found by a beginning.

    What other rows are called by is never cut, and what runs are called by only at last.
    """
    runs = [place for place, title in enumerate(titles) if title == "RUN"]
    others = [place for place, title in enumerate(titles) if place and title not in {*_WHOLE, "RUN"}]
    return [[place for place in runs if place], others, [place for place in runs if not place]]


def _narrow(widths: list[int], places: list[int], least: list[int], room: int) -> None:
    """Narrow the widest of these columns until all have room, or none of them can be cut further."""
    while sum(widths) + _GAP * (len(widths) - 1) > room:
        widest = max((place for place in places if widths[place] > least[place]), key=widths.__getitem__, default=None)
        if widest is None:
            return
        widths[widest] -= 1
