"""Requests and their answers, with times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """The reason of a refused call, with its metadata."""

    reason: str
    metadata: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, key: str) -> str:
        return dict(self.metadata)[key]


@dataclass
class Operation:
    """A request, the time at which it was first sent, and each answer with its time.

    An answer is a reply, a list of the messages of a stream, or a refusal.
    """

    method: str
    request: Any
    begin: float
    answers: list[tuple[float, Any]] = field(default_factory=list)

    @property
    def request_id(self) -> str:
        return getattr(self.request, "request_id", "")

    @property
    def end(self) -> float:
        """The time of the first answer, infinity without one."""
        return min((end for end, _ in self.answers), default=float("inf"))

    def __str__(self) -> str:
        return f"{self.method} {self.request_id} {' '.join(str(self.request).split())}"
