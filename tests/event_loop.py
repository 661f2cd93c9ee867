"""An event loop that blocks fails the test: a call of the server that waits for a file, a lock or the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from blockbuster import BlockBuster

STORAGE = "tallymark_server/storage/sqlite/"
OFFLINE = "serves nobody: an offline command or a worker process, which tests call in coroutines"
# Where the server blocks its event loop on purpose: the end of the file's path, the functions, and why.
BLOCKING: list[tuple[str, set[str], str]] = [
    ("tallymark_server/app.py", {"running"}, "starts before anybody is served, and stops after that"),
    (f"{STORAGE}engine.py", {"open_sqlite"}, "opens the file before anybody is served"),
    (f"{STORAGE}wal_truncation.py", {"_work"}, "reads the size of one file while nobody writes"),
    (f"{STORAGE}connection.py", {"connect"}, "opens a connection, in a thread except at the start"),
    (f"{STORAGE}verification.py", {"verify", "_beside"}, OFFLINE),
    (f"{STORAGE}offline_access.py", {"found", "changed", "_transaction"}, OFFLINE),
    (f"{STORAGE}log_export.py", {"exported"}, OFFLINE),
    (f"{STORAGE}log_import.py", {"import_log"}, OFFLINE),
    (f"{STORAGE}backup.py", {"backup", "of_this_schema"}, OFFLINE),
    (f"{STORAGE}migrate.py", {"steps"}, OFFLINE),
    (f"{STORAGE}access_file.py", {"open_access_file"}, "opens the file before anybody is served"),
    (f"{STORAGE}access_file.py", {"create_access_file"}, OFFLINE),
    ("tallymark_server/storage/access_opening.py", {"access_place", "set_up_access"}, "runs before anybody is served"),
]
# SQLite is read and written on the event loop: it takes microseconds, and less than to wake a thread.
INLINE = "sqlite3."


@contextmanager
def watched_event_loop() -> Iterator[None]:
    """Raise BlockingError for each call of the server that blocks the event loop, except in `BLOCKING`."""
    blockbuster = BlockBuster("tallymark_server")
    watched = [function for name, function in blockbuster.functions.items() if not name.startswith(INLINE)]
    with ExitStack() as stack:
        for function in watched:
            for path, functions, _ in BLOCKING:
                function.can_block_in(path, functions)
            stack.callback(function.deactivate)
            function.activate()
        yield
