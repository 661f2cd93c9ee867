"""Receipts of requests: of those that had an effect, and for some time of those without."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from tallymark_server.domain.errors import MAX_REMEMBERED_ANSWERS, remembered
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Holders, Model, ModelVersion, Resource, Run, VersionUse
from tallymark_server.domain.state import REMEMBERED_AT_LEAST, REMEMBERED_AT_MOST, Receipt, State
from tallymark_server.storage.log.event_rows import event_of
from tallymark_server.storage.sqlite.answer_images import EVENT_THEN, Then
from tallymark_server.storage.sqlite.bulk_insert import insert

# The number of answers without effect that a project keeps beyond those that it must keep.
MANY_ANSWERS = 100_000
# So many more of the oldest answers are looked at than were added, so that outdated ones never pile up.
_MORE = 16
# The id for answers about projects that do not exist.
NOWHERE = 0
RECEIPTS = f"""
SELECT receipts.request_id, receipts.fingerprint, {EVENT_THEN.replace(":at", "receipts.last_revision")}
FROM json_each(:asked) AS asked
CROSS JOIN receipts ON receipts.project = :project AND receipts.request_id = asked.value
CROSS JOIN events ON events.project = :project
    AND events.revision BETWEEN receipts.first_revision AND receipts.last_revision
ORDER BY events.revision
"""
ANSWERS = """
SELECT asked.value, answers.fingerprint, answers.time, answers.revision, answers.images, answers.refusal
FROM json_each(:asked) AS asked
CROSS JOIN answers ON answers.project = :place AND answers.request_id = :before || asked.value
"""
KEPT = """
SELECT (SELECT ordinal FROM answers WHERE project = :project ORDER BY ordinal LIMIT 1),
    (SELECT ordinal FROM answers WHERE project = :project ORDER BY ordinal DESC LIMIT 1),
    (SELECT time FROM answers WHERE project = :project ORDER BY ordinal LIMIT 1),
    EXISTS (SELECT 1 FROM answers WHERE project = 0)
