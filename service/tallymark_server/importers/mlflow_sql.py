"""A database of MLflow 1.x, 2.x or 3.x, read from its tables.

SQLite is read directly, any other database through SQLAlchemy, which users install with its driver.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tallymark_server.importers.mlflow_records import (
    DELETED_STAGE,
    Counts,
    LoggedModelRecord,
    ModelRecord,
    PointRecord,
    RunRecord,
    Unread,
    VersionRecord,
    model_of,
    point_of,
    step_of,
    version_number,
    version_of,
)
from tallymark_server.importers.source_fields import encodable, micros, number, text, texts
from tallymark_server.importers.source_file import opened, tables_of
from tallymark_server.importers.source_model import CannotReadError, CorruptError, MissingError

TABLES = ("model_versions", "registered_models")
WHAT = "a database of MLflow"

Row = Mapping[str, Any]
# Returns the rows of a statement with named parameters.
Query = Callable[..., list[Row]]


@contextmanager
def opened_sqlite(path: Path) -> Iterator[DatabaseSource]:
    """Open the SQLite file in one committed state. Raises CannotReadError."""
    with opened(path, TABLES, WHAT) as connection:
        # A text in another encoding makes one value invalid, and must not keep others from being read.
        connection.text_factory = _text_of

        def query(statement: str, **given: object) -> list[Row]:
            return [dict(row) for row in connection.execute(statement, given)]

        yield DatabaseSource(query, tables_of(connection))


@contextmanager
def opened_database(url: str) -> Iterator[DatabaseSource]:
    """Open a database server by its SQLAlchemy URL, in one transaction. Raises CannotReadError."""
    try:
        import sqlalchemy
    except ImportError:
        raise CannotReadError("this needs SQLAlchemy: pip install 'tallymark[mlflow]'") from None
    where = url
    try:
        where = sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            tables = set(sqlalchemy.inspect(connection).get_table_names())
            if not tables >= set(TABLES):
                raise CannotReadError(f"{where} is not {WHAT}: it has no table {min(set(TABLES) - tables)}")

            def query(statement: str, **given: object) -> list[Row]:
                return [dict(row) for row in connection.execute(sqlalchemy.text(statement), given).mappings()]

            yield DatabaseSource(query, tables)
    except ImportError as error:
        raise CannotReadError(f"{where} needs the driver {error.name}: pip install {error.name}") from None
    except sqlalchemy.exc.ArgumentError as error:
        raise CannotReadError(f"{where} is no URL of a database: {error}") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        # Drivers explain a problem in several lines.
        why = " ".join(str(error.args[0] if error.args else error).split())
        raise CannotReadError(f"cannot read {where}: {why}") from None


def _text_of(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


class DatabaseSource:
    """The tables of a store. Columns that its release does not have are read as absent."""

    limits: tuple[str, ...] = ()

    def __init__(self, query: Query, tables: set[str]) -> None:
        self._query = query
        self._tables = tables
        self._experiments: dict[str, str] | None = None

    def models(self) -> Iterator[ModelRecord | Unread]:
        """Yield every registered model by name, including prompts."""
        tags = self._grouped("registered_model_tags", "name")
        aliases = self._grouped("registered_model_aliases", "name")
        highest = {row["name"]: row["highest"] for row in self._query(_HIGHEST)}
        for row in self._query("SELECT * FROM registered_models ORDER BY name"):
            name = row["name"]
            try:
                pointed = {text(alias, "alias"): version_number(alias, "version") for alias in aliases[name]}
                most = version_number(highest, name) if highest.get(name) is not None else 0
                yield model_of(row, texts(tags[name]), pointed, most)
            except CorruptError as error:
                yield Unread(f"model {name}", str(error))

    def versions(self, model: ModelRecord) -> Iterator[VersionRecord | Unread]:
        """Return the versions of the model that are not deleted, by number."""
        rows = self._query("SELECT * FROM model_versions WHERE name = :name ORDER BY version", name=model.name)
        tags: dict[Any, list[Row]] = defaultdict(list)
        for row in self._rows("model_version_tags", "name", model.name):
            tags[row["version"]].append(row)
        for row in rows:
            if row.get("current_stage") == DELETED_STAGE:
                continue
            try:
                yield version_of(row, texts(tags[row["version"]]))
            except CorruptError as error:
                yield Unread(f"version {model.name}/{row['version']}", str(error))

    def run(self, run_id: str) -> RunRecord:
        """Return the run. Raises MissingError or CorruptError."""
        rows = self._rows("runs", "run_uuid", run_id)
        if not rows:
            raise MissingError("it is not there")
        (row, *_) = rows
        return RunRecord(
            id=run_id,
            experiment=self._experiment(row.get("experiment_id")),
            name=text(row, "name"),
            state=text(row, "status"),
            user=text(row, "user_id"),
            start=micros(row, "start_time") or 0,
            end=micros(row, "end_time"),
            parameters=texts(self._rows("params", "run_uuid", run_id)),
            tags=texts(self._rows("tags", "run_uuid", run_id)),
            points=[point_of(point) for point in self._rows("metrics", "run_uuid", run_id)],
        )

    def run_ids(self) -> Iterator[str]:
        """Yield the ids of all runs, including deleted ones."""
        if "runs" in self._tables:
            yield from (encodable(str(row["run_uuid"]), "id") for row in self._query(_RUNS))

    def logged_model(self, model_id: str) -> LoggedModelRecord:
        """Return the logged model. Raises MissingError or CorruptError."""
        rows = self._rows("logged_models", "model_id", model_id)
        if not rows:
            raise MissingError("it is not there")
        return LoggedModelRecord(
            location=text(rows[0], "artifact_location"),
            parameters=texts(self._rows("logged_model_params", "model_id", model_id), "param_key", "param_value"),
            tags=texts(self._rows("logged_model_tags", "model_id", model_id), "tag_key", "tag_value"),
            points=[_point_of_model(row) for row in self._rows("logged_model_metrics", "model_id", model_id)],
        )

    def counts(self) -> Counts:
        """Return the numbers of rows, counted by the database."""
        runs = self._query("SELECT count(*) AS n FROM runs")[0]["n"] if "runs" in self._tables else 0
        return Counts(
            models=self._query("SELECT count(*) AS n FROM registered_models")[0]["n"],
            versions=self._query(_LIVE_VERSIONS, deleted=DELETED_STAGE)[0]["n"],
            runs=runs,
        )

    def _experiment(self, experiment_id: object) -> str:
        if self._experiments is None:
            rows = self._query("SELECT experiment_id, name FROM experiments") if "experiments" in self._tables else []
            self._experiments = {str(row["experiment_id"]): text(row, "name") for row in rows}
        return self._experiments.get(str(experiment_id), str(experiment_id or ""))

    def _rows(self, table: str, column: str, value: str) -> list[Row]:
        if table not in self._tables:
            return []
        statement = f"SELECT * FROM {table} WHERE {column} = :value"  # noqa: S608 - names are constants of this module
        return self._query(statement, value=value)

    def _grouped(self, table: str, column: str) -> dict[Any, Sequence[Row]]:
        grouped: dict[Any, list[Row]] = defaultdict(list)
        if table in self._tables:
            for row in self._query(f"SELECT * FROM {table}"):  # noqa: S608 - as above
                grouped[row[column]].append(row)
        return defaultdict(list, grouped)


_HIGHEST = "SELECT name, max(version) AS highest FROM model_versions GROUP BY name"
_LIVE_VERSIONS = "SELECT count(*) AS n FROM model_versions WHERE current_stage IS NULL OR current_stage <> :deleted"
_RUNS = "SELECT run_uuid FROM runs ORDER BY start_time, run_uuid"


def _point_of_model(row: Row) -> PointRecord:
    time = micros(row, "metric_timestamp_ms") or 0
    value = number(row.get("metric_value"), "value")
    return PointRecord(text(row, "metric_name"), value, time, step_of(row, "metric_step"))
