"""Lineage: the way from runs, versions and artifacts to the next ones, with a few statements for each distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tallymark_server.domain.model import Artifact, ModelVersion, Run
from tallymark_server.storage.codec import decode_artifact, decode_run, decode_version
from tallymark_server.storage.contract import Direction, Edge, Lineage, Node, NodeKey
from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sql.images import event_as_of, linked_as_of, name_as_of, run_as_of, version_as_of
from tallymark_server.storage.sql.pages import MAX_PAGE_SIZE, size_of
from tallymark_server.storage.sql.session import ReadSession
from tallymark_server.storage.sql.statement import Statement, parameter

Resource = ModelVersion | Run | Artifact
# ("version", model id, number), ("run", run id, 0) or ("artifact", key of its digest or URI, 0)
Key = NodeKey


def _versions(sql: Dialect) -> str:
    return sql.keys("wanted", first=Type.INTEGER, second=Type.INTEGER)


def _others(sql: Dialect) -> str:
    """Return the wanted runs or artifacts."""
    return sql.keys("wanted", first=Type.TEXT, second=Type.INTEGER)


def _of_version(table: str) -> str:
    return f"{table}.project = :project AND {table}.model = wanted.first AND {table}.number = wanted.second"


def _to_runs(role: str) -> Statement:
    def write(sql: Dialect) -> str:
        used = f"{_of_version('run_versions')} AND run_versions.role = '{role}' AND run_versions.revision <= :at"
        return f"""
        SELECT wanted.first, wanted.second, run_versions.run, 0 FROM {_versions(sql)}
        {sql.join("run_versions", used, index="runs_of_versions", many=True)} LIMIT :limit
        """

    return Statement(write)


def _from_runs(role: str) -> Statement:
    def write(sql: Dialect) -> str:
        used = f"""
            run_versions.project = :project AND run_versions.run = wanted.first AND run_versions.role = '{role}'
            AND run_versions.revision <= :at
        """
        return f"""
        SELECT wanted.first, wanted.second, run_versions.model, run_versions.number FROM {_others(sql)}
        {sql.join("run_versions", used, many=True)} LIMIT :limit
        """

    return Statement(write)


def _to_artifacts(role: str) -> Statement:
    def write(sql: Dialect) -> str:
        linked = f"{_of_version('artifacts')} AND artifacts.role = '{role}' AND {linked_as_of('artifacts')}"
        return f"""
        SELECT wanted.first, wanted.second, artifacts.identity, 0 FROM {_versions(sql)}
        {sql.join("artifacts", linked, many=True)} LIMIT :limit
        """

    return Statement(write)


def _from_artifacts(role: str) -> Statement:
    def write(sql: Dialect) -> str:
        linked = f"""
            artifacts.project = :project AND artifacts.identity = wanted.first AND artifacts.role = '{role}'
            AND {linked_as_of("artifacts")}
        """
        return f"""
        SELECT wanted.first, wanted.second, artifacts.model, artifacts.number FROM {_others(sql)}
        {sql.join("artifacts", linked, index="artifacts_by_identity", many=True)} LIMIT :limit
        """

    return Statement(write)


class EdgeKind(NamedTuple):
    """The edges from one kind of node to another in one direction, and the statement that finds them."""

    start: str
    end: str
    downstream: bool


edges_of = {
    EdgeKind("version", "run", downstream=False): _to_runs("made"),
    EdgeKind("version", "run", downstream=True): _to_runs("used"),
    EdgeKind("run", "version", downstream=False): _from_runs("used"),
    EdgeKind("run", "version", downstream=True): _from_runs("made"),
    EdgeKind("version", "artifact", downstream=False): _to_artifacts("used"),
    EdgeKind("version", "artifact", downstream=True): _to_artifacts("made"),
    EdgeKind("artifact", "version", downstream=False): _from_artifacts("made"),
    EdgeKind("artifact", "version", downstream=True): _from_artifacts("used"),
}


@Statement
def versions_of_lineage(sql: Dialect) -> str:
    return f"""
    SELECT versions.model, versions.number,
        {sql.without(sql.whole("events"), "description", "metadata", "series")}, {name_as_of(sql)}
    FROM {_versions(sql)} {sql.join("versions", _of_version("versions"))}
    {event_as_of(sql, "versions", version_as_of(sql))}
    """


@Statement
def runs_of_lineage(sql: Dialect) -> str:
    started = "runs.project = :project AND runs.id = wanted.first AND runs.start_revision <= :at"
    return f"""
    SELECT runs.id, 0, {sql.without(sql.whole("events"), "parameters", "recording_problems", "command")},
        {name_as_of(sql)}
    FROM {_others(sql)} {sql.join("runs", started)} {event_as_of(sql, "runs", run_as_of(sql))}
    """


@Statement
def artifacts_of_lineage(sql: Dialect) -> str:
    """The artifacts, each described by the first event of any of its links."""
    linked = f"""
        SELECT artifacts.start_revision FROM {sql.indexed("artifacts", "artifacts_by_identity")}
        WHERE artifacts.project = :project AND artifacts.identity = wanted.first AND {linked_as_of("artifacts")} LIMIT 1
    """
    return f"""
    SELECT wanted.first, 0, {sql.whole("events")}, {name_as_of(sql)} FROM {_others(sql)}
    {sql.join("events", f"events.project = :project AND events.revision = ({linked})")}
    """


# The images that are in memory at once.
_READ_AT_ONCE = 50
_READ: dict[str, tuple[Statement, Callable[[str, str], Resource]]] = {
    "version": (versions_of_lineage, decode_version),
    "run": (runs_of_lineage, decode_run),
    "artifact": (artifacts_of_lineage, decode_artifact),
}


class LineageSource(NamedTuple):
    """The session, project and revision that a lineage is read from."""

    session: ReadSession
    project: int
    at: int


async def read_lineage(source: LineageSource, start: Key, direction: Direction, depth: int, limit: int) -> Lineage:
    """Return what is found from the start in that direction, at most so many edges away and so many nodes.

    The two directions are followed each by itself: what else came from the same source is neither.
    """
    depths: dict[Key, int] = {start: 0}
    edges: dict[tuple[Key, Key], None] = {}
    truncated = False
    for way in direction:
        downstream = way is Direction.DOWNSTREAM
        frontier = [start]
        seen = {start}
        for distance in range(1, depth + 2):
            steps = await _steps(source, frontier, limit + 1, downstream=downstream)
            fresh = list(dict.fromkeys(key for _, key in steps if key not in seen))
            if distance > depth:
                truncated = truncated or bool(fresh)
                break
            room = limit - len(depths)
            if len(fresh) > room or len(steps) > limit:
                truncated, fresh = True, fresh[:room]
                kept = seen | set(fresh)
                steps = [step for step in steps if step[1] in kept]
            edges.update(dict.fromkeys((one, other) if downstream else (other, one) for one, other in steps))
            for key in fresh:
                depths.setdefault(key, distance)
            seen.update(fresh)
            frontier = fresh
    resources, left_out = await _resources(source, list(depths))
    truncated = truncated or left_out
    nodes = [Node(key, distance, resources[key]) for key, distance in depths.items() if key in resources]
    shown = [Edge(one, other) for one, other in edges if one in resources and other in resources]
    return Lineage(sorted(nodes, key=lambda node: node.depth), shown, truncated)


async def _steps(source: LineageSource, frontier: list[Key], limit: int, *, downstream: bool) -> list[tuple[Key, Key]]:
    session, project, at = source
    wanted = {kind: [(first, second) for start, first, second in frontier if start == kind] for kind in _READ}
    kinds = [kind for kind in edges_of if kind.downstream is downstream and wanted[kind.start]]
    answers = await session.fetch(
        *(edges_of[kind](project=project, at=at, wanted=parameter(wanted[kind.start]), limit=limit) for kind in kinds)
    )
    return [
        ((kind.start, first, second), (kind.end, end, number))
        for kind, rows in zip(kinds, answers, strict=True)
        for first, second, end, number in rows
    ]


async def _resources(source: LineageSource, keys: list[Key]) -> tuple[dict[Key, Resource], bool]:
    """Return the things of the keys in their order, as many as a client can receive, and whether some are left out."""
    session, project, at = source
    resources: dict[Key, Resource] = {}
    size = 0
    # The nearest are found first.
    for begin in range(0, len(keys), _READ_AT_ONCE):
        few = keys[begin : begin + _READ_AT_ONCE]
        wanted = {kind: [(first, second) for start, first, second in few if start == kind] for kind in _READ}
        kinds = [kind for kind in _READ if wanted[kind]]
        answers = await session.fetch(
            *(_READ[kind][0](project=project, at=at, wanted=parameter(wanted[kind])) for kind in kinds)
        )
        found: dict[Key, tuple[str, str]] = {}
        for kind, rows in zip(kinds, answers, strict=True):
            found.update(((kind, first, second), (image, model)) for first, second, image, model in rows)
        for key in few:
            if key not in found:
                continue
            image, model = found[key]
            size += size_of(image)
            if resources and size > MAX_PAGE_SIZE:
                return resources, True
            resources[key] = _READ[key[0]][1](image, model)
    return resources, False
