"""How commands print: data to standard output in one of several formats, everything else to standard error."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import click

FORMATS = ("table", "wide", "json", "jsonl", "yaml", "name")

# Rows that are aligned with each other before they are printed: a screen or more, and little to wait for.
_BATCH = 500
_COLOURS = {
    "production": "green",
    "succeeded": "green",
    "staging": "yellow",
    "running": "yellow",
    "archived": "bright_black",
    "deleted": "red",
    "failed": "red",
}


def printed(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a printer, and the options that choose it."""

    @click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="table and wide: aligned on a terminal, else with tabs; json, jsonl, yaml: as protobuf's JSON has it; "
        "name: what to call it by.",
    )
    @click.option("--no-headers", is_flag=True, help="Leave the titles of a table out.")
    @functools.wraps(command)
    def printing(*, output: str, no_headers: bool, **given: Any) -> None:
        command(Printer(output, headers=not no_headers), **given)

    return printing


class Printer:
    """Prints items in the format that was asked for."""

    def __init__(self, output: str, *, headers: bool = True) -> None:
        self._output = output
        self._table = _Table(wide=output == "wide", headers=headers)

    def one(self, item: Any) -> None:
        """Print an item alone."""
        self._print([item], _document)

    def many(self, items: Iterable[Any]) -> None:
        """Print a list that ends: as JSON an array, as YAML a sequence."""
        if self._output in {"json", "yaml"}:
            items = [[_document(item) for item in items]]
            self._print(items, lambda documents: documents)
        else:
            self._print(items, _document)

    def stream(self, items: Iterable[Any]) -> None:
        """Print each item at once, as it comes: as JSON one object after the other, as YAML one document."""
        self._print(items, _document, batch=1)

    def _print(self, items: Iterable[Any], document: Callable[[Any], Any], batch: int = _BATCH) -> None:
        match self._output:
            case "json":
                texts = (_json(document(item), indent=2) for item in items)
            case "jsonl":
                texts = (_json(document(item)) for item in items)
            case "yaml":
                texts = (_yaml(document(item), marked=batch == 1) for item in items)
            case "name":
                texts = (_name(item) for item in items)
            case _:
                self._table.print(iter(items), batch)
                return
        for text in texts:
            click.echo(text)


class _Table:
    """Rows with a header: aligned on a terminal, with a tab between cells for a program."""

    def __init__(self, *, wide: bool, headers: bool) -> None:
        self._wide = wide
        self._headers = headers
        self._terminal = sys.stdout.isatty()
        self._coloured = self._terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._widths: list[int] = []

    def print(self, items: Iterator[Any], batch: int) -> None:
        """Print the items, so many at once."""
        from tallymark.commands.columns import cells

        while rows := [cells(item, wide=self._wide) for item in islice(items, batch)]:
            lines = [list(row.values()) for row in rows]
            if self._headers:
                lines.insert(0, list(rows[0]))
                self._headers = False
            self._fit(lines)
            for line in lines:
                click.echo(self._line(line), color=self._coloured)

    def _fit(self, lines: list[list[str]]) -> None:
        """Columns only become wider, so that batches stay in line where they can."""
        widths = self._widths or [0] * len(lines[0])
        self._widths = [
            max(width, *map(_columns, cells)) for width, cells in zip(widths, zip(*lines, strict=True), strict=True)
        ]

    def _line(self, line: list[str]) -> str:
        if not self._terminal:
            return "\t".join(line)
        padding = [" " * (width - _columns(cell)) for cell, width in zip(line, self._widths, strict=True)]
        styled = [
            click.style(cell, fg=_COLOURS[cell]) if self._coloured and cell in _COLOURS else cell for cell in line
        ]
        return "  ".join(map("".join, zip(styled, padding, strict=True))).rstrip()


def _columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)


def _name(item: Any) -> str:
    from tallymark.commands.columns import short_name

    return short_name(item)


def _document(item: Any) -> Any:
    from tallymark.commands.documents import document

    return document(item)


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


# Text that readers of YAML 1.2 take for a number. PyYAML keeps to 1.1, and would write it without quotes.
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|0o[0-7]+$")


def _yaml(value: Any, *, marked: bool) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """SafeDumper, for readers of both versions of YAML."""

    Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
    text = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, explicit_start=marked)
    return text.removesuffix("\n")
