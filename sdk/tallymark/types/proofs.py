"""What a proof of a project has found, and where its log stood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Checkpoint(NamedTuple):
    """Where a log stood once. Kept elsewhere, it reveals a log that was rewritten together with its hashes.

    `hash` is that of its last event then, in hexadecimal; empty before the first.
    """

    log_id: str
    revision: int
    hash: str


class Erased(NamedTuple):
    """From how many events content was erased, and the revision of the event that says so, 0 for a trial."""

    content_count: int
    revision: int


class Problem(NamedTuple):
    """What is wrong, and where."""

    where: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a proof of a project has found: how many things are wrong, and in `problems` the first 100 of them.

    `events` were replayed; `checkpoint` is where the log stood, to be kept if it is sound.
    Content was erased from `erased_count` events, by the events of `erased_by`, the first 100 of them.
    """

    events: int
    checkpoint: Checkpoint
    problem_count: int
    problems: tuple[Problem, ...]
    erased_count: int = 0
    erased_by: tuple[int, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem_count
