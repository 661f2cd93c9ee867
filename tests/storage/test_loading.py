"""What storage gives the domain to decide upon."""

from __future__ import annotations

from functools import partial

import pytest
from domain.strategies import batches, everything
from domain.fixtures import NOW, told
from domain.history import PROJECT, History
from hypothesis import HealthCheck, given, settings

from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.state import State
from tallymark_server.storage.contract import Writing
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.writer import Answer, decide_batch

ANY_MACHINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=25, deadline=None, suppress_health_check=ANY_MACHINE)
@given(batches=batches)
async def test_what_is_loaded_is_what_the_log_says(
    batches: list[list[AnyCommand]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After any changes, everything that can be loaded is as it is read off the images of the events."""
    history = History()

    async def decided(writing: Writing, batch: list[AnyCommand]) -> tuple[list[Answer], State]:
        return await decide_batch(writing, batch, lambda: NOW), await writing.load(PROJECT, everything())

    async with open_sqlite(tmp_path_factory.mktemp("loading") / "tallymark.db", (PROJECT,)) as storage:
        for batch in batches:
            answers, state = await storage.write(partial(decided, batch=batch))
            expected, loaded = await decided(history, batch)
            assert list(map(told, answers)) == list(map(told, expected))
            for field in set(loaded.__struct_fields__) - {"log_id", "receipts"}:
                assert getattr(state, field) == getattr(loaded, field), field
            # How an answer is kept is up to the storage; that it is the answer of then is seen where it is given again.
            kept = {request_id: receipt is not None for request_id, receipt in state.receipts.items()}
            assert kept == {request_id: receipt is not None for request_id, receipt in loaded.receipts.items()}
