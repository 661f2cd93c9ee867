"""Group the records of a journal into requests."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise

from tallymark.client.calls import recorded
from tallymark.delivery.journal import Kind, Record, point_of
from tallymark.delivery.uploads import artifact_of

MAX_RECORDS = 500
MAX_BYTES = 512 * 1024
# With more repeated keys than this among MAX_RECORDS waiting records, one request for each would fall behind.
MAX_REPEATS = 50


def batch_of(waiting: Sequence[Record]) -> list[Record]:
    """Return the first waiting record, and the records after it that may go in the same request.

    The history has every value of a metadata key, so a key that is set again starts another request. If a program sets
    keys faster than requests can be sent, only the last value in each request is kept.
    """
    first = waiting[0]
    if first.kind not in (Kind.POINT, Kind.METADATA):
        return [first]
    batch: list[Record] = []
    size, repeats, strict = 0, 0, 0
    set_keys, strict_keys, point_keys = set[str](), set[str](), set[str]()
    for record in waiting[:MAX_RECORDS]:
        size += len(record.body)
        if record.version != first.version or (batch and size > MAX_BYTES):
            break
        if record.kind == Kind.POINT:
            point_keys.add(point_of(record.body)[0])
        elif record.kind == Kind.METADATA:
            keys = recorded.metadata_keys(record.body)
            set_keys |= keys
            if keys & strict_keys:
                strict = strict or len(batch)
                repeats += 1
                strict_keys.clear()
            strict_keys |= keys
        else:
            break
        if set_keys & point_keys:  # the contract forbids both in one request, and their order matters
            break
        batch.append(record)
    is_behind = len(waiting) >= MAX_RECORDS and repeats > MAX_REPEATS
    return batch[:strict] if strict and not is_behind else batch


def request_id_of(batch: Sequence[Record], journal: str) -> str:
    """Return a request id that is the same for the same records of the same journal.

    It begins with the time, because ordered ids are stored faster.
    """
    first, last = batch[0], batch[-1]
    request_id = f"{first.time // 1000:012x}-{journal}-{first.start:x}-{last.end:x}"
    if all(one.end == other.start for one, other in pairwise(batch)):
        return request_id
    return f"{request_id}.{zlib.crc32(b','.join(b'%x' % each.start for each in batch)):08x}"


def subjects_of(record: Record) -> list[str]:
    """Return the subjects of a record, for recording problems. Raises ValueError."""
    match record.kind:
        case Kind.POINT:
            return [f"metric {point_of(record.body)[0]!r}"]
        case Kind.METADATA:
            return [f"metadata {key!r}" for key in sorted(recorded.metadata_keys(record.body))]
        case Kind.UPLOAD:
            return [artifact_of(record.body)]
        case Kind.CALL:
            return [recorded.subject_of(recorded.unpacked(record.body))]
        case _:
            return []
