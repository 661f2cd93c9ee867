"""How what comes together is decided: as if each had come alone."""

from __future__ import annotations

import os

from domain.strategies import batches
from domain.fixtures import NOW, told
from domain.history import History
from domain.commands import ensure, finish_run, start_run
from hypothesis import given, settings
from msgspec.structs import replace

from tallymark_server.domain.decisions import AnyCommand
from tallymark_server.domain.errors import RegistryError
from tallymark_server.domain.model import RunState
from tallymark_server.domain.state import Receipt
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.writer import Answer, decide_batch


def decide(history: History, commands: list[AnyCommand]) -> list[Answer]:
    return run_immediately(decide_batch(history, commands, lambda: NOW))


budget = int(os.environ.get("TALLYMARK_TEST_EXAMPLES", "30"))


@settings(max_examples=budget)
@given(batches)
def test_a_batch_is_decided_as_if_each_came_alone(batches: list[list[AnyCommand]]) -> None:
    """Whatever comes together gets the same answers and has the same effects as when it comes one after the other."""
    together, alone = History(), History()
    for batch in batches:
        answers = decide(together, batch)
        apart = [decide(alone, [command])[0] for command in batch]
        assert list(map(told, answers)) == list(map(told, apart))
        assert together.events == alone.events
    assert kept(together) == kept(alone)


def kept(history: History) -> dict[str, tuple[Receipt, object]]:
    """What each request_id was answered with; two refusals are equal when they say the same."""
    return {
        request_id: (replace(receipt, refusal=None), receipt.refusal and told(receipt.refusal))
        for request_id, receipt in history.receipts.items()
    }


def test_a_version_made_while_its_run_ends_follows_it() -> None:
    """A version that a run makes in the same batch in which the run ends has the state of its run afterwards."""
    history = History()
    answers = decide(history, [start_run(), ensure(run="train"), finish_run(RunState.SUCCEEDED)])
    assert not any(isinstance(answer, RegistryError) for answer in answers)
    version = history.version("churn", 1)
    assert version is not None
    assert version.run_state is RunState.SUCCEEDED
