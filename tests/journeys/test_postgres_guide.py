"""The guide to operating on PostgreSQL: its commands work, and a restored database proves itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
from conftest import server_on
from documents import blocks
from first_tokens import client_with
from postgres_server import Databases, PostgresServer, program

from tallymark import Client

GUIDE = "service/postgres.md"
# It installs the package from PyPI, and serves until it is stopped; every other test of PostgreSQL serves.
NOT_EXECUTED = {"Start"}


def test_the_commands_of_the_guide_work(tmp_path: Path) -> None:
    """A registry gets an admin, is migrated, proved, dumped, restored, proved again, and moved, as the guide says."""
    story = [block for block in blocks(GUIDE) if block.chapter not in NOT_EXECUTED]
    with PostgresServer() as postgres:
        databases = Databases(postgres.url())
        with databases.new() as served, databases.new() as restored, databases.new() as other:
            urls = {"DATABASE": served, "RESTORED": restored, "OTHER": other}
            programs = [Path(sys.executable).parent, Path(program("pg_dump")).parent]
            environment = {
                **os.environ,
                **{name: databases.url(database) for name, database in urls.items()},
                "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            }
            with server_on(databases.url(served), tmp_path) as server, Client(server.address) as client:
                client.create_model("churn")
                client.create_version("churn")
            for block in story:
                if block.language == "sh":
                    command = ["bash", "-euc", block.text]
                    done = subprocess.run(
                        command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
                    )
                    assert done.returncode == 0, f"{block.text}{done.stderr}"
            token = (tmp_path / "admin.token").read_text().strip()
            for database in (restored, other):
                with server_on(databases.url(database), tmp_path) as server, client_with(server, token) as client:
                    assert [version.number for version in client.list_versions("churn")] == [1]
        (statements,) = [block.text for block in story if block.language == "sql"]
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            for statement in statements.split(";")[:-1]:
                connection.execute(statement.encode())
            found = connection.execute("SELECT setting FROM pg_file_settings WHERE name = 'synchronous_standby_names'")
            assert found.fetchone() == ("ANY 1 (standby1, standby2)",)
