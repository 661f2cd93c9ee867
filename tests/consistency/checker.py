"""The check of a history against the log: each answer must be possible for some order of concurrent operations.

Revisions are a total order, so the check is exact: an operation that began after another was answered comes after it.
Each answer must match the log as of a revision in its window. The window begins with the newest revision in any answer
that was received before the operation began, and ends before the first effect of any operation that began after the
answer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from consistency.answers import READS, resources_match, resources_in
from consistency.history import Operation, Refusal
from consistency.expected import Log, Past
from consistency.refusals import POSSIBLE

# Events that the service records without a request.
_AUTOMATIC_KINDS = ("run_lost", "run_resumed")


class Checker:
    """The check of a history against the log that it produced."""

    def __init__(self, log: Log, history: Sequence[Operation]) -> None:
        self._log = log
        self._history = history
        answered = sorted((end, self._known_by(each, answer)) for each in history for end, answer in each.answers)
        self._ends = [end for end, _ in answered]
        self._known = list(accumulate((revision for _, revision in answered), max))
        effects = sorted(
            (each.begin, log.receipts[each.request_id][0]) for each in history if each.request_id in log.receipts
        )
        self._begins = [begin for begin, _ in effects]
        self._firsts = list(accumulate((first for _, first in reversed(effects)), min))[::-1]
        # The number of answers that were compared with the log.
        self.compared = 0

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each contradiction."""
        yield from self._unexplained_effects()
        for each in self._history:
            yield from self._check(each)

    def _known_by(self, operation: Operation, answer: Any) -> int:
        """Return the newest revision that the answer proves to exist."""
        if isinstance(answer, Refusal):
            return 0
        if operation.request_id in self._log.receipts:
            return self._log.receipts[operation.request_id][1]
        if isinstance(answer, list):
            return max((message.revision for message in answer), default=0)
        if hasattr(answer, "revision"):
            return int(answer.revision)
        return max((getattr(each, "mod_revision", 0) for each in resources_in(answer)), default=0)

    def _unexplained_effects(self) -> Iterator[str]:
        """Yield effects in the log that no request can have."""
        sent = {each.request_id: each for each in self._history if each.request_id}
        request_of: dict[int, str] = {}
        for request_id, (first, last) in self._log.receipts.items():
            if request_id not in sent:
                yield f"{request_id} has an effect at {first}, but was never sent"
            request_of |= dict.fromkeys(range(first, last + 1), request_id)
        automatic = False
        for event in self._log.events:
            automatic = event["kind"] in _AUTOMATIC_KINDS or (
                automatic and event["kind"] == "version_run_state_changed"
            )
            if event["revision"] not in request_of and not automatic:
                yield f"{event['kind']} at {event['revision']} is the effect of no request"

    def _check(self, operation: Operation) -> Iterator[str]:
        if not operation.answers:
            return
        first = operation.answers[0][1]
        if any(answer != first for _, answer in operation.answers) and operation.request_id:
            yield f"{operation}: it got different answers: {[answer for _, answer in operation.answers]}"
            return
        low, high = self._window(operation)
        if low > high:
            yield f"{operation}: its window is empty, after {low} and before {high + 1}"
        elif problem := self._problem_with(operation, first, range(low, high + 1)):
            yield f"{operation}: {problem}, between revisions {low} and {high}: {first}"

    def _window(self, operation: Operation) -> tuple[int, int]:
        """Return the first and the last revision that the operation can have been decided at."""
        known = bisect_left(self._ends, operation.begin)
        later = bisect_right(self._begins, operation.end)
        low = self._known[known - 1] if known else 0
        return low, (self._firsts[later] - 1 if later < len(self._firsts) else self._log.head)

    def _problem_with(self, operation: Operation, answer: Any, window: range) -> str:
        """Return the problem with the answer, or an empty string."""
        self.compared += 1
        receipt = self._log.receipts.get(operation.request_id)
        if isinstance(answer, Refusal):
            if receipt is not None:
                return f"it was refused, but has an effect at {receipt[0]}"
            possible = POSSIBLE.get(answer.reason)
            if possible is None:
                return f"{answer.reason} is not a possible refusal"
            return self._mismatch(window, lambda past: possible(past, operation.request, answer))
        if receipt is not None:
            return self._effect_problem(operation, answer, receipt, window)
        if isinstance(answer, list):
            return self._stream_problem(operation, answer, window)
        if operation.method == "Verify":
            return "" if answer.problem_count == 0 and answer.events in window else "it verified another log"
        if operation.method == "ListEvents":
            return self._events_problem(answer.events, operation.request.after_revision, answer.revision, window)
        if hasattr(answer, "revision"):
            if answer.revision not in window:
                return f"it is as of revision {answer.revision}"
            window = range(answer.revision, answer.revision + 1)
        read = READS.get(operation.method)
        if read is not None:
            return self._mismatch(window, lambda past: read(past, operation.request, answer))
        return self._mismatch(window, lambda past: resources_match(past, answer))

    def _mismatch(self, window: range, holds: Any) -> str:
        return "" if any(holds(Past(self._log, at)) for at in window) else "it matches no revision"

    def _effect_problem(self, operation: Operation, answer: Any, receipt: tuple[int, int], window: range) -> str:
        first, last = receipt
        if first <= window.start or last > window.stop - 1:
            return f"its effect is at {first} to {last}"
        images = {event["image"]["mod_revision"] for event in self._log.events[first - 1 : last]}
        received = list(resources_in(answer))
        if not images & {each.mod_revision for each in received} and "version_used" not in {
            event["kind"] for event in self._log.events[first - 1 : last]
        }:
            return f"its answer lacks its effect at {first} to {last}"
        gone = operation.method.startswith("Purge") or operation.method == "UnlinkArtifact"
        return "" if gone or resources_match(Past(self._log, last), answer) else "its answer differs from its effect"

    def _events_problem(self, events: Any, after: int, revision: int, window: range) -> str:
        if revision not in window:
            return f"it is as of revision {revision}"
        received = [(event.revision, event.reason, event.alias) for event in events]
        known = [(each["revision"], each["reason"], each["alias"]) for each in self._log.events[after:revision]]
        return "" if received == known[: len(received)] else "its events differ from the log"

    def _stream_problem(self, operation: Operation, messages: Sequence[Any], window: range) -> str:
        if operation.method == "Export":
            lines = b"".join(message.lines for message in messages).splitlines()
            exported = Log(line for line in lines if b'"sha256"' not in line[:40])
            if exported.head not in window:
                return f"it has {exported.head} events"
            same = exported.events == self._log.events[: exported.head]
            return "" if same else "it differs from the last export"
        after = operation.request.after_revision
        events = [event for message in messages for event in message.events]
        received = [event.revision for event in events]
        expected = list(range(after + 1, after + 1 + len(received)))
        return "" if received == expected else "it lacks or repeats events"
