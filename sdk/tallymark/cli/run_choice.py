"""Which run is meant: by its id, or by a beginning of it, as a terminal shows ids that are too long for it."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark.errors import RunNotFound

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.types.resources import Run

_BEGINNING = re.compile(r"[A-Za-z0-9._-]{1,100}")


def found_run(client: Client, name: str, at: int | datetime | None = None) -> Run:
    """Return the run of that id, or the only one whose id begins so. Raises RunNotFound, click.UsageError."""
    beginning = name.rstrip("…~")
    try:
        return client.get_run(beginning, at=at)
    except RunNotFound:
        if not _BEGINNING.fullmatch(beginning):
            raise
        found = list(islice(client.list_runs(filter=f'run = "{beginning}*"', at=at), 6))
        if not found:
            raise
        if len(found) > 1:
            ids = ", ".join(run.id for run in found[:5]) + (", ..." if len(found) > 5 else "")
            raise click.UsageError(f"several runs begin with {beginning!r}: {ids}; give more of the id") from None
        return found[0]
