"""Read a database of ZenML: models, their versions, and the runs that created and used them."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tallymark_server.domain import naming
from tallymark_server.domain.metadata import whole as exact
from tallymark_server.domain.model import ArtifactType, ModelCard, RunState, Stage, Uri, Value
from tallymark_server.importers.sanitize import fit_facts, fit_name, fit_tags, fit_text, share_stages
from tallymark_server.importers.source_fields import shown, text, whole
from tallymark_server.importers.source_file import opened, tables_of
from tallymark_server.importers.source_model import (
    CannotReadError,
    CorruptError,
    Facts,
    Found,
    FoundArtifact,
    FoundModel,
    FoundRun,
    FoundVersion,
    Report,
)

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
# The parameters of a run; older releases store them elsewhere.
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
# ZenML reads the clock once for each key that is logged, and twice for each object that is created.
_AT_ONCE = 1_000_000
_UNCHANGED = 10_000
_INT64 = 1 << 63

Row = dict[str, Any]


@contextmanager
def find(
    database: str, project: str | None, report: Report, on_progress: Callable[[int, int], None]
) -> Iterator[Found]:
    """Yield every model of a project, or of the only one that has models. Raises CannotReadError.

    `database` is the file, or sqlite:/// and the file. `on_progress` is called with how many models are done, and how
    many there are.
    """
    database = database.strip()
    if "://" in database and not database.startswith("sqlite:///"):
        raise CannotReadError("only the SQLite file of a ZenML store can be read; copy other databases into one first")
    path = Path(database.removeprefix("sqlite:///"))
    _refuse_older(path)
    with opened(path, _TABLES, _WHAT) as connection:
        tables = {table: _rows(connection, table) for table in _TABLES}
        there = tables_of(connection)
        tables |= {table: _rows(connection, table) if table in there else [] for table in _TABLES_SINCE_0_90}
    yield Found(_Finder(tables, report).models(project, on_progress), iter(()))


def _refuse_older(path: Path) -> None:
    """Raise CannotReadError for a store with tables older than those of ZenML 0.80."""
    with opened(path, (), _WHAT) as connection:
        there = tables_of(connection)
    if "model_version" in there and not there >= set(_TABLES):
        raise CannotReadError(
            f"{path} is a store of a ZenML before 0.80: copy it, start ZenML 0.80 or newer once on the copy, which"
            " brings it to the new tables, and import the copy"
        )


def _rows(connection: sqlite3.Connection, table: str) -> list[Row]:
    return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]  # noqa: S608 - a constant of ours


class _Finder:
    def __init__(self, tables: dict[str, list[Row]], report: Report) -> None:
        self._tables = tables
        self._report = report
        self._by_id = {table: {row["id"]: row for row in rows if "id" in row} for table, rows in tables.items()}
        self._runs: dict[str, FoundRun] = {}
        self._groups: dict[str, dict[str, list[Row]]] = {}

    def models(self, project: str | None, on_progress: Callable[[int, int], None]) -> Iterator[FoundModel]:
        """Yield the models in the order in which they were created."""
        chosen = self._project(project)
        rows = [row for row in self._tables["model"] if row["project_id"] == chosen]
        versions = self._grouped("model_version", "model_id")
        known = {row["id"] for row in self._tables["model"]}
        if lost := sum(len(of) for model, of in versions.items() if model not in known):
            self._report.lost("versions", f"{lost:,} belong to models that are not there")
        taken = set[str]()
        for done, row in enumerate(sorted(rows, key=lambda row: str(row["created"])), 1):
            try:
                yield self._model(row, versions[row["id"]], taken)
            except CorruptError as error:
                self._report.cannot_read(f"model {row['name']}", str(error))
            on_progress(done, len(rows))
        self._report_unsupported()

    def _project(self, name: str | None) -> str:
        names = {row["id"]: str(row["name"]) for row in self._tables["project"]}
        with_models = {row["project_id"] for row in self._tables["model"]}
        if name is None and len(with_models) > 1:
            choices = ", ".join(sorted(names.get(project, f"{project} (without a name)") for project in with_models))
            raise CannotReadError(f"there are several projects: name one of {choices} with --from-project")
        found = [project for project, called in names.items() if called == name] if name else list(with_models)
        if name and not found:
            raise CannotReadError(f"there is no project {name}; there are {', '.join(sorted(names.values()))}")
        return found[0] if found else ""

    def _model(self, row: Row, versions: Sequence[Row], taken: set[str]) -> FoundModel:
        called = text(row, "name")
        where = f"model {called}"
        name = fit_name(called, naming.model_name, taken, self._report, where)
        taken.add(name)
        texts: dict[str, Any] = {
            field: fit_text(text(row, field), self._report, f"{where}: its {field}") for field in _CARD
        }
        if not row["save_models_to_registry"]:
            self._report.lost(where, "that it is not saved to model registries is a setting of ZenML")
        found = self._versions(called, versions)
        stages = {version.number: version.stage for version in found}
        share_stages(name, stages, {version.number: version.update_time for version in found}, self._report)
        for version in found:
            version.stage = stages[version.number]
        created = _micros(row, "created")
        return FoundModel(
            name=name,
            card=ModelCard(**texts, tags=self._tags(row["id"], "model", where)),
            creator=self._user(row["user_id"]),
            create_time=created,
            update_time=_changed(row),
            versions=found,
        )

    def _versions(self, model: str, rows: Sequence[Row]) -> list[FoundVersion]:
        """Return the readable versions by number."""
        names: set[str] = set()
        found: dict[int, FoundVersion] = {}
        for row in rows:
            where = f"version {model}/{row['number']}"
            try:
                version = self._version({**row, "number": whole(row, "number")}, model, names)
            except CorruptError as error:
                self._report.cannot_read(where, str(error))
                continue
            if version.number < 1 or version.number in found:
                self._report.cannot_read(where, f"its number is {version.number}, which another has or none can have")
            else:
                found[version.number] = version
        return [found[number] for number in sorted(found)]

    def _version(self, row: Row, model: str, names: set[str]) -> FoundVersion:
        where = f"version {model}/{row['number']}"
        name, called = None, text(row, "name")
        if called != str(row["number"]):
            name = fit_name(called, naming.version_name, names, self._report, where)
            names.add(name)
        created = _micros(row, "created")
        run, used_by = self._runs_of(row)
        return FoundVersion(
            number=row["number"],
            name=name,
            stage=self._stage(row["stage"], where),
            description=fit_text(text(row, "description"), self._report, f"{where}: its description"),
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
            return Stage(str(stage or "none"))
        except ValueError:
            why = "is computed here" if stage == "latest" else "is unknown here"
            self._report.lost(where, f"stage {stage!r} {why}; it is in none")
            return Stage.NONE

    def _tags(self, resource: str, kind: str, where: str) -> tuple[str, ...]:
        links = self._grouped("tag_resource", "resource_id")[resource]
        tags = [self._linked("tag", link["tag_id"], where) for link in links if link["resource_type"] == kind]
        return fit_tags([text(tag, "name") for tag in tags if tag], self._report, where)

    def _linked(self, table: str, identity: str, where: str) -> Row | None:
        """Return the row that something refers to; None, and a line in the report, if it is missing."""
        row = self._by_id[table].get(identity)
        if row is None:
            self._report.lost(where, f"refers to {table} {str(identity)[:40]!r}, which is not there")
        return row

    def _facts(self, version: str, where: str) -> Iterator[Facts]:
        """Return the logged facts, oldest first."""
        links = self._grouped("run_metadata_resource", "resource_id")[version]
        linked = [
            self._linked("run_metadata", link["run_metadata_id"], where)
            for link in links
            if link["resource_type"] == "model_version"
        ]
        rows = [row for row in linked if row is not None]
        so_far: dict[str, Value] = {}
        stretch: Facts | None = None
        for row in sorted(rows, key=lambda row: str(row["created"])):
            key = text(row, "key")
            value = self._value(row, f"{where}, metadata {key!r}")
            values = fit_facts({key: value}, self._report, where, so_far)
            so_far |= values
            facts = Facts(_micros(row, "created"), self._user(row["user_id"]), values)
            if stretch and not _at_once(stretch, facts):
                yield stretch
                stretch = None
            stretch = facts._replace(values={**stretch.values, **values}) if stretch else facts
        if stretch:
            yield stretch

    def _value(self, row: Row, where: str) -> Value:
        try:
            value = json.loads(row["value"])
        except (ValueError, TypeError, RecursionError):
            self._report.lost(where, "is no JSON, and is kept as text")
            return text(row, "value")
        if row["type"] in ("Uri", "Path") and isinstance(value, str):
            return Uri(value)
        return self._typed(value, where)

    def _typed(self, value: Any, where: str) -> Value:
        match value:
            case None | bool() | str() | float():
                return value
            case int():
                if not -_INT64 <= value < _INT64:
                    self._report.lost(where, f"{shown(value)} is kept as text: numbers have at most 64 bits")
                    return str(value)
                return exact(value)
            case list():
                return tuple(self._typed(item, where) for item in value)
            case dict():
                return {str(key): self._typed(item, where) for key, item in value.items()}
            case _:
                raise AssertionError("JSON has no other values")

    def _artifacts(self, version: str, where: str) -> Iterator[FoundArtifact]:
        links = self._grouped("model_versions_artifacts", "model_version_id")[version]
        for link in sorted(links, key=lambda link: str(link["created"])):
            artifact = self._linked("artifact_version", link["artifact_version_id"], where)
            named = artifact and self._linked("artifact", artifact["artifact_id"], where)
            if not artifact or not named:
                continue
            name = fit_name(text(named, "name"), naming.model_name, (), self._report, where, "artifact's name")
            uri = text(artifact, "uri")
            if not uri:
                self._report.lost(where, f"its artifact {name!r} has no place")
                continue
            yield FoundArtifact(
                name=name,
                type=_TYPES.get(artifact["type"], ArtifactType.DATA),
                uri=uri,
                time=_micros(link, "created"),
            )

    def _runs_of(self, version: Row) -> tuple[FoundRun | None, list[FoundRun]]:
        """Return the run that created the version, and those that used it."""
        links = self._grouped("model_versions_runs", "model_version_id")[version["id"]]
        linked = [link["pipeline_run_id"] for link in sorted(links, key=lambda link: str(link["created"]))]
        producer = version["producer_run_id_if_numeric"]
        made = self._run_or_none(producer, version) if producer in self._by_id["pipeline_run"] else None
        used_by = [self._run_or_none(run, version) for run in dict.fromkeys(linked) if run != producer]
        return made, [run for run in used_by if run is not None]

    def _run_or_none(self, run_id: str, version: Row) -> FoundRun | None:
        """Return the run; None, and a line in the report, if it is missing or cannot be read."""
        where = f"version number {version['number']}"
        if self._linked("pipeline_run", run_id, where) is None:
            return None
        try:
            return self._run(run_id)
        except CorruptError as error:
            self._report.lost(f"run {str(run_id)[:40]}", f"cannot be read: {error}")
            return None

    def _run(self, run_id: str) -> FoundRun:
        if run_id not in self._runs:
            row = self._by_id["pipeline_run"][run_id]
            pipeline = self._by_id["pipeline"].get(row["pipeline_id"], row)
            self._runs[run_id] = FoundRun(
                id=_run_id(run_id),
                pipeline=text(pipeline, "name"),
                state=_STATES.get(row["status"], RunState.RUNNING),
                error=text(row, "status_reason") if row["status"] != "completed" else "",
                commit=self._commit(row),
                parameters=self._parameters(row),
                creator=self._user(row["user_id"]),
                start=_micros(row, "start_time" if row["start_time"] else "created"),
                end=_micros(row, "end_time" if row["end_time"] else "updated"),
            )
        return self._runs[run_id]

    def _parameters(self, run: Row) -> dict[str, Value]:
        where = f"run {run['name']}"
        snapshot = self._by_id["pipeline_snapshot"].get(run.get("snapshot_id"), {})
        try:
            given = json.loads(snapshot.get("pipeline_configuration") or "{}").get("parameters") or {}
            given = dict(given)
        except (ValueError, TypeError, AttributeError, RecursionError):
            self._report.lost(where, "its configuration is no JSON; its parameters are not known")
            given = {}
        parameters = {str(key): self._typed(value, f"{where}, parameter {key!r}") for key, value in given.items()}
        return fit_facts({**parameters, "zenml.name": run["name"], "zenml.status": run["status"]}, self._report, where)

    def _commit(self, run: Row) -> str:
        snapshot = self._by_id["pipeline_snapshot"].get(run.get("snapshot_id"), {})
        reference = self._by_id["code_reference"].get(snapshot.get("code_reference_id"), {})
        return str(reference.get("commit") or "")

    def _user(self, user: str | None) -> str:
        row = self._by_id["user"].get(user or "")
        return text(row, "name") or MAKER if row else MAKER

    def _grouped(self, table: str, column: str) -> dict[str, list[Row]]:
        key = f"{table}.{column}"
        if key not in self._groups:
            groups: dict[str, list[Row]] = defaultdict(list)
            for row in self._tables[table]:
                groups[row[column]].append(row)
            self._groups[key] = groups
        return self._groups[key]

    def _report_unsupported(self) -> None:
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
    created, updated = _micros(row, "created"), _micros(row, "updated")
    return updated if updated - created >= _UNCHANGED else created


def _run_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except (ValueError, AttributeError, TypeError):
        raise CorruptError("its id is no UUID") from None


def _micros(row: Row, name: str) -> int:
    """Return a time in microseconds since 1970. Raises CorruptError."""
    try:
        time = datetime.fromisoformat(row[name]).replace(tzinfo=UTC)
        return round(time.timestamp() * 1_000_000)
    except (ValueError, TypeError, OverflowError):
        raise CorruptError(f"its {name} is no time: {shown(row[name])}") from None
