"""Programs that fork while other threads call the registry."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from tallymark import Client
from tallymark.client.forks import ForkGuard
from tallymark.testing import Server

FORKS = 20


@pytest.fixture
def client(registry_env: Server) -> Iterator[Client]:
    with Client() as made:
        made.create_model("churn")
        yield made


def test_children_call_although_threads_of_their_parent_do(client: Client) -> None:
    """A child that is made while another thread calls the registry calls it, too."""
    ended = threading.Event()
    called = threading.Event()

    def call() -> None:
        while not ended.is_set():
            client.get_model("churn")
            called.set()

    thread = threading.Thread(target=call)
    thread.start()
    try:
        assert called.wait(60)
        statuses = [os.waitpid(child(client), 0)[1] for _ in range(FORKS)]
    finally:
        ended.set()
        thread.join()
    assert statuses == [0] * FORKS


def child(client: Client) -> int:
    """Return the id of a child that ends well if it can call."""
    made = os.fork()
    if made == 0:
        os._exit(0 if client.get_model("churn").name == "churn" else 1)
    return made


def test_a_fork_waits_for_the_calls_under_way() -> None:
    """It happens once no thread is within a call, and a call that begins meanwhile waits for it."""
    guard = ForkGuard()
    steps: list[str] = []

    def fork() -> None:
        guard.before_fork()
        steps.append("forked")
        guard.after_fork_in_parent()

    forking = threading.Thread(target=fork)
    with guard:
        forking.start()
        steps.append("called")
    forking.join(60)
    assert steps == ["called", "forked"]


def test_a_fork_waits_in_vain_but_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a registry that is away holds up its calls, a program that forks goes on."""
    monkeypatch.setattr("tallymark.client.forks.PATIENCE", 0.01)
    guard = ForkGuard()
    with guard:
        guard.before_fork()
        guard.after_fork_in_parent()
        monkeypatch.setattr("tallymark.client.forks.PATIENCE", 3600)
        guard.before_fork()
        guard.after_fork_in_parent()
