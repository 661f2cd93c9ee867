"""Connections to PostgreSQL, and what they keep."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_server import Databases

from tallymark_server.storage.postgres.attempts import ask
from tallymark_server.storage.postgres.exchange import MAX_PREPARED, Call
from tallymark_server.storage.postgres.lending import Connections

_PREPARED = Call(b"SELECT count(*) FROM pg_prepared_statements")


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.new() as name:
        yield postgres.url(name)


async def test_statements_of_any_form_are_not_kept_for_ever(url: str) -> None:
    """However many forms of statements callers cause, such as by filters, a connection has a bounded number of them."""
    connections = Connections(url, 1, read_only=True)
    forms = [Call(b"SELECT %d" % number) for number in range(MAX_PREPARED)]
    for begin in range(0, MAX_PREPARED, 64):
        answers = await ask(connections, *forms[begin : begin + 64])
        assert [answer.rows for answer in answers] == [[(begin + place,)] for place in range(64)]
    ((count,),) = (await ask(connections, _PREPARED))[0].rows
    assert count == 1
    await connections.close()
