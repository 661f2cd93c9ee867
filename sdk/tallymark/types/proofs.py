"""Results of verifications and erasures, and checkpoints of a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Checkpoint(NamedTuple):
    """The position of a log at one time. Kept elsewhere, it reveals a log that was rewritten together with its hashes.

    `hash` is that of the last event at that time, in hexadecimal; empty if there was none.
    """

    log_id: str
    revision: int
    hash: str


class Erased(NamedTuple):
    """The number of events with erased content, and the revision of the event that records it, 0 for a dry run."""

    content_count: int
    revision: int


class Problem(NamedTuple):
    """A discrepancy that a verification found, and where."""

    where: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The result of a verification of a project: the number of problems, and the first 100 of them.

    `events` is the number of events that were replayed, and `checkpoint` the position of the log, to be kept if it is
    sound. Content was erased from `erased_count` events; `erased_by` has the revisions of the first 100 events that
    record this.
    """

    events: int
    checkpoint: Checkpoint
    problem_count: int
    problems: tuple[Problem, ...]
    erased_count: int = 0
    erased_by: tuple[int, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether there are no problems."""
        return not self.problem_count
