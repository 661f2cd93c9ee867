"""Lists that go on, and the past and the future of one resource, read from the log."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallymark.client import Client
    from tallymark.resources import Event, ModelInfo, ModelVersion, Run


def then_changes(
    client: Client, items: Iterable[Any], kind: type[ModelInfo | ModelVersion | Run], model: str = ""
) -> Iterator[Any]:
    """The items of a list, then what each becomes, without end. Nothing is missed, and nothing told is told again."""
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


def model_of(event: Event) -> str | None:
    """The name, at that time, of the model that the event is about."""
    from tallymark.resources import ModelInfo, ModelVersion

    match event.resource:
        case ModelInfo():
            return event.resource.name
        case ModelVersion():
            return event.resource.model
        case _:
            return None


def history(client: Client, model: ModelInfo) -> Iterator[Event]:
    """All events of a model and its versions, whatever it was called then."""
    from tallymark.resources import ModelInfo, ModelVersion

    called = None
    for event in client.list_events(model.create_revision - 1):
        match event.resource:
            # Models are told by the name of that time, and versions by their model's present one.
            case ModelInfo(name=name):
                if event.revision == model.create_revision or event.previous_name == called:
                    called = name
                if name == called:
                    yield event
            case ModelVersion(model=name) if name == model.name:
                yield event


def history_of_version(client: Client, version: ModelVersion) -> Iterator[Event]:
    """All events of one version."""
    for event in client.list_events(version.create_revision - 1):
        if event.revision > version.mod_revision:
            return
        if event.resource.resource_name == version.resource_name:
            yield event


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
