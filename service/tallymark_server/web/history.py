"""Reads of the log: what happened, and which version was in production when.

Events of a model, a version or a kind are found with indexes. Events of an actor are not: the log is read backwards for
them, in windows and only as far as a page may cost. Older events are on the next page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from tallymark_server.domain.errors import ModelNotFound, StageEmpty
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model, ModelVersion, Stage
from tallymark_server.domain.reference import in_stage
from tallymark_server.registry import ReadAt, Registry, Scope

WINDOW = 500
MAX_READ = 5000
# How many changes of stages are searched for one into a certain stage.
MAX_MOVES = 1000


@dataclass(frozen=True, slots=True)
class Past:
    """Events, newest first. `before` is the revision before which to continue, 0 at the beginning of the log."""

    events: list[Event]
    before: int


async def past(registry: Registry, project: str, within: Scope, actor: str, *, limit: int) -> Past:
    """Return the last `limit` events of the scope, of that actor if one is given, as far as the log is searched."""
    found: list[Event] = []
    read, before = 0, within.before
    size = WINDOW if actor else limit + 1
    while read < MAX_READ:
        scope = Scope(model_id=within.model_id, kinds=within.kinds, newest_first=True, before=before)
        page = (await registry.history(project, scope, size)).items
        found += [event for event in page if actor in ("", event.actor)]
        if len(found) > limit:
            return Past(found[:limit], found[limit - 1].revision)
        if len(page) < size:
            return Past(found, 0)
        read, before = read + size, page[-1].revision
    return Past(found, before or 0)


async def of(registry: Registry, project: str, model_id: int, number: int | None, before: int, *, limit: int) -> Past:
    """Return the last `limit` events of the model, or of that version, before that revision."""
    scope = Scope(model_id=model_id, number=number, newest_first=True, before=before)
    found = (await registry.history(project, scope, limit + 1)).items
    more = len(found) > limit
    return Past(found[:limit], found[limit - 1].revision if more else 0)


async def head(registry: Registry, project: str) -> int:
    """Return the last revision of the project's log."""
    return (await registry.events(project, 0, 1)).head.revision


async def entered(
    registry: Registry, project: str, version: ModelVersion, stage: Stage, before: int | None = None
) -> Event | None:
    """Return the last event that moved the version into that stage, before that revision if one is given."""
    scope = Scope(
        model_id=version.model_id,
        number=version.number,
        kinds=frozenset({Kind.STAGE_CHANGED}),
        newest_first=True,
        before=before,
    )
    for event in (await registry.history(project, scope, 10)).items:
        if isinstance(event.image, ModelVersion) and event.image.stage is stage:
            return event
    return None


@dataclass(frozen=True, slots=True)
class ProductionChange:
    """The last event that changed which version is in production. `event` is None if there was none."""

    event: Event | None

    @property
    def holder(self) -> ModelVersion | None:
        """The version that was in production after the event."""
        image = None if self.event is None else self.event.image
        return image if isinstance(image, ModelVersion) and image.stage is Stage.PRODUCTION else None


async def production_change(registry: Registry, project: str, model: Model, before: int) -> ProductionChange:
    """Return the last change of production before that revision."""
    async for event in _moves(registry, project, model, before):
        if isinstance(event.image, ModelVersion) and Stage.PRODUCTION in (event.image.stage, event.previous_stage):
            return ProductionChange(event)
    # The search ends after many other changes of stages; the version in production is known without it.
    with suppress(StageEmpty, ModelNotFound):
        then = ReadAt(revision=before - 1)
        version = await registry.version(project, model.name, in_stage(Stage.PRODUCTION), deleted=True, read_at=then)
        return ProductionChange(await entered(registry, project, version, Stage.PRODUCTION, before))
    return ProductionChange(None)


class ProductionPeriod(NamedTuple):
    """A period in which a version was in production, from an event until a time, None if it still is."""

    since: Event
    version: ModelVersion
    until: int | None


async def production_periods(registry: Registry, project: str, model: Model, limit: int) -> list[ProductionPeriod]:
    """Return the last periods in production, the latest first."""
    found: list[ProductionPeriod] = []
    until: int | None = None
    async for event in _moves(registry, project, model, None):
        image = event.image
        if not isinstance(image, ModelVersion) or Stage.PRODUCTION not in (image.stage, event.previous_stage):
            continue
        if image.stage is Stage.PRODUCTION:
            found.append(ProductionPeriod(event, image, until))
        until = event.time
        if len(found) == limit:
            break
    return found


async def holder_before(registry: Registry, project: str, model: Model, number: int) -> ModelVersion | None:
    """Return the last version that entered production, other than the one of that number: `Client.rollback`'s rule."""
    async for event in _moves(registry, project, model, None):
        image = event.image
        if isinstance(image, ModelVersion) and image.stage is Stage.PRODUCTION and image.number != number:
            return image
    return None


async def _moves(registry: Registry, project: str, model: Model, before: int | None) -> AsyncIterator[Event]:
    """Yield the changes of stages of the model's versions, newest first."""
    read = 0
    while read < MAX_MOVES:
        kinds = frozenset({Kind.STAGE_CHANGED})
        scope = Scope(model_id=model.id, kinds=kinds, newest_first=True, before=before)
        page = (await registry.history(project, scope, 50)).items
        for event in page:
            yield event
        if not page:
            return
        read, before = read + len(page), page[-1].revision
