"""What of a run could not be recorded: collected while the run goes on, reported when it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from tallymark.types.recording_problem import RecordingProblem

# As many different problems as the service keeps of one run.
MAX_PROBLEMS = 100
MAX_TEXT = 1000


class RecordingProblems:
    """The problems of one run. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], int] = {}
        self._unreported: dict[tuple[str, str], int] = {}

    def add(self, subject: str, problem: str, count: int = 1) -> None:
        """Count a problem, without the secrets in its words. Never raises: recording must not break a training."""
        from tallymark.conversion.redaction import redacted_error  # light programs have no problems

        subject, problem = redacted_error(subject[: 2 * MAX_TEXT]), redacted_error(problem[: 2 * MAX_TEXT])
        key = (subject[:MAX_TEXT] or "record", problem[:MAX_TEXT] or "unknown")
        with self._lock:
            if key not in self._counts and len(self._counts) >= MAX_PROBLEMS:
                key = ("more", "other problems")
            for counts in (self._counts, self._unreported):
                counts[key] = counts.get(key, 0) + count

    def take_unreported(self) -> list[RecordingProblem]:
        """Return the problems that were added since the last call."""
        with self._lock:
            taken = [RecordingProblem(*key, count) for key, count in self._unreported.items()]
            self._unreported.clear()
        return taken

    def give_back(self, problems: Iterable[RecordingProblem]) -> None:
        """Take back what `take_unreported` returned, since it could not be reported."""
        with self._lock:
            for each in problems:
                key = (each.subject, each.problem)
                self._unreported[key] = self._unreported.get(key, 0) + each.count

    def all(self) -> list[RecordingProblem]:
        """Return every problem so far."""
        with self._lock:
            return [RecordingProblem(*key, count) for key, count in self._counts.items()]

    def summary(self) -> str:
        """Return one sentence for the log, empty when nothing went wrong."""
        found = self.all()
        if not found:
            return ""
        shown = "; ".join(
            f"{p.subject}: {p.problem}" + (f" ({p.count} times)" if p.count > 1 else "") for p in found[:5]
        )
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        count = sum(p.count for p in found)
        return f"{count} {'record was' if count == 1 else 'records were'} left out, changed or lost: {shown}{more}"
