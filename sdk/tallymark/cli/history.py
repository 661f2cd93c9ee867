"""Lists that go on, and the past and the future of one resource, read from the log."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from tallymark.cli.client_context import target

if TYPE_CHECKING:
    from tallymark.client.blocking import Client
    from tallymark.types.resources import Event, ModelInfo, ModelVersion, Run


def then_changes(
    client: Client, items: Iterable[Any], kind: type[ModelInfo | ModelVersion | Run], model: str = ""
) -> Iterator[Any]:
    """Yield the items of a list, then what each becomes, without end: nothing is missed, and nothing comes twice."""
    # What happens while the list is read may be in it already: its revision tells.
    after = client.newest_revision()
    listed: dict[str, int] = {}
    for item in items:
        listed[item.resource_name] = item.mod_revision
        yield item
    for event in client.watch(after, model=model):
        resource = event.resource
        if type(resource) is kind and event.revision > listed.get(resource.resource_name, 0):
            yield resource


def revision_before(client: Client, project: str, since: int | datetime | None) -> int | None:
    """Return the revision after which everything came that came since then; None for None."""
    if not isinstance(since, datetime):
        return since
    from tallymark.client import calls

    before, after = 0, client.newest_revision() + 1
    # The log is in the order of time, and is asked for one event at a time: its length hardly matters.
    while after - before > 1:
        middle = (before + after) // 2
        events = client.run_call(calls.list_events(project, middle - 1, page_size=1))
        before, after = (middle, after) if events and events[0].time < since else (before, middle)
    return before


def history_since(
    client: Client, reference: str, since: int | datetime | None, kinds: Sequence[str]
) -> Iterator[Event]:
    """Return the history of a model or a version, the newest event first, back to then."""
    after = revision_before(client, target().settings().project, since) or 0
    return takewhile(lambda event: event.revision > after, client.history(reference, kinds=kinds))


def within(events: Iterator[Event], seconds: float | None) -> Iterator[Event]:
    """The events that come within so many seconds; without a number, without end."""
    if seconds is None:
        yield from events
        return
    # A watch has no deadline, so another thread waits for it; it ends when the client is closed.
    arrived: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()

    def gather() -> None:
        try:
            for event in events:
                arrived.put(event)
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that asked
            arrived.put(error)

    threading.Thread(target=gather, daemon=True).start()
    deadline = time.monotonic() + seconds
    while True:
        try:
            event = arrived.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return
        if isinstance(event, Exception):
            raise event
        yield event
