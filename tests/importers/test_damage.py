"""Damaged stores of other registries: whatever a file or a column holds, there is a sentence, and never a traceback.

The damages are generated: every file and every column of a real store, in every way in which such things break.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from importers.mlflow_server import filled, mlflow_server
from tallymark_server.import_commands import import_mlflow, import_zenml

pytestmark = pytest.mark.timeout(600)

DUMP = Path(__file__).with_name("zenml-0.98.0.sql").read_text()
# What a column may hold instead of what belongs there.
VALUES: list[Any] = [None, "", b"\xff\xfe\x00", "x" * 300, -1, 1e308, 2**62, "2026-99-99", "[" * 5000, "nul\x00nul"]
# What a value in an answer may be instead.
ANSWERS: list[Any] = [None, "", "x" * 300, -1, 1e308, 2**62, True, [], {}, [[]], {"a": "b"}]


@pytest.fixture(scope="module")
def mlruns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "mlruns"
    filled(folder.as_uri())
    for path in folder.glob("models/many-*"):
        shutil.rmtree(path)
    return folder


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server of MLflow, and its database."""
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder) as uri:
        filled(uri)
        yield uri, folder / "mlflow.db"


def sentence_of(command: click.Command, *arguments: str) -> str:
    """Run the import as a trial, and return what it says; it ends well, or with one error, and not in any other way."""
    done = CliRunner().invoke(command, [*arguments, "--dry-run", "--skip", "--db", "unused.db"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 1), done.output
    if done.exit_code:
        assert done.stderr.splitlines()[-1].startswith("Error: "), done.output
    return done.output


def columns(path: Path, tables: Iterator[str] | None = None) -> list[tuple[str, str]]:
    """Every column of every table that has rows."""
    with closing(sqlite3.connect(path)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        full = [name for name in names if database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]]
        return [(table, row[1]) for table in full for row in database.execute(f'PRAGMA table_info("{table}")')]


@contextmanager
def changed(path: Path, table: str, column: str, value: Any) -> Iterator[bool]:
    """One row with another value in that column; False if the table does not take it."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        row = database.execute(f'SELECT rowid, "{column}" FROM "{table}" LIMIT 1').fetchone()
        try:
            with database:
                database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (value, row[0]))
        except sqlite3.Error:
            yield False
            return
        yield True
        with database:
            database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (row[1], row[0]))


@contextmanager
def without_a_row(path: Path, table: str) -> Iterator[None]:
    """Remove one row of the table, which other rows refer to, during the block."""
    backup = path.with_suffix(".whole")
    shutil.copy(path, backup)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute(f'DELETE FROM "{table}" WHERE rowid IN (SELECT rowid FROM "{table}" LIMIT 1)')
    yield
    shutil.copy(backup, path)


READ = {
    "registered_models", "registered_model_tags", "registered_model_aliases", "model_versions", "model_version_tags",
    "runs", "params", "tags", "metrics", "experiments", "logged_models", "logged_model_metrics", "logged_model_params",
    "logged_model_tags",
}  # fmt: skip


def test_every_column_of_a_database_of_mlflow_may_hold_anything(mlflow: tuple[str, Path], tmp_path: Path) -> None:
    """Null, no text, too much, other types, dangling references: a line, or a sentence and nothing imported."""
    path = tmp_path / "mlflow.db"
    shutil.copy(mlflow[1], path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM registered_models WHERE name LIKE 'many-%'")
    tried = 0
    for place, (table, column) in enumerate(columns(path)):
        if table not in READ:
            continue
        # Two of the values each, so that every kind of column meets every value.
        for value in VALUES[place % 5 :: 5]:
            with changed(path, table, column, value) as taken:
                if taken:
                    tried += 1
                    sentence_of(import_mlflow, str(path))
    for table in READ & {table for table, _ in columns(path)}:
        with without_a_row(path, table):
            sentence_of(import_mlflow, str(path))
    assert tried > 100


def test_every_file_of_a_folder_of_mlflow_may_hold_anything(mlruns: Path, tmp_path: Path) -> None:
    """Empty, cut, in another encoding, of another shape, not there: a line, or a sentence and nothing imported."""
    folder = tmp_path / "mlruns"
    shutil.copytree(mlruns, folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) >= 40
    for place, path in enumerate(files):
        whole = path.read_bytes()
        damages = [b"", whole[: len(whole) // 2], b"\xff\xfe" + whole, b"[1, 2]", b"- " * 3000, b"{" * 3000, b"a: !!x"]
        for damage in damages[place % 4 :: 4]:
            path.write_bytes(damage)
            sentence_of(import_mlflow, str(folder))
        path.unlink()
        path.mkdir()
        sentence_of(import_mlflow, str(folder))
        path.rmdir()
        sentence_of(import_mlflow, str(folder))
        path.write_bytes(whole)


def test_an_unreadable_model_is_named_and_skipped_only_when_asked_for(mlruns: Path, tmp_path: Path) -> None:
    """A damaged version stops the import with its name; --skip imports the others, counts it, and keeps its number."""
    folder = tmp_path / "mlruns"
    shutil.copytree(mlruns, folder)
    (folder / "models/churn/version-2/meta.yaml").write_bytes(b"\xff\xfe")
    done = CliRunner().invoke(import_mlflow, [str(folder), "--db", str(tmp_path / "t.db")])
    assert done.exit_code == 1
    assert "version churn/2: cannot be read: its file meta.yaml is not UTF-8 at byte 0" in done.stderr
    assert "--skip imports the others" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "t.db").exists()
    done = CliRunner().invoke(import_mlflow, [str(folder), "--db", str(tmp_path / "t.db"), "--skip"])
    assert (done.exit_code, "skipped: 1" in done.stdout) == (0, True), done.output
    done = CliRunner().invoke(import_mlflow, [str(folder), "--db", str(tmp_path / "u.db"), "--skip", "--strict"])
    assert done.exit_code == 1


def test_every_column_of_a_store_of_zenml_may_hold_anything(tmp_path: Path) -> None:
    """Null, no text, too much, other types, dangling references in every table: a line or a sentence."""
    path = tmp_path / "zenml.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(DUMP)
    tried = 0
    for place, (table, column) in enumerate(columns(path)):
        with changed(path, table, column, VALUES[place % len(VALUES)]) as taken:
            if taken:
                tried += 1
                sentence_of(import_zenml, str(path))
    for table in {table for table, _ in columns(path)}:
        with without_a_row(path, table):
            sentence_of(import_zenml, str(path))
    assert tried > 100


class Damaging(BaseHTTPRequestHandler):
    """Hands every request on to the real server, and changes one value of the answers on the way back."""

    target = ""
    place = 0
    value: Any = None
    met = 0

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["content-length"])))

    def _answer(self, body: bytes | None) -> None:
        kind = type(self)
        request = urllib.request.Request(f"{kind.target}{self.path}", body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                status, raw = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        data = json.dumps(self._damaged(json.loads(raw))).encode() if status == 200 else raw
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _damaged(self, value: Any) -> Any:
        kind = type(self)
        kind.met += 1
        if kind.met == kind.place:
            return kind.value
        if isinstance(value, dict):
            return {key: self._damaged(item) for key, item in value.items()}
        return [self._damaged(item) for item in value] if isinstance(value, list) else value

    def log_message(self, *_: object) -> None: ...


def test_every_value_in_an_answer_of_a_server_may_be_anything(mlflow: tuple[str, Path]) -> None:
    """Other types and texts at any place of any answer: a line, or a sentence and nothing imported."""
    Damaging.target = mlflow[0]
    with ThreadingHTTPServer(("127.0.0.1", 0), Damaging) as between:
        threading.Thread(target=between.serve_forever).start()
        try:
            uri = f"http://127.0.0.1:{between.server_port}"
            Damaging.place, Damaging.met = 0, 0
            sentence_of(import_mlflow, uri)
            places = Damaging.met
            assert places > 500
            for turn, place in enumerate(range(1, places, max(1, places // 60))):
                Damaging.place, Damaging.met, Damaging.value = place, 0, ANSWERS[turn % len(ANSWERS)]
                sentence_of(import_mlflow, uri)
        finally:
            between.shutdown()


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_server_that_refuses_is_distinguished_from_one_that_is_absent(status: int) -> None:
    """Forbidden says what to set, an error of the server is its own, and nothing looks like an empty registry."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever).start()
        try:
            said = sentence_of(import_mlflow, f"http://127.0.0.1:{refusing.server_port}")
        finally:
            refusing.shutdown()
    assert ("MLFLOW_TRACKING_TOKEN" in said) == (status in (401, 403))
    assert "would import" not in said


def test_what_the_source_counts_is_what_arrives_or_the_import_fails(mlflow: tuple[str, Path], tmp_path: Path) -> None:
    """Versions of a model that is not there are counted by the database and read by nobody: nothing is imported."""
    path = tmp_path / "mlflow.db"
    shutil.copy(mlflow[1], path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM registered_models WHERE name = 'net'")
    said = sentence_of(import_mlflow, str(path))
    assert re.search(r"MLflow counts (\d+) versions, and (\d+) were read", said), said
    assert "would import" not in said


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://127.0.0.1:1", "cannot reach http://127.0.0.1:1: "),
        ("https://127.0.0.1:1/mlflow", "cannot reach https://127.0.0.1:1/mlflow: "),
        ("databricks", "Databricks needs DATABRICKS_HOST and DATABRICKS_TOKEN"),
        ("databricks://work", "Databricks needs DATABRICKS_HOST and DATABRICKS_TOKEN"),
        ("databricks-uc", "databricks-uc is no MLflow server, database, or folder"),
        ("postgresql://ada:secret@127.0.0.1:1/mlflow", "cannot read postgresql://ada:***@127.0.0.1:1/mlflow: "),
        (
            "postgresql+psycopg2://ada:secret@127.0.0.1:1/mlflow",
            "postgresql+psycopg2://ada:***@127.0.0.1:1/mlflow needs the driver",
        ),
        (
            "mysql+pymysql://ada:secret@127.0.0.1:1/mlflow",
            "mysql+pymysql://ada:***@127.0.0.1:1/mlflow needs the driver",
        ),
        ("mssql+pyodbc://ada@127.0.0.1:1/mlflow", "mssql+pyodbc://ada@127.0.0.1:1/mlflow needs the driver"),
        ("sqlite:///nowhere.db", "there is no file nowhere.db"),
        ("file:///nowhere", "is no MLflow server, database, or folder"),
        ("ftp://host/mlruns", "has an unsupported URI"),
    ],
)
def test_every_form_of_uri_is_read_or_refused_by_name(
    uri: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever MLflow takes for a URI gets an answer of its own, which shows no password."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    said = sentence_of(import_mlflow, uri)
    assert words in said
    assert "secret" not in said
    assert "would import" not in said
