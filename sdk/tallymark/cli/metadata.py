"""`tallymark metadata`, and how typed values are written on the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import with_client
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer
from tallymark.errors import NotFound
from tallymark.types.enums import Uri

if TYPE_CHECKING:
    from tallymark.client.blocking import Client


def parse_plain(value: str) -> object:
    """Return a number, true or false in JSON as that, and anything else as text."""
    try:
        parsed = parse_json(value)
        return parsed if isinstance(parsed, bool | int | float) and math.isfinite(parsed) else value
    except (ValueError, OverflowError):
        return value


def parse_json(value: str) -> object:
    """Return the value of a JSON text. Raises ValueError."""
    try:
        return json.loads(value, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _parse_time(value: str) -> datetime:
    """Return the time, in UTC unless it names another zone. Raises ValueError."""
    parsed = datetime.fromisoformat(value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _refuse_constant(word: str) -> None:
    """Raise ValueError for NaN and Infinity, which Python's parser accepts although they are not JSON."""
    raise ValueError(f"{word} is not JSON")


def _pair_type(form: str, parse: Callable[[str], object], example: str) -> Callable[[str], tuple[str, object]]:
    """Return a click type for KEY=VALUE, which parses the value by this function."""

    def parse_pair(given: str) -> tuple[str, object]:
        key, _, value = given.partition("=")
        if not key or "=" not in given:
            raise click.BadParameter(f"{given!r} is not {form}, such as {example}")
        try:
            return key, parse(value)
        except ValueError as error:
            raise click.BadParameter(f"{given!r} is not {form}, such as {example}: {error}") from None

    return parse_pair


KEY_VALUE = _pair_type("KEY=VALUE", parse_plain, "auc=0.91")

_TYPED_OPTIONS: tuple[tuple[str, Callable[[str], object], str, str], ...] = (
    ("text", str, "commit=12e5", "Text, even if it looks like a number."),
    ("json", parse_json, "layers=[64,32]", "Any JSON, such as lists and objects."),
    ("uri", Uri, "data=s3://bucket/train.parquet", "A reference to something elsewhere."),
    ("time", _parse_time, "trained=2026-01-31T12:00:00Z", "A time, in UTC unless it names another zone."),
)


@click.group(cls=Noun)
def metadata() -> None:
    """Metadata of versions: typed values by key."""


def _typed_options(command: Any) -> Any:
    for name, parse, example, about in reversed(_TYPED_OPTIONS):
        form = f"KEY={name.upper()}"
        pair_type = _pair_type(form, parse, example)
        option = click.option(f"--{name}", f"{name}_pairs", type=pair_type, multiple=True, metavar=form, help=about)
        command = option(command)
    return command


@metadata.command("set")
@options.reference
@click.argument("pairs", type=KEY_VALUE, metavar="[KEY=VALUE]...", nargs=-1)
@_typed_options
@with_client
def set_metadata(
    client: Client,
    printer: Printer,
    reference: str,
    pairs: tuple[tuple[str, object], ...],
    **typed: tuple[tuple[str, object], ...],
) -> None:
    """Set metadata of a version by key.

    A VALUE that is a number, true or false in JSON is recorded as that, any other as text. The options are for other
    types; each may be given several times.
    """
    given = [pair for some in (pairs, *typed.values()) for pair in some]
    if not given:
        raise click.UsageError("set at least one KEY=VALUE, such as auc=0.91")
    if len(dict(given)) < len(given):
        raise click.UsageError("set each key once")
    printer.one(client.log_metadata(reference, dict(given)))


@metadata.command("unset")
@options.reference
@click.argument("keys", metavar="KEY...", nargs=-1, required=True, shell_complete=completers.metadata_keys)
@with_client
def unset_metadata(client: Client, printer: Printer, reference: str, keys: tuple[str, ...]) -> None:
    """Delete metadata of a version. A missing key is not an error."""
    printer.one(client.log_metadata(reference, {}, delete_keys=keys))


@metadata.command("get")
@options.reference
@click.argument("keys", nargs=-1, metavar="[KEY]...", shell_complete=completers.metadata_keys)
@options.at
@with_client
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
@with_client
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
