"""Recording in runs: records are written at once, sent in the background, and never lost."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


import pytest
from sdk.killed_programs import KILLED, line_of, program, wait_until

from tallymark import (
    Client,
    MetricPoint,
    bind,
    Model,
    current_model,
    current_run,
    log_metadata,
    log_metric,
    pipeline,
    step,
)
from tallymark.tracking import recorder
from tallymark.delivery import sender
from tallymark.delivery import spool as spooling
from tallymark.tracking.context import context_frame
from tallymark.delivery.delivery import Delivery
from tallymark.errors import NumberPending, Unavailable
from tallymark.delivery.journal import Kind, frame, point_body
from tallymark.conversion.problems import RecordingProblems
from tallymark.testing import Server
from tallymark.types.enums import RunState


@pytest.fixture
def client(registry_env: Server) -> Iterator[Client]:
    with Client() as made:
        yield made


def sync(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("tallymark"), "sync", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_a_killed_process_loses_nothing(registry_env: Server, client: Client, spool: Path) -> None:
    """`tallymark sync` sends the records of a process that was killed in an outage, once."""
    with program(KILLED) as process:
        run = line_of(process)
        registry_env.stop()
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        assert line_of(process) == "all recorded"
        process.kill()
        process.wait()
    registry_env.start()
    listed = json.loads(sync("--dry-run", "-o", "json"))
    assert [(each["run"], each["state"]) for each in listed] == [(run, "kept")]
    assert listed[0]["records"] >= 19 * 13 - 1
    assert [each.split("\t")[:2] for each in sync("--no-headers").splitlines()] == [[run, "sent"]]
    points = list(client.list_metrics("churn", "loss"))
    assert [(point.step, point.value) for point in points] == [(at, at // 10 + at % 10 / 10) for at in range(200)]
    assert client.get_version("churn").metadata.keys() == {"loss", *(f"epoch {epoch}" for epoch in range(20))}
    steps = list(client.list_steps(run))
    assert [each.state for each in steps] == [RunState.SUCCEEDED] * 20
    assert sync("--no-headers") == ""
    assert not list(spool.rglob("*.journal"))


def test_an_outage_does_not_block_a_run(
    registry_env: Server, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Steps, points and metadata wait for at most one timeout in total, and are sent when the registry is back."""
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "3")
    model = Model("churn")

    @step
    def fit(epoch: int) -> None:
        log_metric("loss", 0.5, step=epoch)
        log_metadata({"epoch": epoch})

    @step(model=Model("other"))
    def prepare() -> None:
        log_metadata({"rows": 7})
        with pytest.raises(Unavailable):
            _ = current_model().number

    @pipeline(model=model)
    def training() -> str:
        fit(0)
        registry_env.stop()
        begun = time.monotonic()
        prepare()
        for epoch in range(1, 200):
            fit(epoch)
        with pytest.raises(NumberPending, match="goes on without its registry"):
            _ = model.metadata
        assert time.monotonic() - begun < 6
        registry_env.start()
        return current_run()

    run = training()
    wait_until(lambda: client.get_run(run).state is RunState.SUCCEEDED)
    assert len(list(client.list_metrics("churn", "loss"))) == 200
    assert client.get_version("churn").metadata["epoch"] == 199
    assert client.get_version("other").metadata == {"rows": 7}
    assert [each.name for each in client.list_steps(run)] == ["fit", "prepare", *["fit"] * 199]
    assert sum("records are kept" in record.getMessage() for record in caplog.records) <= 2


def test_records_have_the_times_at_which_they_were_made(registry_env: Server, client: Client) -> None:
    """Points have their original times, however late they are sent."""
    with program(KILLED) as process:
        line_of(process)
        registry_env.stop()
        begun = time.time()
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        line_of(process)
        ended = time.time()
        process.kill()
        process.wait()
    registry_env.start()
    sync()
    points = [point for point in client.list_metrics("churn", "loss") if point.step >= 10]
    times = [point.time.timestamp() for point in points if point.time]
    assert len(times) == len(points)
    assert times == sorted(times)
    assert begun <= times[0] <= times[-1] <= ended


class LossyClient:
    """Sends calls, and loses the response to the first attempt of each."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.sent: list[str] = []

    def run_call(self, call: Any) -> Any:
        answer = self._client.run_call(call)
        self.sent.append(call.request.request_id)
        if self.sent.count(call.request.request_id) == 1:
            raise Unavailable("the answer was lost")
        return answer


def test_records_in_flight_at_a_crash_are_sent_again_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are sent with the same request id, and take effect once."""
    monkeypatch.setenv("TALLYMARK_MODE", "offline")

    @pipeline(model=Model("churn"))
    def training() -> None:
        for at in range(700):
            log_metric("loss", 0.5, step=at)

    training()
    (path,) = spooling.journals(os.environ["TALLYMARK_SPOOL"])
    lossy, crashes = LossyClient(client), 0
    while path.exists():
        claimed = spooling.claim(path)
        assert claimed
        delivery = Delivery(claimed, lossy, RecordingProblems())
        try:
            while delivery.deliver_batch():
                pass
            claimed.remove()
        except Unavailable:
            crashes += 1
            claimed.release()
            if crashes <= 4:  # new records do not change the batch that is sent again
                with path.open("ab") as journal:
                    journal.write(frame(Kind.POINT, 1, point_body("loss", 699 + crashes, 0.5)))
    kinds = [event.kind for event in client.list_events()]
    assert [kinds.count(kind) for kind in ("run_started", "run_finished", "metrics_logged")] == [1, 1, crashes - 2]
    assert len(lossy.sent) == 2 * crashes
    assert [point.step for point in client.list_metrics("churn", "loss")] == list(range(704))


