"""Lends connections: each to one task at a time, without a question to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import structlog

from tallymark_server.storage.database_url import shown
from tallymark_server.storage.postgres.connections import BOUNDS, READING, connect
from tallymark_server.storage.postgres.errors import told
from tallymark_server.storage.postgres.exchange import ROLLBACK, Exchange, State

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
        self._ending: set[asyncio.Task[None]] = set()
        self._away = False

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Exchange]:
        """Lend a connection. A transaction that is open afterwards is undone, and nobody waits for that.

        Raises psycopg.Error.
        """
        await self._places.acquire()
        exchange: Exchange | None = None
        try:
            exchange = self._idle.pop() if self._idle else await self._connect()
            yield exchange
        except psycopg.Error:
            # What failed may have to do with what was prepared, and what has ended it has ended the others.
            if exchange is not None:
                await exchange.close()
            await self._close_idle()
            raise
        finally:
            if exchange is None or exchange.state is State.IDLE:
                self._take_back(exchange)
            else:
                task = asyncio.create_task(self._clear(exchange))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Close all connections. None is lent any more."""
        await asyncio.gather(*self._ending)
        await self._close_idle()

    async def _clear(self, exchange: Exchange) -> None:
        """Undo the open transaction, or close a connection that has none."""
        try:
            if exchange.state is State.OPEN:
                await exchange([ROLLBACK])
        except psycopg.Error:
            pass
        finally:
            if exchange.state is not State.IDLE:
                await exchange.close()
            self._take_back(exchange)

    def _take_back(self, exchange: Exchange | None) -> None:
        if exchange is not None and exchange.state is State.IDLE:
            self._idle.append(exchange)
        self._places.release()

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> Exchange:
        try:
            connection = await connect(
                self._url, bounds=READING if self._read_only else BOUNDS, read_only=self._read_only
            )
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
