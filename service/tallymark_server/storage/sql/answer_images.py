"""Resources as requests returned them at a revision, from the log alone, even if they were purged since."""

from __future__ import annotations

from msgspec.structs import replace

from tallymark_server.domain.model import Holders, Model, ModelVersion, Resource, Run
from tallymark_server.storage.codec import decode_run, decode_version
from tallymark_server.storage.log.event_rows import BESIDE_VERSIONS, event_of
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.event_columns import event_columns, listed
from tallymark_server.storage.sql.images import lists, name_as_of, run_as_of
from tallymark_server.storage.sql.last_numbers import last_number_as_of
from tallymark_server.storage.sql.session import ReadSession, Row
from tallymark_server.storage.sql.statement import Select, Statement


def _image(sql: Dialect, number: str, image: str = "past.image") -> str:
    """Return the term for the image of a version; one before the model was created anew belongs to another version."""
    return f"""
    (SELECT {image} FROM {sql.indexed("events AS past", "events_of_versions")}
        WHERE past.project = :project AND past.model = :model AND past.number = {number}
            AND past.revision BETWEEN :since AND :at AND past.kind NOT IN ({listed(BESIDE_VERSIONS)})
        ORDER BY past.revision DESC LIMIT 1)
    """


@Statement
def version_then(sql: Dialect) -> str:
    return f"SELECT {_image(sql, ':number', sql.whole('past'))}"


@Statement
def run_then(sql: Dialect) -> str:
    return f"""
    SELECT {sql.whole("events")}, {name_as_of(sql)} FROM runs
    {sql.join("events", f"events.project = runs.project AND events.revision = {run_as_of(sql)}")}
    WHERE runs.project = :project AND runs.id = :run
    """


@Statement
def event_then(sql: Dialect) -> str:
    """The columns of an event, with the name that its model had then, and the model's last number."""
    return f"""
    SELECT {event_columns(sql, model=name_as_of(sql))}, (
        SELECT {last_number_as_of(sql)} FROM models WHERE models.project = events.project AND models.id = events.model
    ) FROM events WHERE events.project = :project AND events.revision = :revision
    """


@Statement
def latest_then(sql: Dialect) -> str:
    return f"""
    SELECT made.number FROM {sql.indexed("events AS made", "events_of_versions")}
    WHERE made.project = :project AND made.model = :model AND made.number <= :last
        AND made.revision BETWEEN :since AND :at AND made.kind = 'version_created'
        AND {sql.integer(_image(sql, "made.number"), "delete_time")} IS NULL
    ORDER BY made.number DESC LIMIT 1
    """


@Statement
def in_stage_then(sql: Dialect) -> str:
    return f"""
    SELECT entered.number FROM (
        SELECT (
            SELECT number FROM {sql.indexed("events", "stage_changes")}
            WHERE project = :project AND model = :model AND {sql.text("image", "stage")} = :stage
                AND revision BETWEEN :since AND :at AND kind = 'stage_changed'
            ORDER BY revision DESC LIMIT 1
        ) AS number
    ) AS entered
    WHERE {sql.text(_image(sql, "entered.number"), "stage")} = :stage
    """


def _next_alias(sql: Dialect, after: str) -> str:
    return f"""
    (SELECT alias FROM {sql.indexed("events", "alias_changes")}
        WHERE project = :project AND model = :model AND alias > {after} AND kind = 'alias_set' ORDER BY alias LIMIT 1)
    """


@Statement
def aliases_then(sql: Dialect) -> str:
    return f"""
    WITH RECURSIVE known(alias) AS (
        SELECT {_next_alias(sql, "''")}
        UNION ALL
        SELECT {_next_alias(sql, "known.alias")} FROM known WHERE known.alias IS NOT NULL
    ), pointed AS (
        SELECT alias, (
            SELECT number FROM {sql.indexed("events", "alias_changes")}
            WHERE project = :project AND model = :model AND alias = known.alias AND revision BETWEEN :since AND :at
                AND kind = 'alias_set'
            ORDER BY revision DESC LIMIT 1
        ) AS number FROM known
    )
    SELECT pointed.alias, pointed.number FROM pointed
    WHERE {lists(sql, _image(sql, "pointed.number"), "aliases", "pointed.alias")}
    ORDER BY pointed.alias
    """


class AnswerImages:
    """The resources of one project as requests returned them at a revision."""

    def __init__(self, session: ReadSession, project: int, at: int) -> None:
        self._session = session
        self._project = project
        self._at = at

    async def version(self, model: int, number: int, name: str) -> ModelVersion:
        """Return the version, which existed then, of the model of that id and name."""
        parameters = {"project": self._project, "at": self._at, "since": 0, "model": model, "number": number}
        (image,) = await self._row(version_then(**parameters))
        return decode_version(image, name)

    async def run(self, run_id: str) -> Run:
        """Return the run, which existed then."""
        return decode_run(*await self._row(run_then(project=self._project, at=self._at, run=run_id)))

    async def image(self, revision: int) -> Resource:
        """Return the resource that had the image of that revision then."""
        *columns, last_number = await self._row(event_then(project=self._project, at=self._at, revision=revision))
        image = event_of(columns).image
        return replace(image, last_number=last_number) if isinstance(image, Model) else image

    async def holders(self, model: Model) -> Holders:
        """Return the holders of the model."""
        parameters: dict[str, object] = {
            "project": self._project,
            "at": self._at,
            "model": model.id,
            "since": model.create_revision,
        }
        latest, production, staging, aliases = await self._session.fetch(
            latest_then(**parameters, last=model.last_number),
            in_stage_then(**parameters, stage="production"),
            in_stage_then(**parameters, stage="staging"),
            aliases_then(**parameters),
        )
        return Holders(
            latest=latest[0][0] if latest else 0,
            production=production[0][0] if production else 0,
            staging=staging[0][0] if staging else 0,
            aliases=dict(aliases),
        )

    async def _row(self, select: Select) -> Row:
        ((row,),) = await self._session.fetch(select)
        return row
