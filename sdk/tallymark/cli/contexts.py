"""`tallymark context`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tallymark.cli import completers
from tallymark.cli.nouns import Noun
from tallymark.cli.output import Printer, printed

if TYPE_CHECKING:
    from tallymark.contexts import Contexts

_name = click.argument("name", shell_complete=completers.contexts)


@click.group(cls=Noun)
def context() -> None:
    """Registries by name, so that no address need be typed.

    The context in use says, for programs too, which registry and which project are meant where neither an argument nor
    TALLYMARK_URL does. Contexts are kept in ~/.config/tallymark/config.toml.
    """


def _write(contexts: Contexts) -> None:
    from tallymark import contexts as kept

    try:
        kept.write(contexts)
    except OSError as error:
        raise click.ClickException(f"cannot write {error.filename}: {error.strerror}") from None


def _row(contexts: Contexts, name: str) -> dict[str, str]:
    settings = contexts.by_name.get(name, {})
    used = "yes" if name == contexts.in_use else ""
    return {"context": name, "url": settings.get("url", ""), "project": settings.get("project", ""), "in_use": used}


@context.command("add")
@click.argument("name")
@click.option("--url", metavar="HOST:PORT", required=True, help="Where the service is, also as unix:PATH.")
@click.option("--project", metavar="NAME", default="", help="The project whose models are meant; without it, default.")
@printed
def add_context(printer: Printer, name: str, url: str, project: str) -> None:
    """Name a registry, or change what a name means."""
    from tallymark import contexts
    from tallymark.settings import checked_url

    if not name.strip() or not name.isprintable():
        raise click.UsageError(f"{name!r} is no name for a context")
    if "/" in project or not project.isprintable():
        raise click.UsageError(f"{project!r} is no project's name")
    settings = {"url": checked_url(url, "--url"), "project": project}
    found = contexts.read()
    changed = found._replace(by_name={**found.by_name, name: {key: text for key, text in settings.items() if text}})
    _write(changed)
    printer.one(_row(changed, name))
    if name != changed.in_use:
        click.echo(f"to use it where no other is named: tallymark context use {name}", err=True)


@context.command("use")
@_name
@printed
def use_context(printer: Printer, name: str) -> None:
    """Use a context wherever no other registry is named."""
    from tallymark import contexts

    found = contexts.read()
    found.get(name)
    changed = found._replace(in_use=name)
    _write(changed)
    printer.one(_row(changed, name))


@context.command("list")
@printed
def list_contexts(printer: Printer) -> None:
    """List the contexts."""
    from tallymark import contexts

    found = contexts.read()
    printer.many(
        [_row(found, name) for name in sorted(found.by_name)], "no contexts: tallymark context add NAME --url HOST:PORT"
    )


@context.command("remove")
@_name
@printed
def remove_context(printer: Printer, name: str) -> None:
    """Remove a context. If it was in use, none is."""
    from tallymark import contexts

    found = contexts.read()
    found.get(name)
    left = {each: settings for each, settings in found.by_name.items() if each != name}
    _write(contexts.Contexts("" if name == found.in_use else found.in_use, left))
    printer.one(_row(found._replace(in_use=""), name))
