"""Signs of life of runs: while one goes on it is not lost, and when its process is gone it is."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from sdk.killed import KILLED, line_of, program, wait_until

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


def test_a_run_that_goes_on_is_not_lost(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is alive for longer than it may be silent; with the last run the thread ends."""
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


def test_a_run_whose_process_is_gone_is_lost(client: Client) -> None:
    """After the time-out that its program has set."""
    with program(KILLED, TALLYMARK_HEARTBEAT_TIMEOUT="1") as process:
        run = line_of(process)
        process.kill()
        process.wait()
        wait_until(lambda: client.get_run(run).state is RunState.LOST)


def test_a_run_that_another_has_finished_is_told_once(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The program goes on, its log says what happened, and no more heartbeats are sent."""
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


def test_without_a_time_out_none_is_sent(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_HEARTBEAT_TIMEOUT=0 a run is never lost."""
    monkeypatch.setenv("TALLYMARK_HEARTBEAT_TIMEOUT", "0")

    @pipeline(model=Model("churn"))
    def training() -> None:
        assert client.get_run(current_run()).heartbeat_timeout is None
        assert not is_sending()

    training()


def test_a_child_of_a_fork_leaves_heartbeats_to_its_parent(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither sends any nor stops those of the run."""
    monkeypatch.setenv("TALLYMARK_HEARTBEAT_TIMEOUT", "1")

    @pipeline(model=Model("churn"))
    def training() -> int:
        child = os.fork()
        if child == 0:
            os._exit(len(heartbeats._sender.due))
        assert is_sending()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert training() == 0
