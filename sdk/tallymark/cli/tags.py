"""`tallymark tag`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from tallymark.cli import options
from tallymark.cli.client_context import with_client
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer
from tallymark.errors import Conflict
from tallymark.types.references import means_version

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.types.resources import ModelInfo, ModelVersion

# The number of attempts, since another client may change the tags between reading and writing.
_ATTEMPTS = 5
_tags = click.argument("tags", metavar="TAG...", nargs=-1, required=True)


@click.group(cls=Noun)
def tag() -> None:
    """Tags of models and versions: labels without values.

    MODEL alone means the model itself, and MODEL/latest its latest version.
    """


@tag.command("set")
@options.reference
@_tags
@with_client
def set_tags(client: Client, printer: Printer, reference: str, tags: tuple[str, ...]) -> None:
    """Add tags to a model or to a version."""
    printer.one(change_tags(client, reference, lambda present: present | set(tags)))


@tag.command("unset")
@options.reference
@_tags
@with_client
def unset_tags(client: Client, printer: Printer, reference: str, tags: tuple[str, ...]) -> None:
    """Remove tags of a model or of a version. A missing tag is not an error."""
    printer.one(change_tags(client, reference, lambda present: present - set(tags)))


def change_tags(client: Client, reference: str, change: Callable[[set[str]], set[str]]) -> ModelInfo | ModelVersion:
    """Change the tags of a model or a version, without losing changes of others. Raises Conflict after 5 attempts."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _try_change(client, reference, change)
        except Conflict:
            continue
    return _try_change(client, reference, change)


def _try_change(client: Client, reference: str, change: Callable[[set[str]], set[str]]) -> ModelInfo | ModelVersion:
    if means_version(reference):
        version = client.get_version(reference)
        return client.update_version(version.resource_name, tags=sorted(change(set(version.tags))), etag=version.etag)
    model = client.get_model(reference)
    return client.update_model(model.name, tags=sorted(change(set(model.tags))), etag=model.etag)
