"""What was asked and answered, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """What a refused call came back with."""

    reason: str
    metadata: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, key: str) -> str:
        return dict(self.metadata)[key]


@dataclass
class Operation:
    """One request, however often it was sent: when it was first sent, and each answer with the time of its arrival.

    An answer is a reply, a list of the replies of a stream, or a refusal.
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
        """When it was answered first, infinity if never."""
        return min((end for end, _ in self.answers), default=float("inf"))

    def __str__(self) -> str:
        return f"{self.method} {self.request_id} {' '.join(str(self.request).split())}"
