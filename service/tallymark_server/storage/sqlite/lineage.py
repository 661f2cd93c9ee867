"""Lineage: the way from runs, versions and artifacts to the next ones, with a few statements for each distance."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from tallymark_server.domain.model import Artifact, ModelVersion, Run
from tallymark_server.storage.codec import decode_artifact, decode_run, decode_version
from tallymark_server.storage.contract import Direction, Edge, Lineage, Node, NodeKey
from tallymark_server.storage.sql.images import event_as_of, linked_as_of, name_as_of, run_as_of, version_as_of
from tallymark_server.storage.sql.pages import MAX_PAGE_SIZE, size_of
from tallymark_server.storage.sqlite.dialect import DIALECT
from tallymark_server.storage.sqlite.event_integrity import WHOLE

Found = ModelVersion | Run | Artifact
# ("version", model id, number), ("run", run id, 0) or ("artifact", key of its digest or URI, 0)
Key = NodeKey

NAME_AS_OF = name_as_of(DIALECT)
_ASKED = "(SELECT json_extract(value, '$[0]') AS first, json_extract(value, '$[1]') AS second FROM json_each(:keys))"
_OF_VERSIONS = "{table}.project = :project AND {table}.model = asked.first AND {table}.number = asked.second"


class Way(NamedTuple):
    """A step from one kind of thing to another; `found` comes from the start of the step if it goes downstream."""

    start: str
    end: str
    downstream: bool
    sql: str


def _to_runs(role: str) -> str:
    return f"""
    SELECT asked.first, asked.second, run_versions.run, 0 FROM {_ASKED} AS asked
    CROSS JOIN run_versions INDEXED BY runs_of_versions ON {_OF_VERSIONS.format(table="run_versions")}
        AND run_versions.role = '{role}' AND run_versions.revision <= :at
    """


def _from_runs(role: str) -> str:
    return f"""
    SELECT asked.first, asked.second, run_versions.model, run_versions.number FROM {_ASKED} AS asked
    CROSS JOIN run_versions ON run_versions.project = :project AND run_versions.run = asked.first
        AND run_versions.role = '{role}' AND run_versions.revision <= :at
    """


def _to_artifacts(role: str) -> str:
    return f"""
    SELECT asked.first, asked.second, artifacts.identity, 0 FROM {_ASKED} AS asked
    CROSS JOIN artifacts ON {_OF_VERSIONS.format(table="artifacts")} AND artifacts.role = '{role}'
        AND {linked_as_of("artifacts")}
    """


def _from_artifacts(role: str) -> str:
    return f"""
    SELECT asked.first, asked.second, artifacts.model, artifacts.number FROM {_ASKED} AS asked
    CROSS JOIN artifacts INDEXED BY artifacts_by_identity
    ON artifacts.project = :project AND artifacts.identity = asked.first
        AND artifacts.role = '{role}' AND {linked_as_of("artifacts")}
    """


WAYS = (
    Way("version", "run", downstream=False, sql=_to_runs("made")),
    Way("version", "run", downstream=True, sql=_to_runs("used")),
    Way("run", "version", downstream=False, sql=_from_runs("used")),
    Way("run", "version", downstream=True, sql=_from_runs("made")),
    Way("version", "artifact", downstream=False, sql=_to_artifacts("used")),
    Way("version", "artifact", downstream=True, sql=_to_artifacts("made")),
    Way("artifact", "version", downstream=False, sql=_from_artifacts("made")),
    Way("artifact", "version", downstream=True, sql=_from_artifacts("used")),
)
VERSIONS = f"""
SELECT versions.model, versions.number,
    json_remove({WHOLE}, '$.description', '$.metadata', '$.series'), {NAME_AS_OF}
FROM {_ASKED} AS asked
CROSS JOIN versions ON {_OF_VERSIONS.format(table="versions")}
{event_as_of(DIALECT, "versions", version_as_of(DIALECT))}
"""
RUNS = f"""
SELECT runs.id, 0, json_remove({WHOLE}, '$.parameters', '$.recording_problems', '$.command'), {NAME_AS_OF}
FROM {_ASKED} AS asked
CROSS JOIN runs ON runs.project = :project AND runs.id = asked.first AND runs.start_revision <= :at
{event_as_of(DIALECT, "runs", run_as_of(DIALECT))}
"""
# The first event of any link describes the artifact.
ARTIFACTS = f"""
SELECT asked.first, 0, {WHOLE}, {NAME_AS_OF} FROM {_ASKED} AS asked
CROSS JOIN events ON events.project = :project AND events.revision = (
    SELECT artifacts.start_revision FROM artifacts INDEXED BY artifacts_by_identity
    WHERE artifacts.project = :project AND artifacts.identity = asked.first AND {linked_as_of("artifacts")} LIMIT 1
)
"""
# The images that are in memory at once.
_READ_AT_ONCE = 50
_READ: dict[str, tuple[str, Callable[[str, str], Found]]] = {
    "version": (VERSIONS, decode_version),
    "run": (RUNS, decode_run),
    "artifact": (ARTIFACTS, decode_artifact),
}


class Asked(NamedTuple):
    """The connection, project and revision that a lineage is read from."""

    connection: sqlite3.Connection
    project: int
    at: int

    def rows(self, sql: str, keys: list[tuple[str | int, int]], **given: int) -> sqlite3.Cursor:
        """Return what the statement finds from these keys."""
        names = {"project": self.project, "at": self.at, "keys": json.dumps(keys, ensure_ascii=False)}
        return self.connection.execute(sql, {**names, **given})


def lineage(asked: Asked, start: Key, direction: Direction, depth: int, limit: int) -> Lineage:
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
            steps = _steps(asked, frontier, limit + 1, downstream=downstream)
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
    resources, left_out = _resources(asked, list(depths))
    truncated = truncated or left_out
    nodes = [Node(key, distance, resources[key]) for key, distance in depths.items() if key in resources]
    told = [Edge(one, other) for one, other in edges if one in resources and other in resources]
    return Lineage(sorted(nodes, key=lambda node: node.depth), told, truncated)


def _steps(asked: Asked, frontier: list[Key], limit: int, *, downstream: bool) -> list[tuple[Key, Key]]:
    found: list[tuple[Key, Key]] = []
    for way in WAYS:
        keys = [(key[1], key[2]) for key in frontier if key[0] == way.start]
        if way.downstream is downstream and keys:
            rows = asked.rows(f"{way.sql} LIMIT :limit", keys, limit=limit)
            found += [((way.start, first, second), (way.end, end, number)) for first, second, end, number in rows]
    return found


def _resources(asked: Asked, keys: list[Key]) -> tuple[dict[Key, Found], bool]:
    """Return the things of the keys in their order, as many as a client can receive, and whether some are left out."""
    resources: dict[Key, Found] = {}
    size = 0
    # The nearest are found first.
    for first in range(0, len(keys), _READ_AT_ONCE):
        few = keys[first : first + _READ_AT_ONCE]
        found: dict[Key, tuple[str, str]] = {}
        for kind, (sql, _) in _READ.items():
            of_kind = [(key[1], key[2]) for key in few if key[0] == kind]
            if of_kind:
                rows = asked.rows(sql, of_kind)
                found.update(((kind, one, other), (image, model)) for one, other, image, model in rows)
        for key in few:
            if key not in found:
                continue
            image, model = found[key]
            size += size_of(image)
            if resources and size > MAX_PAGE_SIZE:
                return resources, True
            resources[key] = _READ[key[0]][1](image, model)
    return resources, False
