"""Recording over a connection that is cut repeatedly, also in the middle of messages."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from faults.proxy import CuttingProxy
from sdk.killed_programs import wait_until

from tallymark import Client, Model, current_run, log_metadata, log_metric, pipeline, step
from tallymark.errors import Unavailable
from tallymark.testing import Server
from tallymark.types.enums import RunState

POINTS, STEPS = 3000, 60


@step
def fit(number: int) -> None:
    for at in range(number * POINTS // STEPS, (number + 1) * POINTS // STEPS):
        log_metric("loss", at / POINTS, step=at)
    log_metadata({"step": number})


@pipeline(model=Model("churn"))
def training() -> str:
    for number in range(STEPS):
        fit(number)
    return current_run()


@pytest.mark.parametrize("seed", ["one", "two"])
def test_every_record_takes_effect_once(server: Server, monkeypatch: pytest.MonkeyPatch, seed: str) -> None:
    """Whether or not its response was lost, each step, and the end, is in the log once."""
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "5")
    with CuttingProxy(lambda: server.address, seed) as proxy, Client(server.address) as client:
        monkeypatch.setenv("TALLYMARK_URL", proxy.address)
        run = ""
        while not run:
            try:
                run = training()
            except Unavailable:
                continue  # cut before it started
        wait_until(lambda: client.get_run(run).state is RunState.SUCCEEDED)
        assert proxy.cuts > 0
        number = client.get_run(run).model_version
        assert number is not None
        assert [point.step for point in client.list_metrics(number)] == list(range(POINTS))
        assert client.get_version(number).metadata == {"loss": (POINTS - 1) / POINTS, "step": STEPS - 1}
        steps = list(client.list_steps(run))
        assert [(each.parameters, each.state) for each in steps] == [
            ({"number": number}, RunState.SUCCEEDED) for number in range(STEPS)
        ]
        events = [event for event in client.list_events() if getattr(event.resource, "run", None) == run]
        kinds = [event.kind for event in events]
        assert [kinds.count(kind) for kind in ("step_started", "step_finished")] == [STEPS, STEPS]


def test_a_call_during_close_returns_or_raises_unavailable(server: Server) -> None:
    """Whoever calls while another thread closes the client gets an answer, or an error that lets it try again.

    Any other error would be taken for the service's decision on a record, which would then be lost.
    """
    with Client(server.address, timeout=20) as client:
        client.create_model("churn")
        ended = threading.Event()

        def close() -> int:
            closed = 0
            while not ended.is_set():
                client.close()
                closed += 1
            return closed

        with ThreadPoolExecutor(1) as pool:
            closing = pool.submit(close)
            try:
                for _ in range(500):
                    try:
                        assert client.get_model("churn").name == "churn"
                    except Unavailable:
                        continue
            finally:
                ended.set()
            assert closing.result(30) > 0
        assert client.get_model("churn").name == "churn"
