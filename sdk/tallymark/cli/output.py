"""The formats in which commands print data to standard output; everything else goes to standard error."""

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


def with_printer(command: Callable[..., None]) -> Callable[..., None]:
    """Pass the command a printer, its first argument, and add the options that configure it."""

    @click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS, case_sensitive=False),
        help="table (the default), or wide with more columns: aligned on a terminal, else with tabs; csv: with "
        "commas; json, jsonl, yaml: protobuf's JSON mapping; name: only the name, for other commands.",
    )
    @click.option("--no-headers", is_flag=True, help="Print no titles of columns.")
    @click.option(
        "--columns",
        metavar="NAMES",
        default="",
        help="Show these columns of a table, in this order, such as version,stage,metadata.auc,age.",
    )
    @functools.wraps(command)
    def wrapper(*, output: str | None, no_headers: bool, columns: str, **given: Any) -> None:
        form = output or click.get_current_context().find_root().params.get("output") or "table"
        chosen = tuple(name.strip() for name in columns.split(",") if name.strip())
        if chosen and form not in _TABULAR:
            raise click.UsageError(f"--columns chooses the columns of a table or csv, and does not go with -o {form}")
        command(Printer(form, headers=not no_headers, columns=chosen), **given)

    return wrapper


class Printer:
    """Prints items in one of the formats."""

    def __init__(self, output: str, *, headers: bool = True, columns: tuple[str, ...] = ()) -> None:
        self.output = output
        self._columns = columns
        self._headers = headers

    def one(self, item: Any) -> None:
        """Print one item."""
        self._print([item], _document)

    def many(self, items: Iterable[Any], if_empty: str = "nothing found") -> None:
        """Print a list, as an array in JSON and a sequence in YAML; on a terminal, `if_empty` for an empty one."""
        if self.output in {"json", "yaml"}:
            items = [[_document(item) for item in items]]
            self._print(items, lambda documents: documents)
            return
        remaining = iter(items)
        first = list(islice(remaining, 1))
        if not first and sys.stdout.isatty():
            click.echo(if_empty, err=True)
        self._print(chain(first, remaining), _document)

    def stream(self, items: Iterable[Any]) -> None:
        """Print each item as it arrives, as an object in JSON and a document in YAML."""
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
            yield _csv_line(text(value, empty="") for value in cells.values())


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    import csv  # lazily, since hardly any command needs it

    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _name(item: Any) -> str:
    from tallymark.cli.columns import short_name, text

    return text(short_name(item))


def _document(item: Any) -> Any:
    from tallymark.cli.documents import document

    return document(item)


# Characters that may be control characters or change the direction of text. The format itself writes line ends.
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
    """Return the value as JSON, with all that is not printable escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if text.isascii() and "\x7f" not in text else _UNUSUAL.sub(_escaped, text)


# Text that YAML 1.2 reads as a number. PyYAML implements 1.1, and would write it without quotes.
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|0o[0-7]+$")


def as_yaml(value: Any, *, marked: bool = False) -> str:
    """Return the value as YAML for readers of 1.1 and 1.2, with all that is not printable escaped."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """SafeDumper, for readers of YAML 1.1 and 1.2."""

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
