"""Watchers that follow the log through every fault, and remember all that they are told."""

from __future__ import annotations

import random
import threading

from tallymark import Client
from tallymark.errors import TallymarkError, Unavailable
from tallymark.types.resources import Event


class Follower(threading.Thread):
    """Watches a log from its first event on, and resumes where it was when its client crashes, as it does by plan."""

    def __init__(self, url: str, seed: str, *, crashes: bool) -> None:
        super().__init__(name=seed, daemon=True)
        self._url = url
        self._choose = random.Random(seed)
        self._crashes = crashes
        self._told = threading.Condition()
        self._closing = False
        self._client = Client(url, timeout=10)
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
        """Until the event of that revision has been told."""
        with self._told:
            assert self._told.wait_for(lambda: len(self.events) >= revision or self.problem, 60), self.name

    def close(self) -> None:
        self._closing = True
        self._client.close()
        self.join(30)
        assert not self.is_alive()

    def _follow(self) -> None:
        crash_after = self._choose.randint(1, 60) if self._crashes else None
        for count, event in enumerate(self._client.watch(len(self.events)), 1):
            with self._told:
                self.events.append(event)
                self._told.notify_all()
            if count == crash_after and not self._closing:
                self._client.close()
                self._client = Client(self._url, timeout=10)
                self.resumed += 1
                return