"""
OLDEST = "SELECT ordinal, time FROM answers WHERE project = ? ORDER BY ordinal LIMIT ?"
FORGET = "DELETE FROM answers WHERE project = ? AND ordinal <= ?"
FORGET_ALL = "DELETE FROM answers WHERE project = ?"
# A request whose answer was removed long ago may be answered anew.
_ANSWER = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def load_receipts(connection: sqlite3.Connection, project: int | None, ids: set[str], state: State) -> None:
    """Load the receipts of the request ids, in a project that exists or, if it is None, does not."""
    state.receipts.update(dict.fromkeys(ids))
    asked = msgspec.json.encode(list(ids)).decode()
    place = NOWHERE if project is None else project
    first, last, oldest, has_nowhere = connection.execute(KEPT, {"project": place}).fetchone()
    if first is not None and last - first + 1 >= MAX_REMEMBERED_ANSWERS:
        state.full_since = oldest
    if has_nowhere:
        _load_answers(connection, NOWHERE, f"{state.project}/", asked, state)
    if project is not None and first is not None:
        _load_answers(connection, project, "", asked, state)
    if project is not None:
        _load_effects(connection, project, asked, state)


def forget_answers(connection: sqlite3.Connection, project: int) -> None:
    """Remove every answer without effect of the project: they may have any content of it."""
    connection.execute(FORGET_ALL, (project,))


def keep_receipts(connection: sqlite3.Connection, project: int, given: Iterable[tuple[str, Receipt]]) -> None:
    """Add the receipts of requests that had an effect."""
    rows = [
        (project, request_id, receipt.fingerprint, receipt.events[0].revision, receipt.events[-1].revision)
        for request_id, receipt in given
        if receipt.events
    ]
    insert(connection, "receipts", rows)


def keep_answers(
    connection: sqlite3.Connection, project: int | None, state: State, given: Iterable[tuple[str, Receipt]]
) -> None:
    """Add the receipts of requests that had no effect, and remove older ones that need not be kept."""
    answers = [(request_id, receipt) for request_id, receipt in given if not receipt.events]
    if not answers:
        return
    place, before = (NOWHERE, f"{state.project}/") if project is None else (project, "")
    first, last, *_ = connection.execute(KEPT, {"project": place}).fetchone()
    begin = 1 if last is None else last + 1
    for ordinal, (request_id, receipt) in enumerate(answers, begin):
        refusal = receipt.refusal
        told = (
            None if refusal is None else msgspec.json.encode((refusal.reason, str(refusal), refusal.metadata)).decode()
        )
        images = msgspec.json.encode([_revision(image) for image in receipt.images]).decode()
        row = (receipt.fingerprint, receipt.time, receipt.revision, images, told)
        connection.execute(_ANSWER, (place, ordinal, before + request_id, *row))
    if first is not None:
        excess = begin + len(answers) - first - MANY_ANSWERS
        _forget_oldest(connection, place, answers[-1][1].time, excess, 2 * len(answers) + _MORE)


def _forget_oldest(connection: sqlite3.Connection, place: int, now: int, excess: int, most: int) -> None:
    """Remove those of the oldest `most` answers that are too old, and `excess` of those that are not young."""
    last = None
    for count, (ordinal, time) in enumerate(connection.execute(OLDEST, (place, most))):
        age = now - time
        if age <= (REMEMBERED_AT_LEAST if count < excess else REMEMBERED_AT_MOST):
            break
        last = ordinal
    if last is not None:
        connection.execute(FORGET, (place, last))


def _load_answers(connection: sqlite3.Connection, place: int, before: str, asked: str, state: State) -> None:
    given = {"asked": asked, "place": place, "before": before}
    for request_id, fingerprint, time, revision, images, told in connection.execute(ANSWERS, given).fetchall():
        receipt = Receipt(fingerprint=fingerprint, time=time)
        if told is not None:
            state.receipts[request_id] = replace(receipt, refusal=remembered(*msgspec.json.decode(told)))
            continue
        then = Then(connection, place, revision)
        found = tuple(then.image(each) for each in msgspec.json.decode(images))
        holders = next((then.holders(image) for image in found if isinstance(image, Model)), None)
        state.receipts[request_id] = replace(receipt, revision=revision, images=found, holders=holders)


def _load_effects(connection: sqlite3.Connection, project: int, asked: str, state: State) -> None:
    effects: dict[tuple[str, bytes], list[Event]] = {}
    for request_id, fingerprint, *row in connection.execute(RECEIPTS, {"project": project, "asked": asked}):
        effects.setdefault((request_id, fingerprint), []).append(event_of(row))
    for (request_id, fingerprint), events in effects.items():
        then = Then(connection, project, events[-1].revision)
        state.receipts[request_id] = Receipt(
            fingerprint=fingerprint,
            time=events[-1].time,
            events=tuple(events),
            images=tuple(_beside(then, events)),
            holders=_held_after(then, events[-1]),
        )


def _beside(then: Then, events: Sequence[Event]) -> Iterable[Resource]:
    """Yield the resources in the answer of ensuring a version, or starting or joining a run, that no event has."""
    match last := events[-1].image:
        case VersionUse():
            yield then.run(last.run)
            yield then.version(last.model_id, last.number, last.model)
        case Run() if last.model is not None and not any(isinstance(event.image, ModelVersion) for event in events):
            yield then.version(last.model_id, last.number, last.model)
        case ModelVersion() if last.run is not None and events[-1].kind is Kind.VERSION_CREATED:
            yield then.run(last.run)
        case _:
            pass


def _held_after(then: Then, event: Event) -> Holders | None:
    """Return the holders of the event's model right after the event, None if the event is of no model."""
    if not isinstance(event.image, Model):
        return None
    # The answer has none for a model that is new or purged.
    return Holders() if event.kind in (Kind.MODEL_CREATED, Kind.MODEL_PURGED) else then.holders(event.image)


def _revision(image: Resource) -> int:
    return image.mod_revision
