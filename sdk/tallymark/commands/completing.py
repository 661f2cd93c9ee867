"""What a shell may complete that only the service knows: names of models, numbers of versions, ids of runs.

A service that does not answer within a second completes nothing: a key press is not the moment for an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark.commands.asking import Target, client_of
from tallymark.errors import TallymarkError

if TYPE_CHECKING:
    from tallymark.client import Client

_MOST = 100
_PATIENCE = 1.0


def models(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """The models whose names begin so."""
    return _found(context, typed, lambda client: (model.name for model in client.list_models()))


def references(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """The models whose names begin so; after a slash, the newest versions."""
    model, slash, _ = typed.partition("/")
    if not slash:
        return models(context, parameter, typed)
    return _found(
        context, typed, lambda client: (f"{model}/{version.number}" for version in client.list_versions(model))
    )


def runs(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """The newest runs whose ids begin so."""
    return _found(context, typed, lambda client: (run.id for run in client.list_runs()))


def _found(context: click.Context, typed: str, names: Callable[[Client], Iterable[str]]) -> list[str]:
    given = context.find_root().params
    try:
        settings = Target(given.get("url"), given.get("project"), _PATIENCE).settings()
        with context.scope(cleanup=False):
            return list(islice((name for name in names(client_of(settings)) if name.startswith(typed)), _MOST))
    except TallymarkError:
        return []
