"""Finds in a database of ZenML: models, their versions, and the runs that made and used them."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tallymark_server.domain import naming
from tallymark_server.domain.model import ArtifactType, ModelCard, RunState, Stage, Uri, Value
from tallymark_server.foreign.fitting import fit_facts, fit_name, fit_tags, fit_text, share_stages
from tallymark_server.foreign.found import (
    CannotReadError,
    Facts,
    FoundArtifact,
    FoundModel,
    FoundRun,
    FoundVersion,
    Report,
)
from tallymark_server.foreign.opened import opened, tables_of

MAKER = "zenml"
_WHAT = "a database of ZenML 0.80 or later"
_TABLES = (
    "artifact",
    "artifact_version",
    "model",
    "model_version",
    "model_versions_artifacts",
    "model_versions_runs",
    "pipeline",
    "pipeline_run",
    "project",
    "run_metadata",
    "run_metadata_resource",
    "service",
    "tag",
    "tag_resource",
    "user",
)
# What a run was started with; older releases keep it elsewhere.
_TABLES_SINCE_0_90 = ("code_reference", "pipeline_snapshot")
_STATES = {
    "completed": RunState.SUCCEEDED,
    "cached": RunState.SUCCEEDED,
    "failed": RunState.FAILED,
    "stopped": RunState.FAILED,
    "cancelled": RunState.FAILED,
}
_TYPES = {"ModelArtifact": ArtifactType.MODEL, "ServiceArtifact": ArtifactType.DEPLOYMENT}
_CARD = ("description", "license", "audience", "use_cases", "limitations", "trade_offs", "ethics")
# ZenML asks the clock once for each key of what is logged at once, and twice for what is created.
_AT_ONCE = 1_000_000
_UNCHANGED = 10_000
# Beyond this, not every integer is a number here.
_EXACT = 1 << 53

Row = dict[str, Any]


def find(database: str, project: str | None, report: Report, tell: Callable[[int, int], None]) -> list[FoundModel]:
    """Every model of a project, or of the only one that has models; CannotReadError.

    `database` is the file, or sqlite:/// and the file. `tell` is called with how many models are done, and how many
    there are.
    """
    if "://" in database and not database.startswith("sqlite:///"):
        raise CannotReadError("only the SQLite file of a ZenML store can be read; copy other databases into one first")
    with opened(Path(database.removeprefix("sqlite:///")), _TABLES, _WHAT) as connection:
        tables = {table: _rows(connection, table) for table in _TABLES}
        there = tables_of(connection)
        tables |= {table: _rows(connection, table) if table in there else [] for table in _TABLES_SINCE_0_90}
    return _Finder(tables, report).models(project, tell)


def _rows(connection: sqlite3.Connection, table: str) -> list[Row]:
    return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]  # noqa: S608 - a constant of ours


class _Finder:
    def __init__(self, tables: dict[str, list[Row]], report: Report) -> None:
        self._tables = tables
        self._report = report
        self._by_id = {table: {row["id"]: row for row in rows if "id" in row} for table, rows in tables.items()}
        self._runs: dict[str, FoundRun] = {}
        self._groups: dict[str, dict[str, list[Row]]] = {}

    def models(self, project: str | None, tell: Callable[[int, int], None]) -> list[FoundModel]:
        chosen = self._project(project)
        rows = [row for row in self._tables["model"] if row["project_id"] == chosen]
        versions = self._grouped("model_version", "model_id")
        models, taken = [], set[str]()
        for done, row in enumerate(sorted(rows, key=lambda row: row["created"]), 1):
            models.append(self._model(row, sorted(versions[row["id"]], key=lambda version: version["number"]), taken))
            tell(done, len(rows))
        self._tell_what_stays()
        return models

    def _project(self, name: str | None) -> str:
        names = {row["id"]: row["name"] for row in self._tables["project"]}
        with_models = {row["project_id"] for row in self._tables["model"]}
        if name is None and len(with_models) > 1:
            told = ", ".join(sorted(names[project] for project in with_models))
            raise CannotReadError(f"there are several projects: name one of {told} with --from-project")
        found = [project for project, called in names.items() if called == name] if name else list(with_models)
        if name and not found:
            raise CannotReadError(f"there is no project {name}; there are {', '.join(sorted(names.values()))}")
        return found[0] if found else ""

    def _model(self, row: Row, versions: Sequence[Row], taken: set[str]) -> FoundModel:
        where = f"model {row['name']}"
        name = fit_name(row["name"], naming.model_name, taken, self._report, where)
        taken.add(name)
        texts: dict[str, Any] = {
            field: fit_text(row[field] or "", self._report, f"{where}: its {field}") for field in _CARD
        }
        if not row["save_models_to_registry"]:
            self._report.lost(where, "that it is not saved to model registries is a setting of ZenML")
        names: set[str] = set()
        found = [self._version(version, row["name"], names) for version in versions]
        share_stages(name, found, self._report)
        created = _micros(row["created"])
        return FoundModel(
            name=name,
            card=ModelCard(**texts, tags=self._tags(row["id"], "model", where)),
            creator=self._user(row["user_id"]),
            create_time=created,
            update_time=_changed(row),
            versions=found,
        )

    def _version(self, row: Row, model: str, names: set[str]) -> FoundVersion:
        where = f"version {model}/{row['number']}"
        name = None
        if row["name"] != str(row["number"]):
            name = fit_name(row["name"], naming.version_name, names, self._report, where)
            names.add(name)
        created = _micros(row["created"])
        run, used_by = self._runs_of(row)
        return FoundVersion(
            number=row["number"],
            name=name,
            stage=self._stage(row["stage"], where),
            description=fit_text(row["description"] or "", self._report, f"{where}: its description"),
            tags=self._tags(row["id"], "model_version", where),
            facts=list(self._facts(row["id"], where)),
            artifacts=list(self._artifacts(row["id"], where)),
            run=run,
            used_by=used_by,
            creator=self._user(row["user_id"]),
            create_time=created,
            update_time=_changed(row),
        )

    def _stage(self, stage: str | None, where: str) -> Stage:
        try:
            return Stage(stage or "none")
        except ValueError:
            why = "is computed here" if stage == "latest" else "is unknown here"
            self._report.lost(where, f"stage {stage!r} {why}; it is in none")
            return Stage.NONE

    def _tags(self, resource: str, kind: str, where: str) -> tuple[str, ...]:
        links = self._grouped("tag_resource", "resource_id")[resource]
        names = [self._by_id["tag"][link["tag_id"]]["name"] for link in links if link["resource_type"] == kind]
        return fit_tags(names, self._report, where)

    def _facts(self, version: str, where: str) -> Iterator[Facts]:
        """What was logged, in the order in which it was."""
        links = self._grouped("run_metadata_resource", "resource_id")[version]
        rows = [
            self._by_id["run_metadata"][link["run_metadata_id"]]
            for link in links
            if link["resource_type"] == "model_version"
        ]
        so_far: dict[str, Value] = {}
        stretch: Facts | None = None
        for row in sorted(rows, key=lambda row: row["created"]):
            value = self._value(row, f"{where}, metadata {row['key']!r}")
            values = fit_facts({row["key"]: value}, self._report, where, so_far)
            so_far |= values
            facts = Facts(_micros(row["created"]), self._user(row["user_id"]), values)
            if stretch and not _at_once(stretch, facts):
                yield stretch
                stretch = None
            stretch = facts._replace(values={**stretch.values, **values}) if stretch else facts
        if stretch:
            yield stretch

    def _value(self, row: Row, where: str) -> Value:
        try:
            value = json.loads(row["value"])
        except ValueError:
            self._report.lost(where, "is no JSON, and is kept as text")
            return str(row["value"])
        if row["type"] in ("Uri", "Path") and isinstance(value, str):
            return Uri(value)
        return self._typed(value, where)

    def _typed(self, value: Any, where: str) -> Value:
        match value:
            case bool() | str() | float():
                return value
            case int():
                if abs(value) > _EXACT:
                    self._report.lost(where, f"{value} is kept as text: numbers are exact up to {_EXACT:,}")
                    return str(value)
                return float(value)
            case list():
                return tuple(self._typed(item, where) for item in value)
            case dict():
                return {str(key): self._typed(item, where) for key, item in value.items()}
            case _:
                self._report.lost(where, "null is kept as an empty text")
                return ""

    def _artifacts(self, version: str, where: str) -> Iterator[FoundArtifact]:
        for link in sorted(
            self._grouped("model_versions_artifacts", "model_version_id")[version], key=lambda link: link["created"]
        ):
            artifact = self._by_id["artifact_version"][link["artifact_version_id"]]
            name = self._by_id["artifact"][artifact["artifact_id"]]["name"]
            yield FoundArtifact(
                name=fit_name(name, naming.model_name, (), self._report, where, "artifact's name"),
                type=_TYPES.get(artifact["type"], ArtifactType.DATA),
                uri=artifact["uri"],
                time=_micros(link["created"]),
            )

    def _runs_of(self, version: Row) -> tuple[FoundRun | None, list[FoundRun]]:
        """The run that made the version, and those that used it."""
        links = self._grouped("model_versions_runs", "model_version_id")[version["id"]]
        linked = [link["pipeline_run_id"] for link in sorted(links, key=lambda link: link["created"])]
        producer = version["producer_run_id_if_numeric"]
        made = self._run(producer) if producer in self._by_id["pipeline_run"] else None
        return made, [self._run(run) for run in dict.fromkeys(linked) if run != producer]

    def _run(self, run_id: str) -> FoundRun:
        if run_id not in self._runs:
            row = self._by_id["pipeline_run"][run_id]
            pipeline = self._by_id["pipeline"].get(row["pipeline_id"], row)
            start = _micros(row["start_time"] or row["created"])
            self._runs[run_id] = FoundRun(
                id=str(uuid.UUID(run_id)),
                pipeline=pipeline["name"],
                state=_STATES.get(row["status"], RunState.RUNNING),
                error=(row.get("status_reason") or "") if row["status"] != "completed" else "",
                commit=self._commit(row),
                parameters=self._parameters(row),
                creator=self._user(row["user_id"]),
                start=start,
                end=_micros(row["end_time"] or row["updated"]),
            )
        return self._runs[run_id]

    def _parameters(self, run: Row) -> dict[str, Value]:
        where = f"run {run['name']}"
        snapshot = self._by_id["pipeline_snapshot"].get(run.get("snapshot_id"), {})
        given = json.loads(snapshot.get("pipeline_configuration") or "{}").get("parameters") or {}
        told = {str(key): self._typed(value, f"{where}, parameter {key!r}") for key, value in given.items()}
        return fit_facts({**told, "zenml.name": run["name"], "zenml.status": run["status"]}, self._report, where)

    def _commit(self, run: Row) -> str:
        snapshot = self._by_id["pipeline_snapshot"].get(run.get("snapshot_id"), {})
        reference = self._by_id["code_reference"].get(snapshot.get("code_reference_id"), {})
        return str(reference.get("commit") or "")

    def _user(self, user: str | None) -> str:
        row = self._by_id["user"].get(user or "")
        return row["name"] if row else MAKER

    def _grouped(self, table: str, column: str) -> dict[str, list[Row]]:
        key = f"{table}.{column}"
        if key not in self._groups:
            groups: dict[str, list[Row]] = defaultdict(list)
            for row in self._tables[table]:
                groups[row[column]].append(row)
            self._groups[key] = groups
        return self._groups[key]

    def _tell_what_stays(self) -> None:
        if deployments := sum(row.get("model_version_id") is not None for row in self._tables["service"]):
            self._report.lost("deployments", f"{deployments} services of versions are not imported")
        if self._tables["model_versions_artifacts"]:
            self._report.stays(
                "of the artifacts: their metadata, and ZenML's content hashes, which are not of their bytes"
            )
        if self._runs:
            self._report.stays("of the runs: their steps, metadata and logs")


def _at_once(before: Facts, after: Facts) -> bool:
    return (
        before.actor == after.actor
        and after.time - before.time < _AT_ONCE
        and not before.values.keys() & after.values.keys()
    )


def _changed(row: Row) -> int:
    created, updated = _micros(row["created"]), _micros(row["updated"])
    return updated if updated - created >= _UNCHANGED else created


def _micros(text: str) -> int:
    time = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round(time.timestamp() * 1_000_000)
