"""`tallymark doctor`."""

from __future__ import annotations

import os
import time

import click

from tallymark.commands.asking import client_of, target
from tallymark.commands.output import Printer, printed
from tallymark.errors import TallymarkError, Unavailable

# Who asks what is wrong waits less than who is at work.
_PATIENCE = 3.0


def _row(what: str, value: str, origin: str) -> dict[str, str]:
    """A setting, its value, and where that came from; or what was tried, and how it went."""
    return {"what": what, "value": value, "origin": origin}


def _origin(name: str, given: object) -> str:
    variable = f"TALLYMARK_{name.upper()}"
    return f"--{name}" if given is not None else variable if os.environ.get(variable) else "default"


@click.command
@printed
def doctor(printer: Printer) -> None:
    """Tell each setting with its origin, and whether the service answers."""
    asked = target()
    settings = asked.settings()
    found = [
        _row(name, "" if value is None else str(value), _origin(name, getattr(asked, name, None)))
        for name, value in settings._asdict().items()
    ]
    client = client_of(settings._replace(timeout=settings.timeout or _PATIENCE))
    begun = time.perf_counter()
    try:
        revision = client.newest_revision()
    except TallymarkError as error:
        state = "does not answer" if isinstance(error, Unavailable) else "refuses"
        printer.many([*found, _row("service", state, settings.url)])
        raise
    took = (time.perf_counter() - begun) * 1000
    printer.many([*found, _row("service", f"answers in {took:.0f} ms, at revision {revision}", settings.url)])
