"""Lends connections: each to one task at a time, without a question to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import structlog

from tallymark_server.storage.database_url import shown
from tallymark_server.storage.postgres.connections import connect
from tallymark_server.storage.postgres.errors import told
from tallymark_server.storage.postgres.exchange import Exchange

_log = structlog.get_logger()


class Connections:
    """Connections of one kind, made when they are needed, each lent to one task at a time.

    Args:
        url: the database
        most: how many there are at most; whoever needs one more waits
        read_only: whether they refuse changes
    """

    def __init__(self, url: str, most: int, *, read_only: bool) -> None:
        self._url = url
        self._read_only = read_only
        self._places = asyncio.Semaphore(most)
        self._idle: list[Exchange] = []
        self._away = False

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Exchange]:
        """Lend a connection. One that is not as it was lent is closed afterwards. Raises psycopg.Error."""
        async with self._places:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                yield connection
            except psycopg.Error:
                # What failed may have to do with what it has prepared, and what has ended it has ended the others.
                await connection.close()
                await self.close()
                raise
            finally:
                if connection.is_idle:
                    self._idle.append(connection)
                else:
                    await connection.close()

    async def close(self) -> None:
        """Close those that are not lent."""
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> Exchange:
        try:
            connection = await connect(self._url, read_only=self._read_only)
        except psycopg.Error as error:
            # Once for each outage, since every request meets it.
            if not self._away:
                self._away = True
                _log.error("the database does not answer", db=shown(self._url), problem=told(error))
            raise
        if self._away:
            self._away = False
            _log.info("the database answers again", db=shown(self._url))
        return Exchange(connection)
