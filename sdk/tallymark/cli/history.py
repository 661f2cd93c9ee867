"""Events of a resource from the log, and lists that continue with changes."""

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


def followed_by_changes(
    client: Client, items: Iterable[Any], kind: type[ModelInfo | ModelVersion | Run], model: str = ""
) -> Iterator[Any]:
    """Yield the items of a list, then every change of such items, without end, none missing and none twice."""
    # A change while the list is read may be in the list already: compare revisions.
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
    """Return the last revision before this time; a revision, or None, as it is."""
    if not isinstance(since, datetime):
        return since
    from tallymark.client import calls

    before, after = 0, client.newest_revision() + 1
    # The log is ordered by time, so a binary search needs few calls, each for one event.
    while after - before > 1:
        middle = (before + after) // 2
        events = client.run_call(calls.list_events(project, middle - 1, page_size=1))
        before, after = (middle, after) if events and events[0].time < since else (before, middle)
    return before


def history_since(
    client: Client, reference: str, since: int | datetime | None, kinds: Sequence[str]
) -> Iterator[Event]:
    """Return the events of a model or a version since a time or a revision, the newest first."""
    after = revision_before(client, target().settings().project, since) or 0
    return takewhile(lambda event: event.revision > after, client.history(reference, kinds=kinds))


def within(events: Iterator[Event], seconds: float | None) -> Iterator[Event]:
    """Yield the events that arrive within so many seconds; for None, all."""
    if seconds is None:
        yield from events
        return
    # A watch has no deadline, so another thread reads it. It ends when the client is closed.
    arrived: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()

    def read_events() -> None:
        try:
            for event in events:
                arrived.put(event)
        except Exception as error:  # noqa: BLE001 - it is raised again in the caller's thread
            arrived.put(error)

    threading.Thread(target=read_events, daemon=True).start()
    deadline = time.monotonic() + seconds
    while True:
        try:
            event = arrived.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return
        if isinstance(event, Exception):
            raise event
        yield event
