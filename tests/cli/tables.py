"""Tables as commands print them for a program."""

from __future__ import annotations


def rows(table: str) -> list[dict[str, str]]:
    """Parse a table, printed for a program, as rows by title."""
    titles, *lines = [line.split("\t") for line in table.splitlines()]
    return [dict(zip(titles, line, strict=True)) for line in lines]


def column(table: str, title: str) -> list[str]:
    return [row[title] for row in rows(table)]
