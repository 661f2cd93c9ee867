"""Access control of several servers on one database of PostgreSQL: a change at one of them counts at all."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import server_on
from databases import changed_rows
from first_tokens import client_with, first_token
from postgres_server import Databases

from tallymark import Client, Role, errors
from tallymark.cli import main
from tallymark.credentials import presenting
from tallymark.testing import Server

PATIENCE = 60.0


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.new() as name:
        yield postgres.url(name)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def accepted(server: Server, token: str) -> bool:
    """Return whether the server knows the token now."""
    with presenting(token), Client(server.address) as client:
        try:
            client.access.caller()
        except errors.UnknownCaller:
            return False
        return True


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end


def test_a_change_of_access_at_one_server_counts_at_all(url: str, tmp_path: Path) -> None:
    """A token that one server creates counts at the other; once one revokes it, calls and watches end at the other."""
    root = run("access", "init", "--db", url).stdout.strip()
    with ExitStack() as stack:
        folders = (tmp_path / "one", tmp_path / "other")
        for folder in folders:
            folder.mkdir()
        one, other = (stack.enter_context(server_on(url, folder)) for folder in folders)
        assert not accepted(other, "tmk_no")
        admin = stack.enter_context(client_with(one, root))
        token = admin.access.create_token("ci", role=Role.WRITER, projects=["default"]).text
        wait_until(lambda: accepted(other, token))
        client = stack.enter_context(client_with(other, token))
        client.create_model("churn")
        watched = client.watch(after_revision=0)
        assert next(watched).actor == "ci"
        admin.access.revoke_token("ci")
        wait_until(lambda: not accepted(other, token))
        with pytest.raises(errors.UnknownCaller):
            next(watched)
        with pytest.raises(errors.UnknownCaller):
            client.get_model("churn")
        assert accepted(other, root)


def test_a_server_without_access_control_does_not_go_on_when_it_is_turned_on(url: str) -> None:
    """A server that answers everybody ends once access was set up in its database, and says to start it again."""
    command = [sys.executable, "-m", "tallymark_server", "--db", url, "--listen", "127.0.0.1:0", "--no-ui"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert " on " in server.stdout.readline()
            first_token(url)
            _, said = server.communicate(timeout=PATIENCE)
        finally:
            server.kill()
    assert server.returncode == 1
    assert "was turned on, and this server began without: start it again" in said


def test_a_lost_token_is_replaced_while_servers_run(url: str, tmp_path: Path) -> None:
    """`access init --recover` adds a token of an admin, which servers accept within seconds; without it, it refuses."""
    first_token(url)
    with server_on(url, tmp_path) as server:
        again = run("access", "init", "--db", url)
        assert again.exit_code == 1
        assert "--recover" in again.stderr
        found = run("access", "init", "--db", url, "--recover", "--name", "second").stdout.strip()
        wait_until(lambda: accepted(server, found))


def test_verify_proves_access_and_exports_have_none_of_it(url: str, tmp_path: Path) -> None:
    """`verify --db URL` proves the log of access, and fails once it was changed; an export has nothing of it."""
    token = first_token(url)
    with server_on(url, tmp_path) as server, client_with(server, token) as client:
        client.create_model("churn")
    assert "access: " in run("verify", "--db", url).stdout
    assert run("export", "--db", url, "--to", str(tmp_path / "export.jsonl")).exit_code == 0
    exported = (tmp_path / "export.jsonl").read_text()
    assert "churn" in exported
    assert token[4:12] not in exported
    assert changed_rows(url, "UPDATE access_events SET content = replace(content, '\"role\":4', '\"role\":3')")
    broken = run("verify", "--db", url)
    assert broken.exit_code == 1
    assert "log of access" in broken.stderr


def test_a_file_of_access_does_not_go_with_postgresql(url: str, tmp_path: Path) -> None:
    """Tokens of a file would count at one server alone, so that `serve` refuses it, and says what to do."""
    file = tmp_path / "any.access.db"
    file.touch()
    done = run("serve", "--db", url, "--access-db", str(file))
    assert done.exit_code == 2
    assert "access init --db URL" in done.stderr
