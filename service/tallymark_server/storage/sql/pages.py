"""How much fits into a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# In bytes of JSON: with the default limit of 4 MiB a client must be able to receive any page. A message may have three
# times the bytes of its image, and two thousand for the names of its model and of its creator.
MAX_PAGE_SIZE = 700_000
# The items that a filter is evaluated for, for one page, without an index: a reader must not keep the others waiting.
MAX_LOOKED_AT = 10_000


def cut(rows: Iterable[tuple[Any, ...]], limit: int, image: int) -> tuple[list[tuple[Any, ...]], bool]:
    """Return as many rows as fit into a page, and whether there are more; `image` is the column of the image."""
    kept: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        size += size_of(row[image])
        if len(kept) == limit or (kept and size > MAX_PAGE_SIZE):
            return kept, True
        kept.append(row)
    return kept, False


def size_of(text: str) -> int:
    """Return how many bytes of UTF-8 the text has."""
    return len(text) if text.isascii() else len(text.encode())
