"""How the events of a log prove each other: a chain of hashes over digests of their contents.

The digest of an event covers a random salt and its content: what people and programs wrote. The hash of an event covers
the hash before it, what happened, and the digest. So the content, with its salt, can be erased while the chain holds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

# Of the log and of its exports. Format 1, of Tallymark 0.1, had no salts: its hashes cover the contents themselves.
FORMAT = 2
SALT = 16
_encode = msgspec.json.Encoder().encode


class Row(NamedTuple):
    """An event as the log keeps it, without its proof."""

    revision: int
    kind: str
    time: int
    actor: str
    reason: str
    model: int
    number: int
    previous_stage: str | None
    alias: str
    previous_number: int
    previous_name: str
    image: str


def salts(count: int) -> Iterator[bytes]:
    """Yield so many random salts, all of them from one call of the system."""
    drawn = os.urandom(SALT * count)
    return (drawn[start : start + SALT] for start in range(0, SALT * count, SALT))


# Rows are plain tuples here, with the fields of `Row`: a busy line makes thousands of them a second.
def digest_of(salt: bytes, row: Sequence[Any]) -> bytes:
    """Return the digest of the row's content."""
    _, _, _, actor, reason, _, _, _, alias, _, previous_name, image = row
    return hashlib.sha256(salt + _encode((actor, reason, alias, previous_name, image))).digest()


def digest_of_content(salt: bytes, *content: str) -> bytes:
    """Return the digest of a row's content: its actor, reason, alias, previous name and image."""
    return hashlib.sha256(salt + _encode(content)).digest()


def chained(last_hash: bytes, log_id: str, row: Sequence[Any], digest: bytes) -> bytes:
    """Return the hash of the row, which follows the event of the last hash and had this digest when it was written."""
    revision, kind, time, _, _, model, number, previous_stage, _, previous_number, _, _ = row
    fixed = _encode((log_id, revision, kind, time, model, number, previous_stage, previous_number))
    return hashlib.sha256(last_hash + fixed + digest).digest()


def chained_by_format_1(last_hash: bytes, log_id: str, row: Sequence[Any]) -> bytes:
    """Return the hash that Tallymark 0.1 gave the row."""
    return hashlib.sha256(last_hash + _encode((log_id, *row))).digest()
