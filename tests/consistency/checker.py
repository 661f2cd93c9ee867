"""What of a history cannot have been, whatever the order in which what was under way at once was decided.

Revisions are a total order, so the real time of calls and the order of the log are compared exactly: an operation that
began when another was answered comes after it. Each answer must be what the log says as of a revision between the last
one that was known to somebody when it began, and the first effect of an operation that began after it was answered.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from consistency.answers import READS, are_as_told, resources_in
from consistency.history import Operation, Refusal
from consistency.expected import Log, Past
from consistency.refusals import POSSIBLE

# What the service does by itself, or beside what it was asked.
_BY_ITSELF = ("run_lost", "run_resumed")


class Checker:
    """A history beside the log that came of it."""

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
        # How many answers were compared with the log.
        self.compared = 0

    def problems(self) -> Iterator[str]:
        """Everything that cannot have been, in words."""
        yield from self._uncovered()
        for each in self._history:
            yield from self._with(each)

    def _known_by(self, operation: Operation, answer: Any) -> int:
        """The revision that whoever has the answer knows to have happened."""
        if isinstance(answer, Refusal):
            return 0
        if operation.request_id in self._log.receipts:
            return self._log.receipts[operation.request_id][1]
        if isinstance(answer, list):
            return max((message.revision for message in answer), default=0)
        if hasattr(answer, "revision"):
            return int(answer.revision)
        return max((getattr(each, "mod_revision", 0) for each in resources_in(answer)), default=0)

    def _uncovered(self) -> Iterator[str]:
        """Effects of nobody's request."""
        asked = {each.request_id: each for each in self._history if each.request_id}
        whose: dict[int, str] = {}
        for request_id, (first, last) in self._log.receipts.items():
            if request_id not in asked:
                yield f"{request_id} had an effect at {first} and was never asked"
            whose |= dict.fromkeys(range(first, last + 1), request_id)
        by_itself = False
        for event in self._log.events:
            by_itself = event["kind"] in _BY_ITSELF or (by_itself and event["kind"] == "version_run_state_changed")
            if event["revision"] not in whose and not by_itself:
                yield f"{event['kind']} at {event['revision']} is the effect of no request"

    def _with(self, operation: Operation) -> Iterator[str]:
        if not operation.answers:
            return
        first = operation.answers[0][1]
        if any(answer != first for _, answer in operation.answers) and operation.request_id:
            yield f"{operation}: it was answered {[answer for _, answer in operation.answers]}"
            return
        low, high = self._window(operation)
        if low > high:
            yield f"{operation}: it comes after {low} and before {high + 1}"
        elif problem := self._wrong(operation, first, range(low, high + 1)):
            yield f"{operation}: {problem}, between revisions {low} and {high}: {first}"

    def _window(self, operation: Operation) -> tuple[int, int]:
        """The revisions as of which it can have been decided."""
        known = bisect_left(self._ends, operation.begin)
        later = bisect_right(self._begins, operation.end)
        low = self._known[known - 1] if known else 0
        return low, (self._firsts[later] - 1 if later < len(self._firsts) else self._log.head)

    def _wrong(self, operation: Operation, answer: Any, window: range) -> str:
        """What is wrong with the answer, empty if nothing is."""
        self.compared += 1
        receipt = self._log.receipts.get(operation.request_id)
        if isinstance(answer, Refusal):
            if receipt is not None:
                return f"it was refused and had an effect at {receipt[0]}"
            possible = POSSIBLE.get(answer.reason)
            if possible is None:
                return "it cannot be refused so"
            return self._nowhere(window, lambda past: possible(past, operation.request, answer))
        if receipt is not None:
            return self._wrong_effect(operation, answer, receipt, window)
        if isinstance(answer, list):
            return self._wrong_stream(operation, answer, window)
        if operation.method == "Verify":
            return "" if answer.problem_count == 0 and answer.events in window else "it proves something else"
        if operation.method == "ListEvents":
            return self._wrong_events(answer.events, operation.request.after_revision, answer.revision, window)
        if hasattr(answer, "revision"):
            if answer.revision not in window:
                return f"it shows revision {answer.revision}"
            window = range(answer.revision, answer.revision + 1)
        read = READS.get(operation.method)
        if read is not None:
            return self._nowhere(window, lambda past: read(past, operation.request, answer))
        return self._nowhere(window, lambda past: are_as_told(past, answer))

    def _nowhere(self, window: range, holds: Any) -> str:
        return "" if any(holds(Past(self._log, at)) for at in window) else "it was so at no moment"

    def _wrong_effect(self, operation: Operation, answer: Any, receipt: tuple[int, int], window: range) -> str:
        first, last = receipt
        if first <= window.start or last > window.stop - 1:
            return f"its effect is at {first} to {last}"
        images = {event["image"]["mod_revision"] for event in self._log.events[first - 1 : last]}
        told = list(resources_in(answer))
        if not images & {each.mod_revision for each in told} and "version_used" not in {
            event["kind"] for event in self._log.events[first - 1 : last]
        }:
            return f"it is not answered with its effect at {first} to {last}"
        gone = operation.method.startswith("Purge") or operation.method == "UnlinkArtifact"
        return "" if gone or are_as_told(Past(self._log, last), answer) else "it tells another effect"

    def _wrong_events(self, events: Any, after: int, revision: int, window: range) -> str:
        if revision not in window:
            return f"it shows revision {revision}"
        told = [(event.revision, event.reason, event.alias) for event in events]
        known = [(each["revision"], each["reason"], each["alias"]) for each in self._log.events[after:revision]]
        return "" if told == known[: len(told)] else "these are not the events"

    def _wrong_stream(self, operation: Operation, messages: Sequence[Any], window: range) -> str:
        if operation.method == "Export":
            lines = b"".join(message.lines for message in messages).splitlines()
            exported = Log(line for line in lines if b'"sha256"' not in line[:40])
            if exported.head not in window:
                return f"it has {exported.head} events"
            same = exported.events == self._log.events[: exported.head]
            return "" if same else "it is not what was exported at the end"
        after = operation.request.after_revision
        events = [event for message in messages for event in message.events]
        told = [event.revision for event in events]
        return "" if told == list(range(after + 1, after + 1 + len(told))) else "events were left out or told twice"
