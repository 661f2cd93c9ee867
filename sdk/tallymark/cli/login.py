"""`tallymark login` and `tallymark logout`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click

from tallymark.cli.client_context import client_of, target
from tallymark.credentials import FILE_VARIABLE, VARIABLE, checked_token, presenting, store
from tallymark.errors import Forbidden, NotFound


@click.command
@click.option("--issuer", metavar="URL", help="Sign in at this OpenID provider, by a code that you enter in a browser.")
@click.option("--client-id", metavar="ID", help="The name of the command line at the provider.")
def login(issuer: str | None, client_id: str | None) -> None:
    """Keep a token for the service, so that commands and programs present it.

    Type the token, or pass it on standard input: tallymark login < token.txt. It is never an argument, since other
    users of the machine see arguments. With --issuer, the provider issues the token, and decides until when it counts.
    The service is called first, and a token that it refuses is not kept. Tokens are kept by address in
    ~/.config/tallymark/credentials, which only its owner can read. TALLYMARK_TOKEN and TALLYMARK_TOKEN_FILE win over
    what is kept.
    """
    settings = target().settings()
    if (issuer is None) != (client_id is None):
        raise click.UsageError("give --issuer and --client-id together; the operator of the service knows both")
    if issuer and client_id:
        from tallymark.cli.device_login import token_by_device

        text = token_by_device(issuer, client_id)
    elif sys.stdin.isatty():
        text = click.prompt(f"Token for {settings.url}?", prompt_suffix=" ", hide_input=True, err=True)
    else:
        text = sys.stdin.read(100_000)
    token = checked_token(text, "the input")
    # A project that is missing, or that the caller may not read, shows that the token counts.
    with presenting(token), suppress(NotFound, Forbidden):
        client_of(settings).get_project(settings.project)
    _keep(settings.url, token)
    click.echo(f"the token for {settings.url} is kept", err=True)
    for name in (each for each in (VARIABLE, FILE_VARIABLE) if os.environ.get(each)):
        click.echo(f"{name} is set, and wins over what is kept", err=True)


@click.command
def logout() -> None:
    """Forget the token for the service. It still counts: an admin revokes it with `tallymark access token revoke`."""
    url = target().settings().url
    click.echo(f"the token for {url} is forgotten" if _keep(url, None) else f"there is no token for {url}", err=True)


def _keep(url: str, token: str | None) -> bool:
    try:
        return store(url, token)
    except OSError as error:
        raise click.ClickException(f"cannot write {error.filename}: {error.strerror}") from None
