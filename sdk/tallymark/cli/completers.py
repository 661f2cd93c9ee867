"""What a shell may complete that only the service knows: names of models, versions, runs, keys, artifacts, projects.

A service that does not answer within a second completes nothing: a key press is not the moment for an error. Names that
a shell would read as more than a word are not offered either: who names a model has no say over another's shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from tallymark.cli.client_context import Target, client_of
from tallymark.errors import TallymarkError

if TYPE_CHECKING:
    from tallymark.client.blocking import Client

_MOST = 100
_PATIENCE = 1.0
_SAFE = re.compile(r"[A-Za-z0-9._/@=:+][A-Za-z0-9._/@=:+-]*")


def models(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the models whose names begin so."""
    return _found(context, typed, lambda client: (model.name for model in client.list_models()))


def references(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the models whose names begin so; after a slash their newest versions, after an @ stages and aliases."""
    if "/" in typed:
        model = typed.partition("/")[0]
        return _found(
            context, typed, lambda client: (f"{model}/{version.number}" for version in client.list_versions(model))
        )
    model, at, _ = typed.partition("@")
    if not at:
        return models(context, parameter, typed)
    return _found(context, typed, lambda client: (f"{model}@{place}" for place in _places(client, model)))


def _places(client: Client, model: str) -> Iterator[str]:
    """Yield the stages and aliases of a model that have a version."""
    found = client.get_model(model)
    yield from [stage for stage in ("production", "staging") if getattr(found, f"{stage}_number")]
    yield from sorted(found.aliases)


def runs(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the newest runs whose ids begin so."""
    return _found(context, typed, lambda client: (run.id for run in client.list_runs()))


def things(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return what can be described: models, versions and runs."""
    found = references(context, parameter, typed)
    return found if "/" in typed or "@" in typed else [*found, *runs(context, parameter, typed)]


def metadata_keys(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the keys of the metadata of the version that is named before."""
    return _found(context, typed, lambda client: sorted(client.get_version(context.params["reference"]).metadata))


def artifacts(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the artifacts of the version that is named before."""
    return _found(
        context,
        typed,
        lambda client: dict.fromkeys(each.name for each in client.list_artifacts(context.params["reference"])),
    )


def projects(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the projects whose names begin so."""
    return _found(context, typed, lambda client: (each.name for each in client.list_projects()))


def contexts(_: click.Context, __: click.Parameter, typed: str) -> list[str]:
    """Return the contexts whose names begin so."""
    from tallymark import contexts as kept

    try:
        return _safe(kept.read().by_name, typed)
    except TallymarkError:
        return []


def _found(context: click.Context, typed: str, names: Callable[[Client], Iterable[str]]) -> list[str]:
    given = context.find_root().params
    try:
        settings = Target(given.get("url"), given.get("project"), _PATIENCE, given.get("context")).settings()
        with context.scope(cleanup=False):
            return _safe(names(client_of(settings)), typed)
    except (TallymarkError, KeyError, TypeError):
        return []


def _safe(names: Iterable[str], typed: str) -> list[str]:
    """Return the names that begin so and that every shell reads as one plain word."""
    return list(islice((name for name in names if name.startswith(typed) and _SAFE.fullmatch(name)), _MOST))
