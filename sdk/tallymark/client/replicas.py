"""The replicas of a service: which of them is called, for how long, and which one next.

gRPC moves between the addresses of one name by itself. Between several names it cannot: each may need its own lookup
and proxy. So a client has a channel for each address, and stays at one replica until that does not answer. A change
that is sent to another one, too, has its effect once, because it has the same request id.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tallymark.addresses import addresses_of

# A replica that is frozen, or behind a network that drops packets, refuses nothing. The next one is called after this
# share of the time that is left, and after at most so many seconds: fewer if it has never answered.
_SHARE = 0.25
_PATIENCE = 5.0
_FIRST_PATIENCE = 1.0
# The seconds before all replicas are called again.
_FIRST_PAUSE = 0.05
_MAX_PAUSE = 1.0
# The codes of calls that another replica may answer. A server that stops ends with CANCELLED those not begun.
_ELSEWHERE = ("UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED")


class Replicas:
    """The replicas at the addresses of `url`, and the one that is called now.

    Nothing is locked: at worst two threads move on from a replica at the same time.
    """

    def __init__(self, url: str) -> None:
        self.addresses = addresses_of(url)
        self.are_several = len(self.addresses) > 1
        # Clients begin with different ones, so that each replica gets its share of them.
        self.current = random.randrange(len(self.addresses)) if self.are_several else 0  # noqa: S311 - nothing is secret
        self._answered: set[int] = set()

    def leave(self, replica: int) -> None:
        """Call the next one from now on, unless another caller has moved on already."""
        if self.current == replica:
            self.current = (replica + 1) % len(self.addresses)

    def answered(self, replica: int) -> None:
        """Be patient with the replica from now on."""
        self._answered.add(replica)

    def patience(self, replica: int) -> float:
        """Return the seconds that a call of the replica may take if another one is left to ask."""
        return _PATIENCE if replica in self._answered else _FIRST_PATIENCE


class Attempt(NamedTuple):
    """A call of one replica, which may take so many seconds, after a pause."""

    replica: int
    seconds: float
    pause: float = 0.0


class Attempts:
    """The attempts of one call within its deadline: at one replica after the other, round after round.

    A long call is not repeated: each replica is called once, and may take all the time that is left.
    """

    def __init__(self, replicas: Replicas, seconds: float, *, is_long: bool) -> None:
        self._replicas = replicas
        self._seconds = seconds
        self._is_long = is_long
        self._replica = replicas.current
        # The error if no replica answers: rather the refusal of one than that another is unreachable.
        self.error: Any = None
        self._is_refused = False
        self._pause = _FIRST_PAUSE / 2

    def __iter__(self) -> Iterator[Attempt]:
        deadline = time.monotonic() + self._seconds
        pause = 0.0
        while True:
            for others in reversed(range(len(self._replicas.addresses))):
                left = deadline - time.monotonic() - pause
                if left <= 0 and self.error is not None:
                    return
                self._replica = self._replicas.current
                yield Attempt(self._replica, self._limit(left) if others else left, pause)
                self._replicas.leave(self._replica)
                pause = 0.0
            if self._is_long:
                return
            self._pause = pause = min(2 * self._pause, _MAX_PAUSE)

    def answered(self) -> None:
        """Note that the replica of this attempt has answered."""
        self._replicas.answered(self._replica)

    def failed(self, error: Any, *, is_refusal: bool) -> None:
        """Note the error of this attempt. Raise it if every replica would answer the same."""
        if is_refusal:
            self.answered()
        if error.code().name not in _ELSEWHERE:
            raise error
        if is_refusal or not self._is_refused:
            self.error, self._is_refused = error, is_refusal

    def _limit(self, left: float) -> float:
        """Return the seconds of an attempt after which others are left. The last has all the time that there is."""
        return left if self._is_long else min(left * _SHARE, self._replicas.patience(self._replica))
