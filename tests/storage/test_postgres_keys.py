"""The order of facts in PostgreSQL, which computes from an image the keys that the index of facts has."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from postgres_server import Databases

from tallymark_server.storage.index_keys import MAX_TEXT, fact_key
from tallymark_server.storage.postgres.dialect import DIALECT

WHOLE = [7, 0, -7, 2**53 + 1, 2**60, 2**60 + 1, -(2**60) - 1, -(2**62) - 1, 2**63 - 1, 1 - 2**63]


@pytest.fixture(scope="module")
def connection(postgres: Databases) -> Iterator[psycopg.Connection[tuple[str]]]:
    """A connection to the server."""
    with psycopg.connect(postgres.url("postgres")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        *((number, number) for number in (0.0, -0.0, 1.5, -1.5, 1e300, -1e-300)),
        *(({"integer": str(whole)}, whole) for whole in WHOLE),
        *((text, text[:MAX_TEXT]) for text in ("", "a", "é" * 300)),
        (True, 1.0),
        ({"time": 1_700_000_000_123_456}, 1_700_000_000_123_456),
        ({"uri": "s3://bucket"}, "s3://bucket"),
    ],
)
def test_a_fact_is_sorted_by_its_key(
    connection: psycopg.Connection[tuple[str]], fact: object, value: str | float
) -> None:
    """The term to sort by is the key of the index, for numbers of any size and for texts."""
    term = DIALECT.fact_sort("image", "metadata", "'key'")
    image = json.dumps({"metadata": {"key": fact}})
    found = connection.execute(f"SELECT {term} FROM (SELECT %s::text AS image) AS events".encode(), (image,)).fetchone()
    assert found == (fact_key(value),)
