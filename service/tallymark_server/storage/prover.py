"""Verifies a project in a process beside the server: it takes minutes of a processor, and writes go on meanwhile."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from tallymark_server.domain.errors import Overloaded, StorageUnavailable
from tallymark_server.storage.checkpoint import Mark
from tallymark_server.storage.contract import Proof
from tallymark_server.storage.side_process import completed

# The number of callers that may wait for their turn.
MAX_WAITING = 8
_PROGRAM = "tallymark_server.storage.prover_process"
# Others can read the arguments of a process, and not its environment.
DATABASE = "TALLYMARK_DB"


class Order(Struct):
    """What to verify. The database is passed beside it: a file's name need not be text, and a URL may be a secret."""

    project: str
    mark: Mark | None


class Answer(Struct):
    """The proof, or why the database cannot be read."""

    proof: Proof | None = None
    problem: str = ""


class Prover:
    """Proves projects of a database, a file or a URL, one after the other."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def prove(self, project: str, mark: Mark | None) -> Proof:
        """Return the proof of the project. Raises Overloaded and StorageUnavailable."""
        if self._waiting > MAX_WAITING:
            raise Overloaded(self._waiting, "proofs are waiting")
        self._waiting += 1
        try:
            async with self._turn:
                answer = await _answered(self._database, Order(project, mark))
        finally:
            self._waiting -= 1
        if answer.proof is None:
            raise StorageUnavailable(answer.problem)
        return answer.proof


async def _answered(database: str, order: Order) -> Answer:
    words = msgspec.json.encode(order).decode()
    done = await completed(_PROGRAM, words, environment={DATABASE: database})
    if done.returncode:
        complaint = done.stderr.decode(errors="replace")
        raise RuntimeError(f"the proof ended with code {done.returncode}: {complaint}")
    return msgspec.json.decode(done.stdout, type=Answer)