def test_a_refused_record_does_not_affect_others(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Of many points and metadata in one request, only the invalid ones are refused, and reported by the run."""
    model = Model("churn")

    @pipeline(model=model)
    def training() -> None:
        frame = context_frame()
        assert frame
        record = recorder.recorder_of(frame.run)
        for at in range(600):
            log_metric("loss", 0.5, step=at)
            if at in (77, 400):
                record.log_point(frame, model, MetricPoint("x" * 300, at, 1.0))
        # Each fits, but together they exceed the registry's limit for a version.
        log_metadata({"good": 1, "first": "x" * 40_000})
        log_metadata({"second": "x" * 40_000, "fine": 3})

    training()
    assert len(list(client.list_metrics("churn", "loss"))) == 600
    assert client.get_version("churn").metadata == {"loss": 0.5, "good": 1, "first": "x" * 40_000, "fine": 3}
    (summary,) = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert "3 records" in summary
    assert "metric 'xxx" in summary
    assert "metadata 'second'" in summary


def test_points_and_metadata_of_one_key_are_sent_separately(client: Client) -> None:
    """They are sent in their order, in two requests."""
    model = Model("churn")

    @pipeline(model=model)
    def training() -> None:
        log_metadata({"auc": 0.1, "note": "a"})
        log_metric("auc", 0.5, step=1)
        log_metric("loss", 0.25, step=1)
        log_metadata({"loss": "none"})

    training()
    version = client.get_version("churn")
    assert version.metadata == {"auc": 0.5, "loss": "none", "note": "a"}
    assert version.series == {"auc": 1}


def test_a_spool_that_cannot_be_written_is_a_problem_of_the_run(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Records stay in memory, are sent, and the run reports that they were not on disk."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TALLYMARK_SPOOL", str(tmp_path / "file" / "spool"))

    @pipeline(model=Model("churn"))
    def training() -> None:
        for at in range(10):
            log_metric("loss", 0.5, step=at)

    training()
    assert len(list(client.list_metrics("churn", "loss"))) == 10
    assert any("kept in memory only" in record.getMessage() for record in caplog.records)


def test_threads_record_concurrently(client: Client) -> None:
    """The points of all threads are recorded, those of each thread in order."""
    model = Model("churn")

    @pipeline(model=model)
    def training() -> None:
        def work(number: int) -> None:
            for at in range(300):
                model.log_metric(f"loss {number}", float(at), step=at)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    training()
    for number in range(8):
        assert [point.step for point in client.list_metrics("churn", f"loss {number}")] == list(range(300))


async def test_the_end_of_an_async_run_does_not_block_the_event_loop(client: Client) -> None:
    """While it waits for its records to be sent, other tasks run."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    @pipeline(model=Model("churn"))
    async def training() -> int:
        for at in range(5000):
            log_metric("loss", 0.5, step=at)
        return turns

    task = asyncio.create_task(other())
    before = await training()
    assert turns > before + 10
    task.cancel()
    assert len(list(client.list_metrics("churn", "loss"))) == 5000


def test_an_idle_sender_thread_ends(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next record starts another thread."""
    monkeypatch.setattr(sender, "IDLE_TIMEOUT", 0.05)
    others = set(threading.enumerate())

    def is_sending() -> bool:
        return any(thread.name == "tallymark-sender" for thread in set(threading.enumerate()) - others)

    @pipeline(model=Model("churn"))
    def training() -> None:
        log_metric("loss", 0.5, step=0)
        assert is_sending()
        wait_until(lambda: not is_sending())
        log_metric("loss", 0.5, step=1)

    training()
    assert len(list(client.list_metrics("churn", "loss"))) == 2


def test_a_long_journal_is_followed_by_another(client: Client, monkeypatch: pytest.MonkeyPatch, spool: Path) -> None:
    """Delivered records do not fill the disk during a long run."""
    monkeypatch.setattr(sender, "MAX_JOURNAL_SIZE", 20_000)
    model = Model("churn")

    @pipeline(model=model)
    def training() -> set[Path]:
        seen: set[Path] = set()
        for at in range(5000):
            log_metric("loss", 0.5, step=at)
            if at % 1000 == 0:
                seen |= set(spool.rglob("*.journal"))
                assert model.metadata
        return seen

    assert len(training()) >= 4
    assert [point.step for point in client.list_metrics("churn", "loss")] == list(range(5000))
    assert not list(spool.rglob("*.journal"))


def test_records_after_the_end_of_a_run_are_sent(client: Client) -> None:
    """A thread that outlives its run can record in it."""
    model = Model("churn")

    @pipeline(model=model)
    def training() -> Callable[[], None]:
        log_metric("loss", 0.5, step=0)
        return bind(lambda: log_metric("loss", 0.25, step=1))

    training()()
    assert model.metadata == {"loss": 0.25}


def test_reads_see_earlier_records(client: Client) -> None:
    """That is so through the model, in the run and after it."""
    model = Model("churn")

    @pipeline(model=model)
    def training() -> None:
        for at in range(100):
            log_metric("loss", float(at), step=at)
            if at % 20 == 0:
                assert model.metadata["loss"] == at
        log_metadata({"done": True})

    training()
    assert model.metadata == {"loss": 99, "done": True}


def test_journals_are_private(client: Client, spool: Path) -> None:
    """Folders and files are readable only for their owner."""

    @pipeline(model=Model("churn"))
    def training() -> list[int]:
        log_metric("loss", 0.5, step=0)
        return [path.stat().st_mode & 0o777 for path in (spool, *spool.rglob("*"))]

    assert set(training()) == {0o700, 0o600}
