"""`tallymark context`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallymark.cli import completers
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer, with_printer

if TYPE_CHECKING:
    from tallymark.contexts import Contexts

_name = click.argument("name", shell_complete=completers.contexts)


@click.group(cls=Noun)
def context() -> None:
    """Registries by name, in place of their addresses.

    Commands and programs use the registry and the project of the context in use, if neither an argument nor
    TALLYMARK_URL names another. Contexts are kept in ~/.config/tallymark/config.toml.
    """


def _write(contexts: Contexts) -> None:
    from tallymark import contexts as contexts_file

    try:
        contexts_file.write(contexts)
    except OSError as error:
        raise click.ClickException(f"cannot write {error.filename}: {error.strerror}") from None


def _row(contexts: Contexts, name: str) -> dict[str, str]:
    settings = contexts.by_name.get(name, {})
    in_use = "yes" if name == contexts.in_use else ""
    return {"context": name, "url": settings.get("url", ""), "project": settings.get("project", ""), "in_use": in_use}


@context.command("add")
@click.argument("name")
@click.option("--url", metavar="HOST:PORT", required=True, help="The address of the service, or unix:PATH.")
@click.option("--project", metavar="NAME", default="", help="The project to work on. Default: default.")
@with_printer
def add_context(printer: Printer, name: str, url: str, project: str) -> None:
    """Add a context, or replace one of that name."""
    from tallymark import contexts
    from tallymark.addresses import checked_url

    if not name.strip() or not name.isprintable():
        raise click.UsageError(f"{name!r} is not a valid name of a context: use printable characters")
    if "/" in project or not project.isprintable():
        raise click.UsageError(
            f"{project!r} is not a valid name of a project: use printable characters, without a slash"
        )
    settings = {"url": checked_url(url, "--url"), "project": project}
    found = contexts.read()
    changed = found._replace(by_name={**found.by_name, name: {key: text for key, text in settings.items() if text}})
    _write(changed)
    printer.one(_row(changed, name))
    if name != changed.in_use:
        click.echo(f"to use it by default: tallymark context use {name}", err=True)


@context.command("use")
@_name
@with_printer
def use_context(printer: Printer, name: str) -> None:
    """Use a context by default."""
    from tallymark import contexts

    found = contexts.read()
    found.get(name)
    changed = found._replace(in_use=name)
    _write(changed)
    printer.one(_row(changed, name))


@context.command("list")
@with_printer
def list_contexts(printer: Printer) -> None:
    """List the contexts."""
    from tallymark import contexts

    found = contexts.read()
    printer.many(
        [_row(found, name) for name in sorted(found.by_name)],
        "no contexts; add one: tallymark context add NAME --url HOST:PORT",
    )


@context.command("remove")
@_name
@with_printer
def remove_context(printer: Printer, name: str) -> None:
    """Remove a context. If it was in use, none is in use afterwards."""
    from tallymark import contexts

    found = contexts.read()
    found.get(name)
    left = {each: settings for each, settings in found.by_name.items() if each != name}
    _write(contexts.Contexts("" if name == found.in_use else found.in_use, left))
    printer.one(_row(found._replace(in_use=""), name))
