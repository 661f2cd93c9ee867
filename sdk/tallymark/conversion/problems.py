"""The recording problems of a run: collected during the run, reported at its end."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from tallymark.types.recording_problem import RecordingProblem

# The limit of the service for different problems of one run.
MAX_PROBLEMS = 100
MAX_TEXT = 1000


class RecordingProblems:
    """The recording problems of one run. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}
        self._unreported: dict[tuple[str, str], int] = {}

    def add(self, subject: str, problem: str, count: int = 1) -> None:
        """Add a problem, without secrets in its text. Never raises, because recording must not break a training."""
        from tallymark.conversion.redaction import redacted_error  # imported late, since most runs have no problems

        subject, problem = redacted_error(subject[: 2 * MAX_TEXT]), redacted_error(problem[: 2 * MAX_TEXT])
        key = (subject[:MAX_TEXT] or "record", problem[:MAX_TEXT] or "unknown")
        with self._lock:
            if key not in self._counts and len(self._counts) >= MAX_PROBLEMS:
                key = ("more", "other problems")
            for counts in (self._counts, self._unreported):
                counts[key] = counts.get(key, 0) + count

    def pop_unreported(self) -> list[RecordingProblem]:
        """Return and clear the problems that are not reported yet."""
        with self._lock:
            unreported = [RecordingProblem(*key, count) for key, count in self._unreported.items()]
            self._unreported.clear()
        return unreported

    def restore_unreported(self, problems: Iterable[RecordingProblem]) -> None:
        """Add problems back that `pop_unreported` returned, because the report failed."""
        with self._lock:
            for each in problems:
                key = (each.subject, each.problem)
                self._unreported[key] = self._unreported.get(key, 0) + each.count

    def all(self) -> list[RecordingProblem]:
        """Return all problems so far."""
        with self._lock:
            return [RecordingProblem(*key, count) for key, count in self._counts.items()]

    def summary(self) -> str:
        """Return a summary for the log, empty if there are no problems."""
        found = self.all()
        if not found:
            return ""
        first = "; ".join(
            f"{p.subject}: {p.problem}" + (f" ({p.count} times)" if p.count > 1 else "") for p in found[:5]
        )
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        count = sum(p.count for p in found)
        return f"{count} {'record was' if count == 1 else 'records were'} left out, changed or lost: {first}{more}"
