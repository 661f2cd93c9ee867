"""Watchers that follow the log through every fault, and keep the events that they receive."""

from __future__ import annotations

import random
import threading

from tallymark import Client
from tallymark.errors import TallymarkError, Unavailable
from tallymark.types.resources import Event


class Follower(threading.Thread):
    """Watch a log from its first event, and resume after each simulated crash of the client."""

    def __init__(self, url: str, seed: str, *, crashes: bool) -> None:
        super().__init__(name=seed, daemon=True)
        self._url = url
        self._choose = random.Random(seed)
        self._crashes = crashes
        self._received = threading.Condition()
        self._closing = False
        self._client = Client(url, project="default", timeout=10)
        self.events: list[Event] = []
        self.resumed = 0
        self.problem = ""

    def run(self) -> None:
        while not self._closing:
            try:
                self._follow()
            except Unavailable:
                continue
            except TallymarkError as error:
                self.problem = f"{self.name}: {error!r}"
                return

    def wait_for(self, revision: int) -> None:
        """Wait until the event of that revision was received."""
        with self._received:
            assert self._received.wait_for(lambda: len(self.events) >= revision or self.problem, 60), self.name

    def close(self) -> None:
        self._closing = True
        self._client.close()
        self.join(30)
        assert not self.is_alive()

    def _follow(self) -> None:
        crash_after = self._choose.randint(1, 60) if self._crashes else None
        for count, event in enumerate(self._client.watch(len(self.events)), 1):
            with self._received:
                self.events.append(event)
                self._received.notify_all()
            if count == crash_after and not self._closing:
                self._client.close()
                self._client = Client(self._url, project="default", timeout=10)
                self.resumed += 1
                return
