"""The program that verifies a project beside the server. It reads the database and the order, and prints the result.

It ends as soon as its input ends: then the caller has left, or the server is gone, for whatever reason.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import BinaryIO

import msgspec

from tallymark_server.storage.contract import CannotOpenError, Proof
from tallymark_server.storage.offline import found_file
from tallymark_server.storage.prover import DATABASE, Answer, Order
from tallymark_server.storage.sqlite.verification import verify_project

# The bounds of a report, for a file with very many problems.
MAX_PROBLEMS = 100
MAX_TEXT = 1000
# The server has precedence.
NICENESS = 10


def main() -> None:
    """Verify what the order says."""
    # Ctrl-C is for the server, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    database, order = os.environ[DATABASE], msgspec.json.decode(sys.argv[1], type=Order)
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    try:
        answer = Answer(_proof(database, order))
    except CannotOpenError as error:
        # The message may have the file's name.
        answer = Answer(problem=str(error).encode(errors="backslashreplace").decode())
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.buffer.flush()
    # The thread that waits for the end of the input would hold up an orderly end.
    os._exit(0)


def _proof(database: str, order: Order) -> Proof:
    with found_file(database, order.project) as file:
        return verify_project(file, order.project, order.mark, MAX_PROBLEMS, MAX_TEXT)


def _end_with(given: BinaryIO) -> None:
    given.read()
    os._exit(1)


if __name__ == "__main__":
    main()
