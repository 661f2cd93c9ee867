"""Finding a run by its id, or by a prefix of it, since a terminal may show only the beginning of an id."""

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

_ID_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,100}")


def find_run(client: Client, name: str, at: int | datetime | None = None) -> Run:
    """Return the run of that id, or the only one with that prefix. Raises RunNotFound, click.UsageError."""
    prefix = name.rstrip("…~")
    try:
        return client.get_run(prefix, at=at)
    except RunNotFound:
        if not _ID_PREFIX.fullmatch(prefix):
            raise
        runs = list(islice(client.list_runs(filter=f'run = "{prefix}*"', at=at), 6))
        if not runs:
            raise
        if len(runs) > 1:
            ids = ", ".join(run.id for run in runs[:5]) + (", ..." if len(runs) > 5 else "")
            raise click.UsageError(f"several runs begin with {prefix!r}: {ids}; give more of the id") from None
        return runs[0]
