"""Heartbeats: a run is lost when its process has ended, and not before."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from sdk.killed_programs import KILLED, line_of, program, wait_until

from tallymark import Client, Model, current_run, log_metric, pipeline
from tallymark.tracking import heartbeats
from tallymark.testing import Server
from tallymark.types.enums import RunState


@pytest.fixture
def client(registry_env: Server) -> Iterator[Client]:
    with Client() as made:
        yield made


def is_sending() -> bool:
    return any(thread.name == "tallymark-heartbeats" for thread in threading.enumerate())


def test_a_running_run_is_not_lost(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run stays alive for longer than its timeout; the thread ends with the last run."""
    monkeypatch.setenv("TALLYMARK_HEARTBEAT_TIMEOUT", "1.5")
    over = threading.Event()

    @pipeline(model=Model("churn"))
    def training() -> str:
        found = client.get_run(current_run())
        assert found.heartbeat_timeout is not None
        assert found.heartbeat_timeout.total_seconds() == 1.5
        assert not over.wait(4)
        assert client.get_run(found.id).state is RunState.RUNNING
        return found.id

    run = training()
    assert client.get_run(run).state is RunState.SUCCEEDED
    kinds = {event.kind for event in client.list_events()}
    assert not kinds & {"run_lost", "run_resumed"}
    wait_until(lambda: not is_sending())


def test_a_run_whose_process_has_ended_is_lost(client: Client) -> None:
    """It becomes lost after the timeout that its program has set."""
    with program(KILLED, TALLYMARK_HEARTBEAT_TIMEOUT="1") as process:
        run = line_of(process)
        process.kill()
        process.wait()
        wait_until(lambda: client.get_run(run).state is RunState.LOST)


def test_a_run_that_somebody_else_finishes_is_logged_once(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The program continues, its log has the outcome, and heartbeats stop."""
    monkeypatch.setenv("TALLYMARK_HEARTBEAT_TIMEOUT", "1")

    @pipeline(model=Model("churn"))
    def training() -> None:
        client.finish_run(current_run(), "failed", error="aborted")
        wait_until(lambda: not is_sending())
        log_metric("loss", 0.5, step=0)

    training()
    said = [record.getMessage() for record in caplog.records if "finished as failed by somebody else" in record.message]
    assert len(said) == 1
    assert len(list(client.list_metrics("churn", "loss"))) == 1


def test_without_a_timeout_no_heartbeat_is_sent(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_HEARTBEAT_TIMEOUT=0, a run never becomes lost."""
    monkeypatch.setenv("TALLYMARK_HEARTBEAT_TIMEOUT", "0")

    @pipeline(model=Model("churn"))
    def training() -> None:
        assert client.get_run(current_run()).heartbeat_timeout is None
        assert not is_sending()

    training()


def test_a_forked_child_sends_no_heartbeats(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither sends heartbeats nor stops those of its parent."""
    monkeypatch.setenv("TALLYMARK_HEARTBEAT_TIMEOUT", "1")

    @pipeline(model=Model("churn"))
    def training() -> int:
        child = os.fork()
        if child == 0:
            os._exit(len(heartbeats._sender.due))
        assert is_sending()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert training() == 0
