"""The commands that import another registry: `tallymark import-mlflow` and `tallymark import-zenml`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from tallymark_server.command_errors import reported_errors
from tallymark_server.progress import move, progress

# How many commands a dry run tries, to estimate how long the import takes.
TRIED = 5_000

Finding = Callable[[Any, Any], AbstractContextManager[Any]]


def _into(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every import from another registry."""
    options = (
        click.option(
            "--db",
            metavar="FILE or URL",
            default="tallymark.db",
            show_default=True,
            help="The SQLite file, or the database of PostgreSQL.",
        ),
        click.option("--project", metavar="NAME", default="default", show_default=True, help="One without events yet."),
        click.option("--dry-run", is_flag=True, help="Only report what would be imported, and what cannot be kept."),
        click.option("--strict", is_flag=True, help="Import nothing if there is anything that cannot be kept."),
        click.option("--skip", is_flag=True, help="Import the others when a model or a version cannot be read."),
        click.option(
            "-o",
            "--output",
            type=click.Choice(("text", "markdown", "json")),
            default="text",
            show_default=True,
            help="The format of the report.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command
@click.argument("uri", metavar="URI")
@click.option("--runs", metavar="URI", help="Where the runs are tracked, if it is not where the models are.")
@click.option("--all-runs", is_flag=True, help="Import runs that made no version, too.")
@_into
def import_mlflow(uri: str, runs: str | None, all_runs: bool, **into: Any) -> None:
    """Import the models of an MLflow registry: URI is what MLflow calls its tracking or registry URI.

    It is a server, a database or a folder of MLflow 1, 2 or 3. Numbers, stages, aliases, descriptions, users and times
    are kept; tags become metadata, and those without a value labels; the run that made a version comes with its
    parameters, and with its metrics as series of the version. A number that was deleted there is given and purged here,
    so that no number is given twice. What cannot be kept is reported on standard error.

    This cannot be done through a service, which gives numbers and times of its own: it needs the file, without a
    server on it. All is imported or nothing.
    """
    with reported_errors(_errors):
        from tallymark_server.importers import from_mlflow

        find = partial(from_mlflow.find, uri, runs, all_runs=all_runs)
        _import(from_mlflow.MAKER, find, **into)


@click.command
@click.argument("database", metavar="DATABASE")
@click.option("--from-project", metavar="NAME", help="The project of ZenML, if several have models.")
@_into
def import_zenml(database: str, from_project: str | None, **into: Any) -> None:
    """Import the models of a ZenML store: DATABASE is its SQLite file, of ZenML 0.80 or later.

    Numbers, names, stages, tags, texts, users and times are kept, and metadata with every value that it ever had; the
    links to artifacts, and the runs that made and used a version. A number that is no longer there is given and purged,
    so that those after it stay. What cannot be kept is reported on standard error.

    This cannot be done through a service, which gives numbers and times of its own: it needs the file, without a
    server on it. All is imported or nothing.
    """
    with reported_errors(_errors):
        from tallymark_server.importers import from_zenml

        _import(from_zenml.MAKER, partial(from_zenml.find, database, from_project), **into)


def _import(
    maker: str, find: Finding, *, db: str, project: str, dry_run: bool, strict: bool, skip: bool, output: str
) -> None:
    from tallymark_server.domain.naming import project_name
    from tallymark_server.importers.replay import replay
    from tallymark_server.importers.source_model import Report
    from tallymark_server.importers.timed_commands import Plan, plan_commands
    from tallymark_server.storage.database_url import shown
    from tallymark_server.storage.offline import changed_file
    from tallymark_server.storage.sqlite.offline_access import writing

    report, name = Report(), project_name(project)
    with ExitStack() as stack:
        # The file is locked first, so that the import is not refused after an hour of reading.
        line = None if dry_run else stack.enter_context(writing(stack.enter_context(changed_file(db)), name))
        plan = stack.enter_context(Plan())
        with progress("reading") as bar, find(report, partial(move, bar)) as found:
            plan_commands(found, plan, name, maker, report)
        counts = {"models": plan.models, "versions": plan.versions, "runs": plan.runs}
        seconds = _expected_seconds(plan, name) if dry_run else None
        where = f"project {project} of {shown(db)}"
        _print(output, report, counts, where, seconds)
        _refuse(report, counts, strict=strict, skip=skip)
        if line is not None:
            with progress("importing", len(plan)) as bar:
                replay(line, plan, bar.update)
    if output == "text":
        summary = _counted(report, counts)
        click.echo(f"would import {summary}" if dry_run else f"imported into {where}: {summary}")


def _refuse(report: Any, counts: dict[str, int], *, strict: bool, skip: bool) -> None:
    summary = _counted(report, counts)
    if report.unread and (strict or not skip):
        advice = "" if strict else "; --skip imports the others"
        raise click.ClickException(f"not everything can be read, so nothing was imported{advice}: {summary}")
    if strict and report.losses:
        raise click.ClickException(f"not everything can be kept, so nothing was imported: {summary}")


def _expected_seconds(plan: Any, project: str) -> float:
    """Return how long the import will take, measured with its first commands in a temporary file."""
    from itertools import islice

    from tallymark_server.importers.replay import replay
    from tallymark_server.storage.sqlite.offline_access import writing

    tried = min(len(plan), TRIED)
    with TemporaryDirectory(prefix="tallymark-") as folder, writing(Path(folder, "trial.db"), project) as line:
        begun = time.perf_counter()
        replay(line, islice(plan, tried), lambda _: None)
        return (time.perf_counter() - begun) * len(plan) / max(tried, 1)


def _counted(report: Any, counts: dict[str, int]) -> str:
    found = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    skipped = f"; skipped: {len(report.unread):,}" if report.unread else ""
    return f"{found}; not kept: {len(report.losses):,}{skipped}"


def _print(output: str, report: Any, counts: dict[str, int], where: str, seconds: float | None) -> None:
    if output == "text":
        for text in (*report.unread, *report.losses, *(f"not imported: {what}" for what in report.staying)):
            click.echo(text, err=True)
        if seconds is not None:
            click.echo(f"the import will take about {_duration(seconds)}", err=True)
        return
    if output == "json":
        document = {
            "into": where,
            "counts": counts,
            "not_read": report.unread,
            "not_kept": report.losses,
            "not_imported": report.staying,
            "expected_seconds": None if seconds is None else round(seconds, 1),
        }
        click.echo(json.dumps(document, indent=2))
        return
    lines = ["# Import report", "", f"Into {where}.", "", "| what | how many |", "|---|--:|"]
    lines += [f"| {what} | {count:,} |" for what, count in counts.items()]
    if seconds is not None:
        lines += ["", f"Expected duration: about {_duration(seconds)}."]
    for title, texts in (
        ("Cannot be read", report.unread),
        ("Not kept as it was", report.losses),
        ("Not imported", report.staying),
    ):
        if texts:
            lines += ["", f"## {title}", "", *[f"- {_escaped(text)}" for text in texts]]
    click.echo("\n".join(lines))


def _escaped(text: str) -> str:
    """Return the text escaped for Markdown: names of another registry may be anything."""
    plain = "".join(ch if ch.isprintable() else " " for ch in text)
    return "".join(f"\\{ch}" if ch in "\\`*_{}[]<>#|!~&" else ch for ch in plain)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{max(seconds, 1):.0f} s"


def _errors() -> tuple[type[Exception], ...]:
    from tallymark_server.domain.errors import InvalidField
    from tallymark_server.importers.replay import CannotReplayError
    from tallymark_server.importers.source_model import CannotReadError
    from tallymark_server.storage.contract import CannotOpenError

    return CannotOpenError, CannotReadError, CannotReplayError, InvalidField
