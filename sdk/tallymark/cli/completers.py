"""Completion of names that the service knows: of models, versions, runs, keys, artifacts and projects.

If the service does not answer within a second, nothing is completed and no error is shown. Names that a shell would not
read as one plain word are left out, since anyone who names a model could otherwise have another's shell run commands.
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

_MAX_NAMES = 100
_TIMEOUT = 1.0
_SAFE_NAME = re.compile(r"[A-Za-z0-9._/@=:+][A-Za-z0-9._/@=:+-]*")


def models(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the models whose names begin as typed."""
    return _found(context, typed, lambda client: (model.name for model in client.list_models()))


def references(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the models whose names begin as typed; after `/` their newest versions, after `@` stages and aliases."""
    if "/" in typed:
        model = typed.partition("/")[0]
        return _found(
            context, typed, lambda client: (f"{model}/{version.number}" for version in client.list_versions(model))
        )
    model, at, _ = typed.partition("@")
    if not at:
        return models(context, parameter, typed)
    return _found(context, typed, lambda client: (f"{model}@{name}" for name in _stages_and_aliases(client, model)))


def _stages_and_aliases(client: Client, model: str) -> Iterator[str]:
    """Yield the stages of a model that hold a version, and its aliases."""
    found = client.get_model(model)
    yield from [stage for stage in ("production", "staging") if getattr(found, f"{stage}_number")]
    yield from sorted(found.aliases)


def runs(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the newest runs whose ids begin as typed."""
    return _found(context, typed, lambda client: (run.id for run in client.list_runs()))


def resources(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the models, versions and runs whose names begin as typed."""
    found = references(context, parameter, typed)
    return found if "/" in typed or "@" in typed else [*found, *runs(context, parameter, typed)]


def metadata_keys(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the keys of the metadata of the version that was named before."""
    return _found(context, typed, lambda client: sorted(client.get_version(context.params["reference"]).metadata))


def artifacts(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the artifacts of the version that was named before."""
    return _found(
        context,
        typed,
        lambda client: dict.fromkeys(each.name for each in client.list_artifacts(context.params["reference"])),
    )


def projects(context: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return the projects whose names begin as typed."""
    return _found(context, typed, lambda client: (each.name for each in client.list_projects()))


def contexts(_: click.Context, __: click.Parameter, typed: str) -> list[str]:
    """Return the contexts whose names begin as typed."""
    from tallymark import contexts as contexts_file

    try:
        return _safe(contexts_file.read().by_name, typed)
    except TallymarkError:
        return []


def _found(context: click.Context, typed: str, names: Callable[[Client], Iterable[str]]) -> list[str]:
    given = context.find_root().params
    try:
        settings = Target(given.get("url"), given.get("project"), _TIMEOUT, given.get("context")).settings()
        with context.scope(cleanup=False):
            return _safe(names(client_of(settings)), typed)
    except (TallymarkError, KeyError, TypeError):
        return []


def _safe(names: Iterable[str], typed: str) -> list[str]:
    """Return the names that begin as typed and that every shell reads as one plain word."""
    return list(islice((name for name in names if name.startswith(typed) and _SAFE_NAME.fullmatch(name)), _MAX_NAMES))
