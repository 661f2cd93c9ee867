"""A real OpenID provider, from npm, and a server that trusts it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from cached_folders import ROOT
from javascript import packages
from first_tokens import first_token

from tallymark.testing import Server

HERE = ROOT / "tests/identity/provider"
AUDIENCE = "urn:tallymark"


class Site(NamedTuple):
    """A server whose people sign in at a provider, and the token of its admin."""

    server: Server
    issuer: str
    token: str

    @property
    def url(self) -> str:
        """The address of the dashboard, without a slash at its end."""
        return self.server.dashboard.rstrip("/")

    def token_of_robot(self) -> str:
        """Return a token that the provider issues to a program for this registry."""
        form = {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "registry"}
        basic = base64.b64encode(b"robot:b33p").decode()
        request = urllib.request.Request(
            f"{self.issuer}/token", urlencode(form).encode(), {"authorization": f"Basic {basic}"}
        )
        with urllib.request.urlopen(request) as answer:
            found: dict[str, Any] = json.load(answer)
        return str(found["access_token"])


@contextmanager
def provider(callback: str) -> Iterator[str]:
    """Yield the issuer of a running provider, whose clients come back to the address."""
    with packages(HERE, "identity_modules") as (program, folder):
        command = [*program, shutil.copy(HERE / "provider.mjs", folder), callback]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
            assert running.stdout is not None
            try:
                yield running.stdout.readline().strip()
            finally:
                running.terminate()


@contextmanager
def site(folder: Path, options: tuple[str, ...] = ()) -> Iterator[Site]:
    """Yield a server whose people sign in at a provider of its own."""
    db, config = folder / "tallymark.db", folder / "issuers.toml"
    # The provider must know the address of the dashboard, and the server that of the provider.
    with Server(db, options, http="127.0.0.1:0") as first:
        address, dashboard = first.address.removeprefix("grpcs://"), first.dashboard
    token = first_token(db)
    with provider(f"{dashboard}sign-in/company/callback") as issuer:
        (folder / "secret").write_text("s3cret\n")
        config.write_text(SETTINGS.format(issuer=issuer))
        place = dashboard.partition("//")[2].rstrip("/")
        with Server(db, [*options, "--config", str(config)], address=address, http=place) as server:
            yield Site(server, issuer, token)


SETTINGS = f"""
[[issuer]]
name = "company"
title = "Company"
url = "{{issuer}}"
audience = ["{AUDIENCE}", "cli"]
client-id = "dashboard"
client-secret-file = "secret"

[[grant]]
issuer = "company"
group = "ml"
project = "*"
role = "reader"

[[grant]]
issuer = "company"
group = "ml-leads"
project = "*"
role = "promoter"

[[grant]]
issuer = "company"
claims = {{{{ sub = "robot" }}}}
project = "*"
role = "writer"
"""
