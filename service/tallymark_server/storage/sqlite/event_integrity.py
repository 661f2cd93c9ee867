"""Checks, whenever the image of an event is read, that it is as it was recorded: a disk may return something else.

A statement selects `WHOLE` instead of the image. It returns the image, or, if the event does not agree with its digest
and its hash, a text that is no image, which `codec` refuses as DataDamaged.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from tallymark_server.storage.codec import DAMAGED
from tallymark_server.storage.log.chain import Row, chained, digest_of, digest_of_content


def whole(table: str) -> str:
    """Return the term of a statement that is the image of the table's event, if the event is whole."""
    columns = ", ".join(f"{table}.{column}" for column in ("salt", "digest", "hash", "erased", *Row._fields))
    return f"""whole({columns},
        (SELECT log_id FROM projects WHERE projects.id = {table}.project),
        (SELECT before.hash FROM events AS before
            WHERE before.project = {table}.project AND before.revision = {table}.revision - 1)
    )"""


WHOLE = whole("events")
# The same for statements that read only the image: half the cost, for the most frequent reads.
WHOLE_IMAGE = """whole_image(events.revision, events.salt, events.digest,
    events.actor, events.reason, events.alias, events.previous_name, events.image
)"""


def add_whole(connection: sqlite3.Connection) -> None:
    """Register the function that statements call."""
    connection.create_function("whole", len(Row._fields) + 6, _whole, deterministic=True)
    connection.create_function("whole_image", 8, _whole_image, deterministic=True)


def _whole(salt: bytes, digest: bytes, found_hash: bytes, erased: int, *given: Any) -> str | None:
    *row, log_id, last_hash = given
    if row[0] is None:
        # There is no event.
        return None
    # The chain covers the content before it was erased, which is elsewhere.
    if digest_of(salt, row) == digest and (erased or chained(last_hash or b"", log_id, row, digest) == found_hash):
        image: str = row[-1]
        return image
    return f"{DAMAGED}{row[0]}"


def _whole_image(revision: int, salt: bytes, digest: bytes, *content: str) -> str:
    return content[-1] if digest_of_content(salt, *content) == digest else f"{DAMAGED}{revision}"
