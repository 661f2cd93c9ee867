"""Answers that are sent and not read: a bound in memory and time, at which their connections are closed.

The core of gRPC keeps each answer until its caller has read it, without a bound in memory or time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from tallymark_server.domain.errors import Overloaded
from tallymark_server.rpc.callers import GrpcContext
from tallymark_server.rpc.connections import close_connections

# Answers that are sent and not read yet, in bytes; gRPC keeps each of them twice.
MAX_UNREAD = 32 * 1024 * 1024
# How many seconds an answer, or a message of a stream, may take to be read.
READ_DEADLINE = 30.0
# After how many seconds an answer that is not read is dropped if another one needs its room.
MIN_UNREAD_AGE = 1.0

_log = structlog.get_logger()


class _Answer:
    """An answer that is sent: its size, time and peer, and the task of a stream that waits until it is read."""

    __slots__ = ("peer", "since", "size", "task")

    def __init__(self, peer: str, size: int, since: float, task: asyncio.Task[Any] | None) -> None:
        self.peer, self.size, self.since, self.task = peer, size, since, task


class UnreadAnswers:
    """The answers that are sent and not read."""

    def __init__(self, deadline: float, on_begin: Callable[[], None]) -> None:
        """End an answer after so many seconds. Each answer calls `on_begin`, so that checks are made."""
        self.size = 0
        self._deadline = deadline
        self._on_begin = on_begin
        self._answers: dict[GrpcContext, _Answer] = {}
        self._loop = asyncio.get_running_loop()

    def __bool__(self) -> bool:
        return bool(self._answers)

    def add(self, context: GrpcContext, size: int, task: asyncio.Task[Any] | None = None) -> None:
        """Count an answer of that many bytes until it is read. Raises Overloaded if there is no room for it."""
        now = self._loop.time()
        if self.size + size > MAX_UNREAD:
            self._cut(now - MIN_UNREAD_AGE, self.size + size - MAX_UNREAD)
            raise Overloaded(len(self._answers), "answers have not been read")
        self._answers[context] = _Answer(context.peer(), size, now, task)
        self.size += size
        self._on_begin()

    def remove(self, context: GrpcContext) -> None:
        """Count the answer of a call no longer, if it has one."""
        sent = self._answers.pop(context, None)
        if sent is not None:
            self.size -= sent.size

    def check(self) -> None:
        """End the answers that have not been read before the deadline."""
        self._cut(self._loop.time() - self._deadline, None)

    def _cut(self, begun: float, size: int | None) -> None:
        """End answers from before that time that are not read, the oldest first: all, or that many bytes."""
        peers = set()
        for answer in self._answers.values():
            if answer.since > begun or (size is not None and size <= 0):
                break
            if answer.since == 0:
                continue
            size = None if size is None else size - answer.size
            peers.add(answer.peer)
            # Only once: the call ends when the core of gRPC has noticed.
            answer.since = 0
            if answer.task is not None:
                answer.task.cancel()
        for peer in peers:
            _log.warning("ended a connection over which answers are not read", peer=peer)
        if peers:
            # With thousands of connections it takes longer than a short call may wait.
            self._loop.run_in_executor(None, close_connections, frozenset(peers))
