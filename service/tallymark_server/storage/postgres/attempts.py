"""Makes another attempt at work that was undone, or that had lost its connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tallymark_server.domain.errors import StorageUnavailable
from tallymark_server.storage.postgres.errors import ConflictError, LostError, translated_errors
from tallymark_server.storage.postgres.exchange import Answer, Call
from tallymark_server.storage.postgres.lending import Connections

T = TypeVar("T")

# How often work is tried that another transaction undoes, or that loses its connection; the pause between, in seconds.
ATTEMPTS = 4
MAX_PAUSE = 0.02


async def ask(connections: Connections, *calls: Call) -> list[Answer]:
    """Send the statements over one of the connections, and return their answers. Raises psycopg.Error."""
    async with connections.lend() as exchange:
        return await exchange(calls)


async def repeated(attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return the result of an attempt; another one is made if the first was undone, or had lost its connection.

    Raises StorageUnavailable after some attempts, or when the result of one is not known.
    """
    for _ in range(ATTEMPTS):
        try:
            with translated_errors():
                return await attempt()
        except (ConflictError, LostError) as error:
            problem = error
        await asyncio.sleep(random.uniform(0, MAX_PAUSE))  # noqa: S311 - servers should not meet again
    raise StorageUnavailable(str(problem)) from problem
