"""`tallymark describe`, and `describe` of models, versions and runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from tallymark.cli import completers, options
from tallymark.cli.client_context import with_client
from tallymark.cli.output import Printer, as_json, as_yaml
from tallymark.cli.run_choice import find_run
from tallymark.errors import InvalidArgument, ModelNotFound, NotFound, RunNotFound
from tallymark.types.references import means_version

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.types.artifact_info import ArtifactInfo
    from tallymark.types.resources import Lineage

# The numbers of versions and moves, of artifacts and steps, and of nodes of a lineage that are read at most.
_MAX_NEWEST = 10
_MAX_ITEMS = 200
_MAX_NODES = 1_000


@click.command
@click.argument("reference", metavar="REF", shell_complete=completers.resources)
@options.at
@with_client
def describe(client: Client, printer: Printer, reference: str, at: int | datetime | None) -> None:
    """Show everything about a model, a version or a run.

    REF is MODEL, MODEL/NUMBER, MODEL@STAGE, MODEL@ALIAS, MODEL==NAME or the id of a run.
    """
    if reference.startswith("projects/") and "/runs/" in reference:
        _show(printer, run_of(client, reference, at))
    elif means_version(reference):
        _show(printer, version_of(client, reference, at))
    else:
        _show(printer, _model_or_run(client, reference, at))


def _model_or_run(client: Client, name: str, at: int | datetime | None) -> Any:
    try:
        return model_of(client, name, at)
    except (ModelNotFound, InvalidArgument) as error:
        try:
            return run_of(client, name, at)
        except (RunNotFound, InvalidArgument):
            if isinstance(error, InvalidArgument):
                raise error from None
            raise NotFound(
                f"no model or run {name!r}; list them with `tallymark model list` or `tallymark run list`"
            ) from None


@click.command("describe")
@options.model
@options.at
@with_client
def describe_model(client: Client, printer: Printer, model: str, at: int | datetime | None) -> None:
    """Show everything about a model."""
    _show(printer, model_of(client, model, at))


@click.command("describe")
@options.reference
@options.at
@with_client
def describe_version(client: Client, printer: Printer, reference: str, at: int | datetime | None) -> None:
    """Show everything about a version."""
    _show(printer, version_of(client, reference, at))


@click.command("describe")
@click.argument("name", metavar="RUN", shell_complete=completers.runs)
@options.at
@with_client
def describe_run(client: Client, printer: Printer, name: str, at: int | datetime | None) -> None:
    """Show everything about a run."""
    _show(printer, run_of(client, name, at))


def model_of(client: Client, name: str, at: int | datetime | None) -> Any:
    """Return a model with its newest versions and its moves between stages. Raises ModelNotFound."""
    from tallymark.cli.descriptions import ModelDescription

    model = client.get_model(name, show_deleted=True, at=at)
    versions = islice(client.list_versions(model.resource_name, at=at), _MAX_NEWEST) if not model.delete_time else ()
    return ModelDescription(model, list(versions), _moves(client, model.resource_name, at))


def version_of(client: Client, reference: str, at: int | datetime | None) -> Any:
    """Return a version with its run, steps, artifacts, lineage and moves. Raises VersionNotFound, ModelNotFound."""
    from tallymark.cli.descriptions import VersionDescription

    version = client.get_version(reference, show_deleted=True, at=at)
    name = version.resource_name
    run = client.get_run(version.run, at=at) if version.run else None
    artifacts, sources, results = [], _no_lineage(), _no_lineage()
    if not version.delete_time:
        linked = list(islice(client.list_artifacts(name, at=at), _MAX_NODES))
        artifacts = linked[:_MAX_ITEMS]
        sources = _with_own(client.lineage(name, direction="upstream", depth=2, at=at), linked)
        results = _with_own(client.lineage(name, direction="downstream", depth=2, at=at), linked)
    steps = list(islice(client.list_steps(run.id, at=at), _MAX_ITEMS)) if run else []
    return VersionDescription(version, run, steps, artifacts, sources, results, _moves(client, name, at))


def _with_own(lineage: Lineage, linked: list[ArtifactInfo]) -> Lineage:
    """Return the lineage of a version, with the artifacts as this version links them.

    If several versions link the same bytes, the lineage has the link of any of them.
    """
    from tallymark.types.artifact_info import ArtifactInfo

    own = {each.digest or each.uri: each for each in reversed(linked)}
    nodes = [
        replace(node, resource=own.get(node.id, node.resource)) if isinstance(node.resource, ArtifactInfo) else node
        for node in lineage.nodes
    ]
    return replace(lineage, nodes=tuple(nodes))


def _no_lineage() -> Any:
    from tallymark.types.resources import Lineage

    return Lineage(nodes=(), edges=(), truncated=False, revision=0)


def run_of(client: Client, name: str, at: int | datetime | None) -> Any:
    """Return a run with its steps and the versions that it created and used. Raises RunNotFound."""
    from tallymark.cli.descriptions import RunDescription
    from tallymark.types.resources import ModelVersion

    run = find_run(client, name, at)
    near = client.lineage(run=run.id, direction="both", depth=1, at=at)
    versions = [node.resource for node in near.nodes if isinstance(node.resource, ModelVersion)]
    made = [version for version in versions if version.run == run.id]
    steps = list(islice(client.list_steps(run.id, at=at), _MAX_ITEMS))
    return RunDescription(run, steps, made, [version for version in versions if version.run != run.id])


def _moves(client: Client, name: str, at: int | datetime | None) -> list[Any]:
    """Return the newest moves between stages up to `at`."""
    events = client.history(name, kinds=["stage_changed"])
    if isinstance(at, datetime):
        events = (event for event in events if event.time <= at)
    elif at is not None:
        events = (event for event in events if event.revision <= at)
    return list(islice(events, _MAX_NEWEST))


def _show(printer: Printer, found: Any) -> None:
    from tallymark.cli import descriptions
    from tallymark.cli.columns import short_name
    from tallymark.cli.documents import document

    match printer.output:
        case "json":
            click.echo(as_json(descriptions.documents(found, document), indent=2))
        case "jsonl":
            click.echo(as_json(descriptions.documents(found, document)))
        case "yaml":
            click.echo(as_yaml(descriptions.documents(found, document)))
        case "name":
            click.echo(short_name(found[0]))
        case "csv":
            raise click.UsageError(
                "`describe` prints no table or csv; use -o json, or a command such as `tallymark version list`"
            )
        case _:
            descriptions.show(found)
