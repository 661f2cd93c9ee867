"""Receipts of requests: of those that had an effect, and for some time of those without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from tallymark_server.domain.errors import MAX_REMEMBERED_ANSWERS, remembered
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Holders, Model, ModelVersion, Resource, Run, VersionUse
from tallymark_server.domain.state import REMEMBERED_AT_LEAST, REMEMBERED_AT_MOST, Receipt, State
from tallymark_server.storage.log.event_rows import event_of
from tallymark_server.storage.sql.answer_images import AnswerImages
from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sql.event_columns import event_columns
from tallymark_server.storage.sql.images import name_as_of
from tallymark_server.storage.sql.session import ReadSession, Row, Session
from tallymark_server.storage.sql.statement import Select, Statement, parameter
from tallymark_server.storage.sql.tables import ANSWERS, RECEIPTS

# The number of answers without effect that a project keeps beyond those that it must keep.
MANY_ANSWERS = 100_000
# So many more of the oldest answers are looked at than were added, so that outdated ones never pile up.
_MORE = 16
# The id for answers about projects that do not exist.
NOWHERE = 0


@Statement
def effects_of_requests(sql: Dialect) -> str:
    at = "receipts.last_revision"
    effect = f"events.project = :project AND events.revision BETWEEN receipts.first_revision AND {at}"
    return f"""
    SELECT receipts.request_id, receipts.fingerprint, {event_columns(sql, model=name_as_of(sql, at))}
    FROM {sql.keys("wanted", request=Type.TEXT)}
    {sql.join("receipts", "receipts.project = :project AND receipts.request_id = wanted.request")}
    {sql.join("events", effect, many=True)}
    ORDER BY events.revision
    """


@Statement
def answers_to_requests(sql: Dialect) -> str:
    return f"""
    SELECT wanted.request, answers.fingerprint, answers.time, answers.revision, answers.images, answers.refusal
    FROM {sql.keys("wanted", request=Type.TEXT)}
    {sql.join("answers", "answers.project = :place AND answers.request_id = :prefix || wanted.request")}
    """


@Statement
def kept_answers(_: Dialect) -> str:
    return """
    SELECT (SELECT ordinal FROM answers WHERE project = :place AND ordinal > 0 ORDER BY ordinal LIMIT 1),
        (SELECT ordinal FROM answers WHERE project = :place AND ordinal > 0 ORDER BY ordinal DESC LIMIT 1),
        EXISTS (SELECT 1 FROM answers WHERE project = 0 AND ordinal > 0)
    """


@Statement
def oldest_answers(_: Dialect) -> str:
    return "SELECT ordinal, time FROM answers WHERE project = :place AND ordinal > 0 ORDER BY ordinal LIMIT :limit"


def selects(session: ReadSession, project: int | None, ids: set[str]) -> list[Select]:
    """Return what `load_receipts` needs of the request ids in a project, None if it does not exist."""
    if not ids:
        return []
    if project is None:
        return [kept_answers(place=NOWHERE)]
    wanted = parameter(ids)
    needed = [kept_answers(place=project), effects_of_requests(project=project, wanted=wanted)]
    return [*needed, answers_to_requests(place=project, prefix="", wanted=wanted)] if session.eager else needed


async def load_receipts(
    session: ReadSession, project: int | None, ids: set[str], state: State, found: list[list[Row]]
) -> None:
    """Load the receipts of the request ids, given the rows of `selects`."""
    if not ids:
        return
    state.receipts.update(dict.fromkeys(ids))
    ((first, last, has_nowhere),), *rest = found
    if first is not None and last - first + 1 >= MAX_REMEMBERED_ANSWERS:
        (oldest,) = await session.fetch(oldest_answers(place=NOWHERE if project is None else project, limit=1))
        state.full_since = oldest[0][1]
    if has_nowhere:
        await _load_answers(session, NOWHERE, f"{state.project}/", ids, state)
    if project is None:
        return
    effects, *answers = rest
    if answers:
        await _add_answers(session, project, answers[0], state)
    elif first is not None:
        await _load_answers(session, project, "", ids, state)
    await _add_effects(session, project, effects, state)


async def forget_answers(session: Session, project: int) -> None:
    """Remove every answer without effect of the project: they may have any content of it."""
    await session.remove(ANSWERS, ("project",), [(project,)])


async def keep_receipts(session: Session, project: int, given: Iterable[tuple[str, Receipt]]) -> None:
    """Add the receipts of requests that had an effect."""
    rows = [
        (project, request_id, receipt.fingerprint, receipt.events[0].revision, receipt.events[-1].revision)
        for request_id, receipt in given
        if receipt.events
    ]
    if rows:
        await session.insert(RECEIPTS, rows)


async def keep_answers(
    session: Session, project: int | None, state: State, given: Iterable[tuple[str, Receipt]]
) -> None:
    """Add the receipts of requests that had no effect, and remove older ones that need not be kept."""
    answers = [(request_id, receipt) for request_id, receipt in given if not receipt.events]
    if not answers:
        return
    place, prefix = (NOWHERE, f"{state.project}/") if project is None else (project, "")
    looked_at = 2 * len(answers) + _MORE
    kept, oldest = await session.fetch(kept_answers(place=place), oldest_answers(place=place, limit=looked_at))
    ((first, last, _),) = kept
    begin = 1 if last is None else last + 1
    rows = [
        (place, ordinal, prefix + request_id, *_answer_columns(receipt))
        for ordinal, (request_id, receipt) in enumerate(answers, begin)
    ]
    # A request whose answer was removed long ago may be answered anew.
    await session.remove(ANSWERS, ("project", "request_id"), [(row[0], row[2]) for row in rows])
    await session.insert(ANSWERS, rows)
    if first is not None:
        excess = begin + len(answers) - first - MANY_ANSWERS
        outdated = list(_outdated(oldest, answers[-1][1].time, excess))
        await session.remove(ANSWERS, ("project", "ordinal"), [(place, ordinal) for ordinal in outdated])


def _answer_columns(receipt: Receipt) -> tuple[object, ...]:
    refusal = receipt.refusal
    shown = None if refusal is None else parameter((refusal.reason, str(refusal), refusal.metadata))
    images = parameter(image.mod_revision for image in receipt.images)
    return receipt.fingerprint, receipt.time, receipt.revision, images, shown


def _outdated(oldest: Iterable[Row], now: int, excess: int) -> Iterator[int]:
    """Yield the ordinals of those of the oldest answers that are too old, and of `excess` that are not young."""
    for count, (ordinal, time) in enumerate(oldest):
        if now - time <= (REMEMBERED_AT_LEAST if count < excess else REMEMBERED_AT_MOST):
            return
        yield ordinal


async def _load_answers(session: ReadSession, place: int, prefix: str, ids: set[str], state: State) -> None:
    (rows,) = await session.fetch(answers_to_requests(place=place, prefix=prefix, wanted=parameter(ids)))
    await _add_answers(session, place, rows, state)


async def _add_answers(session: ReadSession, place: int, rows: list[Row], state: State) -> None:
    for request_id, fingerprint, time, revision, images, refusal in rows:
        receipt = Receipt(fingerprint=fingerprint, time=time)
        if refusal is not None:
            state.receipts[request_id] = replace(receipt, refusal=remembered(*msgspec.json.decode(refusal)))
            continue
        then = AnswerImages(session, place, revision)
        found = [await then.image(each) for each in msgspec.json.decode(images)]
        model = next((image for image in found if isinstance(image, Model)), None)
        holders = None if model is None else await then.holders(model)
        state.receipts[request_id] = replace(receipt, revision=revision, images=tuple(found), holders=holders)


async def _add_effects(session: ReadSession, project: int, rows: list[Row], state: State) -> None:
    effects: dict[tuple[str, bytes], list[Event]] = {}
    for request_id, fingerprint, *row in rows:
        effects.setdefault((request_id, fingerprint), []).append(event_of(row))
    for (request_id, fingerprint), events in effects.items():
        then = AnswerImages(session, project, events[-1].revision)
        state.receipts[request_id] = Receipt(
            fingerprint=fingerprint,
            time=events[-1].time,
            events=tuple(events),
            images=tuple(await _beside(then, events)),
            holders=await _held_after(then, events[-1]),
        )


async def _beside(then: AnswerImages, events: Sequence[Event]) -> list[Resource]:
    """Return the resources in the answer of ensuring a version, or starting or joining a run, that no event has."""
    match last := events[-1].image:
        case VersionUse():
            run = await then.run(last.run)
            return [run, await then.version(last.model_id, last.number, last.model)]
        case Run() if last.model is not None and not any(isinstance(event.image, ModelVersion) for event in events):
            return [await then.version(last.model_id, last.number, last.model)]
        case ModelVersion() if last.run is not None and events[-1].kind is Kind.VERSION_CREATED:
            return [await then.run(last.run)]
        case _:
            return []


async def _held_after(then: AnswerImages, event: Event) -> Holders | None:
    """Return the holders of the event's model right after the event, None if the event is of no model."""
    if not isinstance(event.image, Model):
        return None
    # The answer has none for a model that is new or purged.
    if event.kind in (Kind.MODEL_CREATED, Kind.MODEL_PURGED):
        return Holders()
    return await then.holders(event.image)
