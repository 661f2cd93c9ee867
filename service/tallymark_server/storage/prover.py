"""Verifies a project in a process beside the server: it takes minutes of a processor, and writes go on meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from tallymark_server.domain.errors import Overloaded, StorageUnavailable
from tallymark_server.storage.checkpoint import Mark
from tallymark_server.storage.contract import Proof

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
    # The process ends when the other end of its input is closed: by us, or by our own end, however that comes.
    given, held = os.pipe()
    working = asyncio.ensure_future(asyncio.to_thread(_done, database, order, given))
    try:
        done = await asyncio.shield(working)
    finally:
        os.close(held)
        await asyncio.wait((working,))
        os.close(given)
    if done.returncode:
        complaint = done.stderr.decode(errors="replace")
        raise RuntimeError(f"the proof ended with code {done.returncode}: {complaint}")
    return msgspec.json.decode(done.stdout, type=Answer)


def _done(database: str, order: Order, given: int) -> subprocess.CompletedProcess[bytes]:
    # The process finds modules where the server has found them, and never in the folder in which it was started.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), DATABASE: database}
    command = [sys.executable, "-P", "-m", _PROGRAM, msgspec.json.encode(order).decode()]
    # What it has copied goes even if it is ended before its time.
    with TemporaryDirectory(prefix="tallymark-proof-") as folder:
        return subprocess.run(  # noqa: S603 - the program is ours
            command, stdin=given, capture_output=True, env={**environment, "TMPDIR": folder}, check=False
        )
