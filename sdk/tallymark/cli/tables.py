"""Tables: aligned and fitted to the width of a terminal, or with tabs between cells for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import click

from tallymark.cli.terminal import coloured, columns_of, is_coloured, width_of_terminal

# The rows that are aligned with each other before they are printed: more than a screen, and little to wait for.
_BATCH = 500
# Columns that are never cut.
_NEVER_CUT = frozenset({"KIND", "STAGE", "STATE", "RUN_STATE"})
_GAP = 2
# No cell is cut to less than this width, or than its title.
_MIN_WIDTH = 7


class Table:
    """Prints rows under the titles of their columns."""

    def __init__(self, *, wide: bool, headers: bool, columns: tuple[str, ...] = ()) -> None:
        self._wide = wide
        self._headers = headers
        self._chosen = columns
        self._room = width_of_terminal()
        self._coloured = is_coloured()
        self._ellipsis = "…" if "utf" in (sys.stdout.encoding or "").lower() else "~"
        self._widths: list[int] = []

    def print(self, items: Iterator[Any], *, streaming: bool) -> None:
        """Print the items: each as it arrives when streaming, else in batches that are aligned."""
        from tallymark.cli.columns import row, text

        format_time = self._time_format(streaming=streaming)
        while rows := [
            row(item, wide=self._wide, chosen=self._chosen) for item in islice(items, 1 if streaming else _BATCH)
        ]:
            lines = [[text(value, format_time) for value in cells.values()] for cells in rows]
            titles = list(rows[0])
            if self._headers:
                lines.insert(0, titles)
                self._headers = False
            self._fit(lines, titles)
            for line in lines:
                click.echo(self._line(line), color=self._coloured)

    def _time_format(self, *, streaming: bool) -> Callable[[datetime], str]:
        """Return how to print times: in UTC for programs; for people as ages, or as local times when streaming."""
        from tallymark.cli import columns, times

        if self._room is None:
            return columns.in_utc
        return times.local if self._wide or streaming else times.age

    def _fit(self, lines: list[list[str]], titles: list[str]) -> None:
        """Set the widths of the columns. They only grow, so that batches stay aligned if possible.

        If the terminal is too narrow, the widest of the columns that may be cut are narrowed.
        """
        widths = self._widths or [0] * len(lines[0])
        widths = [
            max(width, *map(columns_of, cells)) for width, cells in zip(widths, zip(*lines, strict=True), strict=True)
        ]
        if self._room is not None and not self._wide:
            minimums = [max(_MIN_WIDTH, columns_of(title)) for title in titles]
            for indexes in _columns_to_cut(titles):
                _narrow(widths, indexes, minimums, self._room)
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
        return cell + self._ellipsis


def _columns_to_cut(titles: list[str]) -> list[list[int]]:
    """Return the indexes of columns that may be cut, grouped in the order in which they are cut.

    Ids of runs come first, since a prefix is enough to find a run. The first column has the names of the rows: it is
    cut last if these are runs, and else never.
    """
    runs = [index for index, title in enumerate(titles) if title == "RUN"]
    others = [index for index, title in enumerate(titles) if index and title not in {*_NEVER_CUT, "RUN"}]
    return [[index for index in runs if index], others, [index for index in runs if not index]]


def _narrow(widths: list[int], indexes: list[int], minimums: list[int], room: int) -> None:
    """Narrow the widest of these columns until all fit, or none of them can be cut further."""
    while sum(widths) + _GAP * (len(widths) - 1) > room:
        candidates = (index for index in indexes if widths[index] > minimums[index])
        widest = max(candidates, key=widths.__getitem__, default=None)
        if widest is None:
            return
        widths[widest] -= 1
