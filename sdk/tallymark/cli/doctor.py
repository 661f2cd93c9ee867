"""`tallymark doctor`."""

from __future__ import annotations

import time

import click

from tallymark import settings
from tallymark.addresses import addresses_of
from tallymark.cli.client_context import Target, client_of, target
from tallymark.cli.output import Printer, with_printer
from tallymark.client.proxies import configured_proxy, proxy_of, why_direct
from tallymark.credentials import token_source
from tallymark.delivery import spool
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
    """Return a row of the proxy that the environment names, if any, for each address: whether it is used."""
    named = configured_proxy()
    if named is None:
        return []
    return [
        _row("proxy", named.url if proxy_of(target) else f"not used: {why_direct(target)}", named.variable)
        for target, _ in addresses_of(url)
    ]


def _answer(in_force: settings.Settings) -> tuple[str, TallymarkError | None]:
    """Return what the service, or one replica of it, answers, and its error."""
    client = client_of(in_force._replace(timeout=in_force.timeout or _TIMEOUT))
    begun = time.perf_counter()
    try:
        revision = client.newest_revision()
    except TallymarkError as error:
        return "does not answer" if isinstance(error, Unavailable) else "refuses", error
    took = (time.perf_counter() - begun) * 1000
    from tallymark.client.calls import health  # it imports gRPC, which the help does without

    try:
        is_ready = client.run_call(health.is_ready())
    except TallymarkError:
        # Access to the health may be restricted.
        is_ready = True
    if not is_ready:
        problem = f"{in_force.url} answers, but takes no changes now; its log says why, and it goes on by itself"
        return "takes no changes now", Unavailable(problem)
    return f"answers in {took:.0f} ms, at revision {revision}", None


def _token_row(url: str) -> dict[str, str]:
    """Return the row of the token, which shows only where it comes from."""
    source = token_source(url)
    return _row("token", "set" if source else "", source or "default")


def _spool_rows(in_force: settings.Settings) -> list[dict[str, str]]:
    """Return the row of records that wait to be sent, if there are any."""
    waiting = len(spool.journals(in_force.spool))
    runs = "run waits" if waiting == 1 else "runs wait"
    return [_row("records", f"{waiting} {runs} to be sent: tallymark sync", in_force.spool)] if waiting else []


@click.command
@with_printer
def doctor(printer: Printer) -> None:
    """Show each setting with its origin, and whether the service answers.

    It also shows whether the service takes changes, and whether records of this machine wait to be sent. Of a service
    with several addresses, each replica is called, and one that answers is enough.
    """
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
    rows += [*_proxy_rows(in_force.url), _token_row(in_force.url), *_spool_rows(in_force)]
    answers = {url: _answer(in_force._replace(url=url)) for url in map(str, addresses_of(in_force.url))}
    printer.many([*rows, *(_row("service", said, url) for url, (said, _) in answers.items())])
    refusals = [error for _, error in answers.values() if error is not None]
    if len(refusals) == len(answers):
        raise refusals[0]
