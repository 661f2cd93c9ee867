"""How commands print: data to standard output in one of several formats, everything else to standard error."""

from __future__ import annotations

import functools
import io
import json
import re
import sys
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import Any

import click

from tallymark.cli.tables import Table

FORMATS = ("table", "wide", "csv", "json", "jsonl", "yaml", "name")
_TABULAR = frozenset({"table", "wide", "csv"})


def printed(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a printer, and the options that choose it."""

    @click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS, case_sensitive=False),
        help="table (the default), and wide with more columns: aligned on a terminal, else with tabs; csv: with "
        "commas; json, jsonl, yaml: protobuf's JSON mapping; name: the name alone, for other commands.",
    )
    @click.option("--no-headers", is_flag=True, help="Leave the titles of a table out.")
    @click.option(
        "--columns",
        metavar="NAMES",
        default="",
        help="Show these columns of a table, in this order, such as version,stage,metadata.auc,age.",
    )
    @functools.wraps(command)
    def printing(*, output: str | None, no_headers: bool, columns: str, **given: Any) -> None:
        form = output or click.get_current_context().find_root().params.get("output") or "table"
        chosen = tuple(name.strip() for name in columns.split(",") if name.strip())
        if chosen and form not in _TABULAR:
            raise click.UsageError(f"--columns chooses the columns of a table or csv, and does not go with -o {form}")
        command(Printer(form, headers=not no_headers, columns=chosen), **given)

    return printing


class Printer:
    """Prints items in the format that was asked for."""

    def __init__(self, output: str, *, headers: bool = True, columns: tuple[str, ...] = ()) -> None:
        self.output = output
        self._columns = columns
        self._headers = headers

    def one(self, item: Any) -> None:
        """Print an item alone."""
        self._print([item], _document)

    def many(self, items: Iterable[Any], nothing: str = "nothing found") -> None:
        """Print a list that ends: as JSON an array, as YAML a sequence. A terminal shows `nothing` for an empty one."""
        if self.output in {"json", "yaml"}:
            items = [[_document(item) for item in items]]
            self._print(items, lambda documents: documents)
            return
        found = iter(items)
        first = list(islice(found, 1))
        if not first and sys.stdout.isatty():
            click.echo(nothing, err=True)
        self._print(chain(first, found), _document)

    def stream(self, items: Iterable[Any]) -> None:
        """Print each item at once, as it comes: as JSON one object after the other, as YAML one document."""
        self._print(items, _document, streaming=True)

    def _print(self, items: Iterable[Any], document: Callable[[Any], Any], *, streaming: bool = False) -> None:
        texts: Iterable[str]
        match self.output:
            case "json":
                texts = (as_json(document(item), indent=2) for item in items)
            case "jsonl":
                texts = (as_json(document(item)) for item in items)
            case "yaml":
                texts = (as_yaml(document(item), marked=streaming) for item in items)
            case "name":
                texts = (_name(item) for item in items)
            case "csv":
                texts = self._csv(items)
            case _:
                table = Table(wide=self.output == "wide", headers=self._headers, columns=self._columns)
                table.print(iter(items), streaming=streaming)
                return
        for text in texts:
            click.echo(text)

    def _csv(self, items: Iterable[Any]) -> Iterable[str]:
        from tallymark.cli.columns import row, text

        titled = not self._headers
        for item in items:
            cells = row(item, wide=True, chosen=self._columns)
            if not titled:
                titled = True
                yield _csv_line(cells)
            yield _csv_line(text(value, nothing="") for value in cells.values())


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    import csv  # here, since hardly any command needs it

    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _name(item: Any) -> str:
    from tallymark.cli.columns import short_name, text

    return text(short_name(item))


def _document(item: Any) -> Any:
    from tallymark.cli.documents import document

    return document(item)


# What steers a terminal, or turns the direction of what follows; line ends are put there by the format itself.
_UNUSUAL = re.compile(r"[^\n -~]")


def _escaped(found: re.Match[str]) -> str:
    each = found[0]
    if each.isprintable():
        return each
    code = ord(each)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code - 0x10000 & 0x3FF):04x}"


def as_json(value: Any, indent: int | None = None) -> str:
    """Return the value as JSON, whose text shows all it holds: what is not printable is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if text.isascii() and "\x7f" not in text else _UNUSUAL.sub(_escaped, text)


# Text that readers of YAML 1.2 take for a number. PyYAML keeps to 1.1, and would write it without quotes.
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|0o[0-7]+$")


def as_yaml(value: Any, *, marked: bool = False) -> str:
    """Return the value as YAML of both versions; what is not printable is escaped, as in JSON."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """SafeDumper, for readers of both versions of YAML."""

    def quoted(dumper: Dumper, text: str) -> Any:
        plain = text.replace("\n", "").isprintable()
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')

    Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
    Dumper.add_representer(str, quoted)
    text = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, explicit_start=marked)
    return _UNUSUAL.sub(_escaped_in_yaml, text.removesuffix("\n"))


def _escaped_in_yaml(found: re.Match[str]) -> str:
    each = found[0]
    return each if each.isprintable() else f"\\U{ord(each):08x}" if ord(each) > 0xFFFF else f"\\u{ord(each):04x}"
