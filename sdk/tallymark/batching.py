"""Which records of a journal go in one request."""

from __future__ import annotations

from collections.abc import Sequence

from tallymark.calls import recorded
from tallymark.journal import Kind, Record, point_of

MAX_RECORDS = 500
MAX_BYTES = 512 * 1024
# From so many values of the same keys among so many records that wait, a request for each would fall behind.
MAX_REPEATS = 50


def batch_of(waiting: Sequence[Record]) -> list[Record]:
    """Return the first of the records that wait, and what follows it that may go in the same request.

    Each value of a key has its place in the history, also if another follows at once, so a key that is set again begins
    another request. A program that sets keys faster than that can be sent has only the last value of a request kept.
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
        if set_keys & point_keys:  # the contract does not take both in one request, and their order counts
            break
        batch.append(record)
    is_behind = len(waiting) >= MAX_RECORDS and repeats > MAX_REPEATS
    return batch[:strict] if strict and not is_behind else batch
