"""The sign-in of the command line at an OpenID provider, by a code that is entered in any browser."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import click

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SCOPE = "openid profile email"
# In seconds: how long an answer of the provider may take, the default between two requests for the token, and how much
# longer that becomes each time the provider says that requests come too fast.
_TIMEOUT = 30.0
_INTERVAL = 5.0
_SLOWER = 5.0
_MAX_ANSWER = 1024 * 1024
_LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")


class _Answer(NamedTuple):
    """An answer of a provider, which has refused the request if it is not `ok`."""

    ok: bool
    fields: dict[str, Any]


def token_by_device(issuer: str, client_id: str) -> str:
    """Return a token for whoever enters the code, which is printed, at the provider. Raises ClickException."""
    metadata = _answer(f"{issuer.rstrip('/')}/.well-known/openid-configuration").fields
    if metadata.get("issuer") != issuer:
        raise click.ClickException(f"{issuer} is not the issuer that its metadata names; write it as there")
    begin, finish = metadata.get("device_authorization_endpoint"), metadata.get("token_endpoint")
    if not isinstance(begin, str) or not isinstance(finish, str):
        raise click.ClickException(f"{issuer} does not sign in devices; create a token, and run tallymark login")
    device = _answer(begin, client_id=client_id, scope=_SCOPE)
    if not device.ok:
        raise click.ClickException(f"{issuer} refuses the client {client_id}: {_problem(device)}")
    fields = device.fields
    address = fields.get("verification_uri_complete") or fields.get("verification_uri")
    click.echo(f"open {address} in any browser, and confirm the code {fields.get('user_code')}", err=True)
    return _waited(finish, client_id, fields)


def _waited(endpoint: str, client_id: str, device: dict[str, Any]) -> str:
    """Return the token once the code has been confirmed. Raises ClickException."""
    interval = float(device.get("interval", _INTERVAL))
    deadline = time.monotonic() + float(device.get("expires_in", 600))
    while time.monotonic() < deadline:
        time.sleep(interval)
        answer = _answer(endpoint, grant_type=_GRANT, client_id=client_id, device_code=str(device.get("device_code")))
        if answer.ok:
            token = answer.fields.get("id_token")
            if not isinstance(token, str):
                raise click.ClickException("the provider has issued no token that names somebody")
            return token
        match answer.fields.get("error"):
            case "authorization_pending":
                continue
            case "slow_down":
                interval += _SLOWER
            case _:
                raise click.ClickException(f"the provider has let nobody in: {_problem(answer)}")
    raise click.ClickException("nobody has confirmed the code in time; run tallymark login again")


def _problem(answer: _Answer) -> str:
    return str(answer.fields.get("error_description") or answer.fields.get("error") or "it does not say why")


def _answer(url: str, **form: str) -> _Answer:
    """Return what the provider answers. Raises ClickException."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS):
        raise click.ClickException(f"{url} is not encrypted; the address of an issuer begins with https://")
    request = urllib.request.Request(url, urlencode(form).encode() if form else None)  # noqa: S310 - the scheme is checked
    try:
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - the scheme is checked
                return _Answer(True, _fields(answer.read(_MAX_ANSWER)))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return _Answer(False, _fields(refusal.read(_MAX_ANSWER)))
    except (OSError, ValueError, TypeError) as error:
        raise click.ClickException(f"{url} does not answer as a provider does: {error}") from None


def _fields(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    if not isinstance(found, dict):
        raise TypeError("the answer is no object")
    return found
