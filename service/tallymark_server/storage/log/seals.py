"""The proof of an event beside its content, and of content that was erased."""

from __future__ import annotations

import json
from typing import NamedTuple


class ErasureMark(NamedTuple):
    """The event that erased content of another one, and the digest of the content before."""

    erased_at: int
    previous_digest: bytes


class Seal(NamedTuple):
    """The proof of an event: its salt, the digest of its content now, its hash, and who erased content of it."""

    salt: bytes
    digest: bytes
    hash: bytes
    marks: tuple[ErasureMark, ...] = ()

    @property
    def erased_at(self) -> int:
        """The last event that erased content of this one, 0 for none."""
        return self.marks[-1].erased_at if self.marks else 0

    @property
    def first_digest(self) -> bytes:
        """The digest that the event had when it was written, which the chain covers."""
        return self.marks[0].previous_digest if self.marks else self.digest


def parse_marks(text: str | None) -> tuple[ErasureMark, ...]:
    """Return the erasures of an event from a JSON list of revisions and digests in hexadecimal, the oldest first."""
    return tuple(sorted(ErasureMark(at, bytes.fromhex(digest)) for at, digest in json.loads(text or "[]")))


def erasure_part(revision: int, digest: bytes) -> bytes:
    """Return what the digest of an erasing event covers of one event whose content it erased."""
    return f"{revision}:".encode() + digest
