"""Two PostgreSQL servers: a primary, and a standby that has confirmed every commit before it is answered."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Self

import psycopg
from postgres_server import TIMEOUT, PostgresServer

_IS_SYNCHRONOUS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"


class PostgresPair:
    """A primary and its synchronous standby, which takes over when the primary is lost."""

    def __init__(self) -> None:
        self.primary = PostgresServer("synchronous_standby_names=*")
        self.standby = PostgresServer()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.primary)
        source = f"host=127.0.0.1 port={self.primary.port} user=postgres"
        # A slot keeps what the standby has not received yet.
        self.primary.run("psql", "-qXd", self.primary.url(), "-c", "SELECT pg_create_physical_replication_slot('pair')")
        self.primary.run(
            "pg_basebackup", f"--dbname={source}", f"--pgdata={self.standby.data}", "--write-recovery-conf",
            "--slot=pair", "--checkpoint=fast", "--no-sync",
        )  # fmt: skip
        self._stack.enter_context(self.standby)
        self._wait_for_standby()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self, database: str) -> str:
        """Return the URL of a database with the hosts of both."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in (self.primary, self.standby))
        return f"postgresql://postgres@{hosts}/{database}"

    def fail_over(self) -> None:
        """Kill the primary as a loss of power would, and let the standby take over."""
        self.primary.kill()
        self.standby.run("pg_ctl", "promote", "--wait", "-D", str(self.standby.data))

    def _wait_for_standby(self) -> None:
        end = time.monotonic() + TIMEOUT
        with psycopg.connect(self.primary.url(), autocommit=True) as connection:
            while connection.execute(_IS_SYNCHRONOUS).fetchone() != (1,):
                assert time.monotonic() < end, self.standby.log
