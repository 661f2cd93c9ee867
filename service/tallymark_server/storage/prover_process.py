"""The program that verifies a project beside the server. It reads the database and the order, and prints the result.

It ends as soon as its input ends: then the caller has left, or the server is gone, for whatever reason.
"""

from __future__ import annotations

import os
import sys
from functools import partial

import msgspec

from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.offline import found_file
from tallymark_server.storage.prover import DATABASE, Answer, Order
from tallymark_server.storage.side_process import print_result
from tallymark_server.storage.sqlite.verification import verify_project

# The bounds of a report, for a file with very many problems.
MAX_PROBLEMS = 100
MAX_TEXT = 1000


def main() -> None:
    """Verify what the order says."""
    database, order = os.environ[DATABASE], msgspec.json.decode(sys.argv[1], type=Order)
    print_result(partial(_answer, database, order))


def _answer(database: str, order: Order) -> Answer:
    try:
        with found_file(database, order.project) as file:
            return Answer(verify_project(file, order.project, order.mark, MAX_PROBLEMS, MAX_TEXT))
    except CannotOpenError as error:
        # The message may have the file's name.
        return Answer(problem=str(error).encode(errors="backslashreplace").decode())


if __name__ == "__main__":
    main()
