"""What the log tells of the past.

The registry gives events forwards from a revision. Pages want the newest first, and of one model or version; so the log
is read backwards in windows, and never more of it than a page may cost: what is older is a click away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model, ModelVersion, Run, Stage
from tallymark_server.registry import Registry

WINDOW = 500
MAX_READ = 5000

Wanted = Callable[[Event], bool]


@dataclass(frozen=True, slots=True)
class Past:
    """Events, the newest first. `before` is the revision from which to read on, 0 at the beginning of the log."""

    events: list[Event]
    before: int


def about(model_id: int, number: int | None = None) -> Wanted:
    """Whether an event is about that model, or about that version of it."""

    def wanted(event: Event) -> bool:
        match event.image:
            case Model(id=found):
                return found == model_id and number is None
            case Run(model_id=found, number=of):
                return found == model_id and number in (None, of)
            case version:
                return version.model_id == model_id and number in (None, version.number)

    return wanted


def moved_to(stage: Stage, model_id: int, number: int) -> Wanted:
    """Whether an event is that the version came into that stage."""
    of_version = about(model_id, number)

    def wanted(event: Event) -> bool:
        return (
            event.kind is Kind.STAGE_CHANGED
            and of_version(event)
            and isinstance(event.image, ModelVersion)
            and event.image.stage is stage
        )

    return wanted


async def past(
    registry: Registry,
    project: str,
    before: int,
    wanted: Wanted,
    *,
    limit: int,
    oldest: int = 1,
    reading: int = MAX_READ,
) -> Past:
    """The last `limit` wanted events before that revision, and not before `oldest`, within `reading` events."""
    found: list[Event] = []
    end = max(before - reading, oldest)
    while before > end:
        after = max(before - 1 - WINDOW, end - 1)
        page = await registry.events(project, after, before - 1 - after)
        for event in reversed(page.items):
            if wanted(event):
                found.append(event)
                if len(found) == limit:
                    return Past(found, event.revision if event.revision > oldest else 0)
        before = after + 1
    return Past(found, before if before > oldest else 0)


async def revision_at(registry: Registry, project: str, time: int) -> int:
    """The revision at which the log stood at that time: the last event not after it, 0 if there was none."""
    low, high = 0, await head(registry, project)
    # Times in the log never go back, so the place can be halved.
    while low < high:
        middle = (low + high + 1) // 2
        [event] = (await registry.events(project, middle - 1, 1)).items
        if event.time <= time:
            low = middle
        else:
            high = middle - 1
    return low


async def head(registry: Registry, project: str) -> int:
    """The revision of the project's log."""
    return (await registry.events(project, 0, 1)).head.revision


@dataclass(frozen=True, slots=True)
class Reign:
    """What put a version into production, or production out of use, last. `event` is None when nothing did."""

    event: Event | None
    before: int

    @property
    def holder(self) -> ModelVersion | None:
        """The version that was in production from then on."""
        image = None if self.event is None else self.event.image
        return image if isinstance(image, ModelVersion) and image.stage is Stage.PRODUCTION else None


async def production(registry: Registry, project: str, model: Model, before: int) -> Reign:
    """Who came into production, or left it empty, last before that revision."""
    of_model = about(model.id)

    def wanted(event: Event) -> bool:
        if event.kind is not Kind.STAGE_CHANGED or not of_model(event) or not isinstance(event.image, ModelVersion):
            return False
        return Stage.PRODUCTION in (event.image.stage, event.previous_stage)

    found = await past(registry, project, before, wanted, limit=1, oldest=model.create_revision)
    return Reign(found.events[0], 0) if found.events else Reign(None, found.before)


async def holder_before(registry: Registry, project: str, model: Model, number: int) -> ModelVersion | None:
    """The last version, not of that number, that was in production, within what may be read."""
    of_model = about(model.id)

    def wanted(event: Event) -> bool:
        return (
            event.kind is Kind.STAGE_CHANGED
            and of_model(event)
            and isinstance(event.image, ModelVersion)
            and event.previous_stage is Stage.PRODUCTION
            and event.image.number != number
        )

    now = await head(registry, project) + 1
    found = await past(registry, project, now, wanted, limit=1, oldest=model.create_revision)
    image = found.events[0].image if found.events else None
    return image if isinstance(image, ModelVersion) else None
