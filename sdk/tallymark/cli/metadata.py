"""`tallymark metadata`, and how the command line says typed values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import asks
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer
from tallymark.errors import NotFound
from tallymark.types.enums import Uri

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


def plain(value: str) -> object:
    """What a value is that says it by its form: a number, true or false as JSON writes them, and otherwise text."""
    try:
        found = from_json(value)
        return found if isinstance(found, bool | int | float) and math.isfinite(found) else value
    except (ValueError, OverflowError):
        return value


def from_json(value: str) -> object:
    """What the JSON says; ValueError."""
    try:
        return json.loads(value, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _time(value: str) -> datetime:
    """The time, in UTC unless it says otherwise; ValueError."""
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _refuse(word: str) -> None:
    """Python's reader takes NaN and Infinity for numbers, and JSON does not."""
    raise ValueError(f"{word} is not JSON")


def _pair(form: str, read: Callable[[str], object], example: str) -> Callable[[str], tuple[str, object]]:
    """A reader of KEY=VALUE with a reader for the value, as a type of click."""

    def pair(given: str) -> tuple[str, object]:
        key, _, value = given.partition("=")
        if not key or "=" not in given:
            raise click.BadParameter(f"{given!r} is not {form}, such as {example}")
        try:
            return key, read(value)
        except ValueError as error:
            raise click.BadParameter(f"{given!r} is not {form}, such as {example}: {error}") from None

    return pair


PLAIN = _pair("KEY=VALUE", plain, "auc=0.91")

_FORMS: tuple[tuple[str, Callable[[str], object], str, str], ...] = (
    ("text", str, "commit=12e5", "Text as it stands, though it looks like a number."),
    ("json", from_json, "layers=[64,32]", "Any JSON: lists and objects too."),
    ("uri", Uri, "data=s3://bucket/train.parquet", "A reference to something elsewhere."),
    ("time", _time, "trained=2026-01-31T12:00:00Z", "A moment, in UTC unless it says otherwise."),
)


@click.group(cls=Noun)
def metadata() -> None:
    """Typed facts about versions."""


def _typed(command: Any) -> Any:
    for name, read, example, about in reversed(_FORMS):
        form = f"KEY={name.upper()}"
        pair = _pair(form, read, example)
        option = click.option(f"--{name}", f"{name}_pairs", type=pair, multiple=True, metavar=form, help=about)
        command = option(command)
    return command


@metadata.command("set")
@options.reference
@click.argument("pairs", type=PLAIN, metavar="[KEY=VALUE]...", nargs=-1)
@_typed
@asks
def set_metadata(
    client: Client,
    printer: Printer,
    reference: str,
    pairs: tuple[tuple[str, object], ...],
    **typed: tuple[tuple[str, object], ...],
) -> None:
    """Set metadata of a version by key.

    A VALUE that is a number, true or false in JSON is that, and any other is text. The options say otherwise; each may
    be given several times.
    """
    given = [pair for some in (pairs, *typed.values()) for pair in some]
    if not given:
        raise click.UsageError("give KEY=VALUE, such as auc=0.91")
    if len(dict(given)) < len(given):
        raise click.UsageError("each key can be set once")
    printer.one(client.log_metadata(reference, dict(given)))


@metadata.command("unset")
@options.reference
@click.argument("keys", metavar="KEY...", nargs=-1, required=True, shell_complete=completers.metadata_keys)
@asks
def unset_metadata(client: Client, printer: Printer, reference: str, keys: tuple[str, ...]) -> None:
    """Take metadata of a version away. A key that is not there is no error."""
    printer.one(client.log_metadata(reference, {}, delete_keys=keys))


@metadata.command("get")
@options.reference
@click.argument("keys", nargs=-1, metavar="[KEY]...", shell_complete=completers.metadata_keys)
@options.at
@asks
def get_metadata(
    client: Client, printer: Printer, reference: str, keys: tuple[str, ...], at: int | datetime | None
) -> None:
    """Print metadata of a version, all or by key."""
    from tallymark.cli.columns import compact
    from tallymark.cli.documents import as_plain

    version = client.get_version(reference, at=at)
    if missing := [key for key in keys if key not in version.metadata]:
        known = ", ".join(sorted(version.metadata)) or "none"
        raise NotFound(f"{version.model}/{version.number} has no metadata {', '.join(missing)}; it has {known}")
    found = {key: version.metadata[key] for key in keys or sorted(version.metadata)}
    if printer.output in {"json", "yaml"}:
        printer.one({key: as_plain(value) for key, value in found.items()})
        return
    rows = [{"key": key, "value": compact(value)} for key, value in found.items()]
    printer.many(rows, f"no metadata in {version.model}/{version.number}")


@metadata.command("points")
@options.reference
@click.argument("keys", nargs=-1, metavar="[KEY]...", shell_complete=completers.metadata_keys)
@options.at
@options.limit
@asks
def list_points(
    client: Client,
    printer: Printer,
    reference: str,
    keys: tuple[str, ...],
    at: int | datetime | None,
    limit: int | None,
) -> None:
    """List the points of a version's metrics, by metric and step."""
    printer.many(islice(client.list_metrics(reference, *keys, at=at), limit), f"no points of metrics in {reference}")
