"""Sends statements together, and returns all of their answers after one round trip.

The pipeline of libpq itself, since what psycopg does for each statement costs more than most of our statements.
"""

from __future__ import annotations

import asyncio
import enum
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from tallymark_server.storage.postgres.connections import Connection

# Not the second colon of a cast.
_NAME = re.compile(r"(?<![:\w]):(\w+)")
# A connection that has prepared so many statements is replaced: both ends keep them, and filters have any form.
MAX_PREPARED = 512
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


class Call(NamedTuple):
    """A statement with its parameters, which it has as $1, $2 and so on."""

    sql: bytes
    parameters: Sequence[object] = ()


class Answer(NamedTuple):
    """The rows of a statement, and how many rows it has found or changed."""

    rows: list[tuple[Any, ...]]
    found: int


BEGIN = Call(b"BEGIN")
COMMIT = Call(b"COMMIT")
ROLLBACK = Call(b"ROLLBACK")


class State(enum.Enum):
    """What can be done with a connection: begin a transaction, go on with one, or only close it."""

    IDLE = enum.auto()
    OPEN = enum.auto()
    WORN = enum.auto()
    BROKEN = enum.auto()


_STATES = {
    TransactionStatus.IDLE: State.IDLE,
    TransactionStatus.INTRANS: State.OPEN,
    TransactionStatus.INERROR: State.OPEN,
}


class Placed(NamedTuple):
    """A statement whose parameters have numbers, and their names in this order."""

    sql: bytes
    names: tuple[str, ...]


@lru_cache(maxsize=MAX_PREPARED)
def placed(sql: str) -> Placed:
    """Return the statement with $1, $2 and so on for its parameters, which it has as `:name`."""
    names: dict[str, str] = {}
    text = _NAME.sub(lambda found: names.setdefault(found[1], f"${len(names) + 1}"), sql)
    return Placed(text.encode(), tuple(names))


class Exchange:
    """A connection on which statements are exchanged, each prepared when it is sent first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._socket = connection.pgconn
        self._transformer = Transformer(connection)
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._count = 0
        self._under_way = False
        self._socket.enter_pipeline_mode()

    @property
    def state(self) -> State:
        """What can be done with the connection."""
        if self._under_way:
            return State.BROKEN
        state = _STATES.get(TransactionStatus(self._socket.transaction_status), State.BROKEN)
        return State.WORN if state is State.IDLE and self._count >= MAX_PREPARED else state

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def __call__(self, calls: Sequence[Call]) -> list[Answer]:
        """Execute the statements in order, and return their answers.

        Raises the psycopg.Error of the first that fails; those after it are not executed. Nothing goes on with a
        connection whose exchange was cancelled.
        """
        self._under_way = True
        fresh = [self._send(call) for call in calls]
        self._socket.pipeline_sync()
        results = await self._results()
        self._under_way = False
        failed = next((result for result in results if result.status in _FAILED), None)
        if failed is not None:
            # Of what was prepared with it some is not there; the names are not used again.
            self._prepared.clear()
            raise error_from_result(failed)
        # A statement that was prepared has a result for that, too.
        found = iter(results)
        return [self._answer([next(found) for _ in range(2 if each else 1)][-1]) for each in fresh]

    def _send(self, call: Call) -> bool:
        """Send the statement, and return whether it was prepared before that."""
        dump, parameters = self._transformer, call.parameters
        values = dump.dump_sequence(parameters, [PyFormat.BINARY] * len(parameters)) if parameters else []
        types = tuple(dump.types or ()) if parameters else ()
        name = self._prepared.get((call.sql, types))
        fresh = name is None
        if name is None:
            self._count += 1
            name = self._prepared[(call.sql, types)] = b"t%d" % self._count
            self._socket.send_prepare(name, call.sql, types)
        formats = dump.formats if parameters else None
        self._socket.send_query_prepared(name, values, formats, Format.BINARY)
        return fresh

    async def _results(self) -> list[PGresult]:
        """Return what the server answers up to the end of the pipeline."""
        socket, results = self._socket, list[PGresult]()
        while socket.flush():
            await _ready(socket.socket, writable=True)
            # A server that is sending may not read until it is read from.
            socket.consume_input()
        while True:
            while socket.is_busy():
                await _ready(socket.socket)
                socket.consume_input()
            result = socket.get_result()
            if result is None:
                # The end of one statement.
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                return results
            results.append(result)

    def _answer(self, result: PGresult) -> Answer:
        if result.status != ExecStatus.TUPLES_OK:
            return Answer([], result.command_tuples or 0)
        self._transformer.set_pgresult(result)
        return Answer(self._transformer.load_rows(0, result.ntuples, tuple), result.ntuples)


async def _ready(socket: int, *, writable: bool = False) -> None:
    """Return when the socket can be read from, or, if that is of use, be written to."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(socket, _finish, ready)
    try:
        if writable:
            loop.add_writer(socket, _finish, ready)
        await ready
    finally:
        loop.remove_reader(socket)
        if writable:
            loop.remove_writer(socket)


def _finish(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
