"""Several replicas of one service, on one database of PostgreSQL, in processes of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tallymark.testing import Server


class Replicas:
    """Servers on the database, which are started together."""

    def __init__(self, url: str, folder: Path, count: int, *options: str, http: str | None = None) -> None:
        # Their logs are beside the files that they would have.
        self.servers = [
            Server(folder / f"replica-{number}.db", ("--db", url, *options), http=http) for number in range(count)
        ]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for server in self.servers:
            self._stack.enter_context(server)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The addresses of all, as TALLYMARK_URL lists them."""
        return ",".join(server.address for server in self.servers)

    @contextmanager
    def frozen(self, number: int) -> Iterator[None]:
        """Stop a replica as a machine that swaps or is suspended would, and let it go on after the block."""
        pid = self.servers[number].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
