"""Which events erased content of which others, and what the digest of the content was before."""

from __future__ import annotations

import json
from typing import NamedTuple

# The erasures of an event of `events`, as JSON; null for none.
MARKS = """
CASE WHEN events.erased = 0 THEN NULL ELSE (
    SELECT json_group_array(json_array(erased_at, lower(hex(previous_digest)))) FROM {schema}.erasures AS erasures
    WHERE erasures.project = events.project AND erasures.revision = events.revision
) END
"""


class Mark(NamedTuple):
    """Which event erased content of an event, and the digest of the content before."""

    erased_at: int
    previous_digest: bytes


class Seal(NamedTuple):
    """What proves an event: its salt, the digest of its content now, its hash, and who erased what of it."""

    salt: bytes
    digest: bytes
    hash: bytes
    marks: tuple[Mark, ...] = ()

    @property
    def first_digest(self) -> bytes:
        """The digest that the event had when it was written, which the chain covers."""
        return self.marks[0].previous_digest if self.marks else self.digest


def marks_of(text: str | None) -> tuple[Mark, ...]:
    """Return the marks that `MARKS` has selected, the oldest first."""
    return tuple(sorted(Mark(at, bytes.fromhex(digest)) for at, digest in json.loads(text or "[]")))
