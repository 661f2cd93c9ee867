"""`tallymark doctor`."""

from __future__ import annotations

import time

import click

from tallymark import settings
from tallymark.addresses import address_of
from tallymark.cli.client_context import Target, client_of, target
from tallymark.cli.output import Printer, with_printer
from tallymark.client.proxies import configured_proxy, proxy_of, why_direct
from tallymark.errors import TallymarkError, Unavailable

# The seconds to wait for the service: fewer than by default, since it is expected not to answer.
_TIMEOUT = 3.0


def _row(what: str, value: str, origin: str) -> dict[str, str]:
    """Return the row of a setting or of a check: its value or result, and its origin."""
    return {"what": what, "value": value, "origin": origin}


def _origin(name: str, given: Target) -> str:
    if getattr(given, name, None) is not None:
        return f"--{name}"
    return settings.origin(name, **given._asdict())


def _proxy_rows(url: str) -> list[dict[str, str]]:
    """Return the row of the proxy that the environment names, if any, and whether it is used."""
    named = configured_proxy()
    if named is None:
        return []
    address = address_of(url).target
    used = f"not used: {why_direct(address)}" if proxy_of(address) is None else named.url
    return [_row("proxy", used, named.variable)]


@click.command
@with_printer
def doctor(printer: Printer) -> None:
    """Show each setting with its origin, and whether the service answers."""
    given = target()
    in_force = given.settings()
    rows = [
        _row(
            name,
            "" if value is None else ",".join(value) if isinstance(value, tuple) else str(value),
            _origin(name, given),
        )
        for name, value in in_force._asdict().items()
    ]
    rows += _proxy_rows(in_force.url)
    client = client_of(in_force._replace(timeout=in_force.timeout or _TIMEOUT))
    begun = time.perf_counter()
    try:
        revision = client.newest_revision()
    except TallymarkError as error:
        state = "does not answer" if isinstance(error, Unavailable) else "refuses"
        printer.many([*rows, _row("service", state, in_force.url)])
        raise
    took = (time.perf_counter() - begun) * 1000
    printer.many([*rows, _row("service", f"answers in {took:.0f} ms, at revision {revision}", in_force.url)])
