"""Models and versions as they were at a revision, each found by a few steps through indexes."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from tallymark_server.domain.model import Model, ModelVersion, Stage
from tallymark_server.domain.reference import By, Reference
from tallymark_server.storage.codec import decode_model, decode_version
from tallymark_server.storage.log.event_rows import BESIDE_VERSIONS, OF_MODELS
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.event_columns import listed, one_of
from tallymark_server.storage.sql.holders import latest_as_of
from tallymark_server.storage.sql.last_numbers import last_number_as_of, search_last
from tallymark_server.storage.sql.session import ReadSession, Row
from tallymark_server.storage.sql.statement import Statement

# No log is as long.
_MAX_REVISION = 2**47


@Statement
def revision_at(_: Dialect) -> str:
    """The last revision at or before a time, 0 if none, by binary search: times never decrease along the log."""
    return search_last(
        "(SELECT time FROM events WHERE project = :project AND revision = lowest + step) <= :time", _MAX_REVISION
    )


@Statement
def model_at(sql: Dialect) -> str:
    """The image of a model, its last number, and whether it was purged since."""
    return f"""
    SELECT {sql.whole("events")},
        (SELECT {last_number_as_of(sql)} FROM models WHERE models.project = :project AND models.id = :model),
        EXISTS (
            SELECT 1 FROM {sql.indexed("events AS past", "changes_of_models")}
            WHERE past.project = :project AND past.model = :model AND past.revision > :at
                AND {one_of("past.kind", OF_MODELS)} AND past.kind = 'model_purged'
        )
    FROM {sql.indexed("events", "changes_of_models")}
    WHERE project = :project AND model = :model AND revision <= :at AND {one_of("kind", OF_MODELS)}
    ORDER BY revision DESC LIMIT 1
    """


# A name may have belonged to a model that is called otherwise since, and was another's before.
@Statement
def model_of_name_now(_: Dialect) -> str:
    return "SELECT id FROM models WHERE project = :project AND name = :name"


@Statement
def models_once_of_name(sql: Dialect) -> str:
    return f"""
    SELECT DISTINCT model FROM {sql.indexed("events", "model_renames")}
    WHERE project = :project AND previous_name = :name AND kind = 'model_renamed'
    """


@Statement
def version_at(sql: Dialect) -> str:
    """The image of a version that was not purged since."""
    return f"""
    SELECT {sql.whole("events")} FROM events
    WHERE project = :project AND model = :model AND number = :number AND revision <= :at
        AND kind NOT IN ({listed(BESIDE_VERSIONS)})
        AND EXISTS (
            SELECT 1 FROM versions
            WHERE versions.project = :project AND versions.model = :model AND versions.number = :number
                AND versions.deleted < 2
        )
    ORDER BY revision DESC LIMIT 1
    """


@Statement
def latest_at(sql: Dialect) -> str:
    return f"SELECT {latest_as_of(sql, ':model', ':last_number')}"


@Statement
def entered_stage_last(sql: Dialect) -> str:
    return f"""
    SELECT number FROM {sql.indexed("events", "stage_changes")}
    WHERE project = :project AND model = :model AND {sql.text("image", "stage")} = :value AND revision <= :at
        AND kind = 'stage_changed'
    ORDER BY revision DESC LIMIT 1
    """


@Statement
def got_alias_last(sql: Dialect) -> str:
    return f"""
    SELECT number FROM {sql.indexed("events", "alias_changes")}
    WHERE project = :project AND model = :model AND alias = :value AND revision <= :at AND kind = 'alias_set'
    ORDER BY revision DESC LIMIT 1
    """


@Statement
def version_of_name_now(_: Dialect) -> str:
    return "SELECT number FROM versions WHERE project = :project AND model = :model AND name = :value"


@Statement
def versions_once_of_name(sql: Dialect) -> str:
    return f"""
    SELECT DISTINCT number FROM {sql.indexed("events", "version_renames")}
    WHERE project = :project AND model = :model AND previous_name = :value AND kind = 'version_renamed'
    """


async def revision_of_time(session: ReadSession, project: int, time: int) -> int:
    """Return the last revision at or before the time, 0 if there is none."""
    (rows,) = await session.fetch(revision_at(project=project, time=time))
    return int(rows[0][0])


class Past:
    """One project as it was at a revision."""

    def __init__(self, session: ReadSession, project: int, at: int) -> None:
        self._session = session
        self._project = project
        self._at = at

    async def model(self, name: str) -> Model | None:
        """Return the model that had the name."""
        of_name = {"project": self._project, "name": name}
        now, once = await self._session.fetch(model_of_name_now(**of_name), models_once_of_name(**of_name))
        for (model_id,) in dict.fromkeys([*now, *once]):
            (rows,) = await self._session.fetch(model_at(project=self._project, model=model_id, at=self._at))
            for image, last_number, purged_since in rows:
                model = decode_model(image, 0)
                if model.name == name and not model.purged and not purged_since:
                    return replace(model, last_number=last_number)
        return None

    async def version(self, model: Model, reference: Reference) -> ModelVersion | None:
        """Return the version of the model that the reference meant."""
        value = reference.value
        match reference.by:
            case By.NUMBER:
                return await self._version(model, int(value))
            case By.LATEST:
                (found,) = await self._session.fetch(
                    latest_at(project=self._project, model=model.id, last_number=model.last_number, at=self._at)
                )
                return await self._holder(model, found, lambda version: version.delete_time is None)
            case By.STAGE:
                (found,) = await self._session.fetch(entered_stage_last(**self._given(model, value), at=self._at))
                return await self._holder(model, found, lambda version: version.stage is Stage(str(value)))
            case By.ALIAS:
                (found,) = await self._session.fetch(got_alias_last(**self._given(model, value), at=self._at))
                return await self._holder(model, found, lambda version: str(value) in version.aliases)
            case By.NAME:
                given = self._given(model, value)
                now, once = await self._session.fetch(version_of_name_now(**given), versions_once_of_name(**given))
                return await self._holder(model, [*now, *once], lambda version: version.name == value)

    async def _holder(
        self, model: Model, numbers: list[Row], holds: Callable[[ModelVersion], bool]
    ) -> ModelVersion | None:
        for (number,) in numbers:
            version = None if number is None else await self._version(model, number)
            if version is not None and holds(version):
                return version
        return None

    async def _version(self, model: Model, number: int) -> ModelVersion | None:
        (rows,) = await self._session.fetch(
            version_at(project=self._project, model=model.id, number=number, at=self._at)
        )
        return decode_version(rows[0][0], model.name) if rows else None

    def _given(self, model: Model, value: str | int) -> dict[str, object]:
        return {"project": self._project, "model": model.id, "value": value}
