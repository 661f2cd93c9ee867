"""A registry moves from a file to PostgreSQL and back: the same bytes, hashes and receipts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from conftest import server_on
from postgres_server import Databases

from tallymark import Client
from tallymark.testing import Server
from tallymark_server.domain.commands import CreateModel
from tallymark_server.domain.model import ModelCard
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.writer import decide_batch

# As a release before 0.2 took it.
WITH_NUL = CreateModel(project="default", actor="ana", model="old", card=ModelCard(description="a\0b"))


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.new() as name:
        yield postgres.url(name)


def run(database: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command on the database."""
    command = [Path(sys.executable).with_name("tallymark"), *words]
    environment = {**os.environ, "TALLYMARK_DB": database}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def done(database: str, *words: str | Path) -> str:
    """Run a command on the database, which succeeds, and return what it prints."""
    ended = run(database, *words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def fill(server: Server) -> None:
    """Record something of each kind, and erase some of it."""
    with Client(server.address) as client:
        client.create_model("churn", description="for churn", tags=["eu"])
        for number in range(3):
            client.create_version("churn", name=f"v{number}", metadata={"auc": number / 10, "big": 2**60 + number})
        client.set_stage("churn/2", "production", reason="better")
        client.set_alias("churn/1", "champion")
        client.log_metrics("churn/1", [])
        client.link_artifact("churn/1", "data", "s3://bucket/data")
        client.start_run("r1", pipeline="training", parameters={"rate": 0.5})
        client.start_step("r1", "s1", name="fit")
        client.finish_run("r1", "succeeded")
        client.rename_model("churn", "leavers")
        client.erase("leavers", "description", reason="not for all")


def test_a_registry_moves_to_postgresql_and_back(url: str, tmp_path: Path) -> None:
    """Exports of both are the same bytes, a checkpoint of one proves the other, and requests are known there."""
    file, exported, checkpoint = str(tmp_path / "tallymark.db"), tmp_path / "there.jsonl", tmp_path / "there.json"
    with server_on(file, tmp_path) as server:
        fill(server)
    done(file, "export", "--to", exported)
    done(file, "verify", "--write-checkpoint", checkpoint)
    assert "at revision" in done(url, "import", "--from", exported)
    assert "agrees with its log" in done(url, "verify", "--checkpoint", checkpoint)
    again = tmp_path / "again.jsonl"
    done(url, "export", "--project", "default", "--to", again)
    assert again.read_bytes() == exported.read_bytes()
    back = str(tmp_path / "back.db")
    done(back, "import", "--from", again)
    assert "agrees with its log" in done(back, "verify", "--checkpoint", checkpoint)
    assert run(url, "import", "--from", exported).returncode == 1
    with server_on(url, tmp_path) as server, Client(server.address) as client:
        assert client.get_version("leavers@production").number == 2
        assert client.create_version("leavers").number == 4
        assert not client.verify().problems


def test_what_is_changed_in_postgresql_is_found(url: str, tmp_path: Path) -> None:
    """A log or a table that was changed by hand is reported, by the command and by a server."""
    with server_on(url, tmp_path) as server, Client(server.address) as client:
        client.create_model("churn")
        client.create_version("churn")
        assert "agrees with its log" in done(url, "verify")
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE events SET actor = 'eve' WHERE revision = 2")
            connection.execute("UPDATE models SET last_number = 7")
        problems = {problem.what for problem in client.verify().problems}
        assert "its content is not that of its digest" in problems
        assert any("the log does not tell" in what for what in problems)
        found = run(url, "verify")
        assert found.returncode == 1
        assert "its content is not that of its digest" in found.stderr


def test_commands_about_files_say_what_to_do_instead(url: str, tmp_path: Path) -> None:
    """A backup of PostgreSQL is made with its own tools, and `migrate` has nothing to do after `serve`."""
    assert "pg_dump" in run(url, "backup", "--to", tmp_path / "copy.db").stderr
    assert "is empty" in run(url, "export", "--to", tmp_path / "export.jsonl").stderr
    with server_on(url, tmp_path):
        pass
    assert "0 steps applied" in done(url, "migrate")
    for command in (["up"], ["stop"], ["accept-lost-changes"]):
        assert "database of PostgreSQL" in run(url, *command).stderr
    assert "first served" in run(str(tmp_path / "tallymark.db"), "migrate").stderr


def test_no_password_is_shown(postgres: Databases, tmp_path: Path) -> None:
    """Neither what a server prints and logs nor what a command says has the password of the URL."""
    secret = "pass-word-of-ann"
    with postgres.new() as name:
        url = postgres.url(name).replace("postgres@", f"postgres:{secret}@")
        with server_on(url, tmp_path) as server:
            assert secret not in server.log_file.read_text()
        texts = [run(each, *words) for each in (url, url.replace("127.0.0.1", "127.0.0.9")) for words in COMMANDS]
        assert secret not in "".join(text.stdout + text.stderr for text in texts)


COMMANDS: list[list[str | Path]] = [["verify"], ["migrate"], ["export", "--to", "-"], ["backup", "--to", "x.db"]]


async def test_a_log_with_a_character_that_postgresql_lacks_is_refused(url: str, tmp_path: Path) -> None:
    """An export of an early release may have U+0000: the message says where, and nothing is imported."""
    file = tmp_path / "tallymark.db"
    with server_on(str(file), tmp_path) as server, Client(server.address) as client:
        client.create_model("churn", description="here")
    async with open_sqlite(file, ("default",)) as storage:
        await storage.write(lambda writing: decide_batch(writing, [WITH_NUL], lambda: 2**60))
    done(str(file), "export", "--to", tmp_path / "export.jsonl")
    refused = run(url, "import", "--from", tmp_path / "export.jsonl")
    assert "revision 2: it has the character U+0000" in refused.stderr
    assert "is empty" in run(url, "verify").stderr or "0 events" in run(url, "verify").stdout
