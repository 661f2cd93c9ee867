"""Callers are known by the certificates of their connections."""

from __future__ import annotations

import ssl
import urllib.request
from pathlib import Path

import pytest
from authorities import Authority, Issued
from first_tokens import client_with, first_token

from tallymark import Client, errors
from tallymark.testing import Server
from tallymark.types.enums import Role


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def mine(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Issued:
    """Have the SDK show a certificate for `trainer.lab`, and trust the authority."""
    own = authority.issue("trainer.lab", file="client", common_name="trainer")
    monkeypatch.setenv("TALLYMARK_CA", str(authority.certificate))
    monkeypatch.setenv("TALLYMARK_CLIENT_CERT", str(own.certificate))
    monkeypatch.setenv("TALLYMARK_CLIENT_KEY", str(own.key))
    return own


def test_the_certificate_names_the_caller(tmp_path: Path, authority: Authority, mine: Issued) -> None:
    """Without grants, whoever has a certificate may do everything, under its name and no other."""
    options = [*authority.issue().for_server, "--client-ca", str(authority.certificate)]
    with Server(tmp_path / "tallymark.db", options, http="127.0.0.1:0") as server:
        with Client(server.address, actor="somebody else") as client:
            client.create_model("churn")
            assert [event.actor for event in client.list_events()] == ["trainer.lab"]
        context = ssl.create_default_context(cafile=authority.certificate)
        context.load_cert_chain(mine.certificate, mine.key)
        with urllib.request.urlopen(server.dashboard, context=context) as page:
            assert ">trainer.lab</span>" in page.read().decode()


def test_certificates_have_the_roles_that_were_granted(tmp_path: Path, authority: Authority, mine: Issued) -> None:
    """With access control, a certificate alone gives no role, and a token beside it wins."""
    db = tmp_path / "tallymark.db"
    Server(db).__enter__().stop()
    token = first_token(db)
    options = [*authority.issue().for_server, "--client-ca", str(authority.certificate)]
    with Server(db, options) as server, Client(server.address) as client:
        with pytest.raises(errors.ProjectNotFound):
            client.create_model("churn")
        with client_with(server, token) as admin:
            assert admin.access.caller().name == "root"
            admin.access.add_grant("certificate:trainer.lab", Role.WRITER, "default")
        client.create_model("churn")
        with pytest.raises(errors.Forbidden):
            client.purge_model("churn")
