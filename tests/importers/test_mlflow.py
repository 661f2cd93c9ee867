"""Import from a real MLflow, live over HTTP, and from the database and the folder that it leaves behind."""

from __future__ import annotations

import http.server
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from importers.commands import imported, refused, served, tallymark
from importers.mlflow_server import MANY, QUOTED, filled, mlflow_server
from tallymark import Client, Uri
from tallymark.errors import NotFound


@dataclass
class Live:
    """A server with a registry in it, and what MLflow returns of that."""

    uri: str
    database: Path
    told: dict[str, Any]


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder) as uri:
        yield Live(uri, folder / "mlflow.db", filled(uri))


@pytest.fixture(scope="module")
def registry(mlflow: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """What was imported from the live server."""
    db = tmp_path_factory.mktemp("imported") / "tallymark.db"
    imported(db, "import-mlflow", mlflow.uri)
    with served(db) as client:
        yield client


def time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def test_numbers_stages_and_aliases_are_those_of_mlflow(registry: Client) -> None:
    """Versions keep their numbers though one is gone, and of two in production the one that came last is there."""
    versions = registry.list_versions("churn")
    found = {version.number: (version.stage.value, set(version.aliases)) for version in versions}
    assert found == {
        1: ("archived", set()),
        2: ("archived", {"champion", "shadow"}),
        4: ("production", {"challenger"}),
        5: ("staging", {"name-production"}),
    }
    with pytest.raises(NotFound):
        registry.get_version("churn/3")


def test_times_are_those_of_mlflow(mlflow: Live, registry: Client) -> None:
    """Models and versions were created when MLflow says, and their stages changed when it says that they last did."""
    for name, model in mlflow.told.items():
        if name in QUOTED:
            continue
        assert registry.get_model(name).create_time == time(model["times"][0])
        for number, version in model["versions"].items():
            assert registry.get_version(f"{name}/{number}").create_time == time(version["times"][0])
            changes = [event for event in registry.history(f"{name}/{number}") if event.kind == "stage_changed"]
            assert [event.time for event in changes] == [time(version["times"][1])]


def test_texts_and_tags_are_kept(registry: Client) -> None:
    """A tag with a value is metadata, one without is a label, and one with the name of a metric is kept beside it."""
    model, version = registry.get_model("churn"), registry.get_version("churn/1")
    assert (model.description, model.tags, model.metadata) == ("who leaves", ("gold",), {"team": "growth"})
    assert (version.description, version.tags, version.metadata["tag.auc"]) == ("one", ("ok",), "told")
    assert version.metadata["mlflow.source"] == Uri("s3://bucket/1")
    assert [(found.name, found.uri) for found in registry.list_artifacts("churn/1")] == [("model", "s3://bucket/1")]


def test_the_run_comes_with_its_parameters_and_its_metrics(mlflow: Live, registry: Client) -> None:
    """A version has the series of the run that created it, with the times of the points; the run is imported too."""
    version = registry.get_version("churn/1")
    assert version.run == mlflow.told["churn"]["versions"]["1"]["run"]
    points = [(point.key, point.step, point.value, point.time) for point in registry.list_metrics("churn/1", "auc")]
    begun = 1_700_000_000_000
    assert points == [("auc", 0, 0.5, time(begun + 1000)), ("auc", 1, 0.7, time(begun + 3000))]
    assert (version.metadata["auc"], version.metadata["loss"]) == (0.7, 9.0)
    (run,) = registry.list_runs()
    assert (run.id, run.pipeline, run.state.value, run.commit) == (version.run, "nightly", "succeeded", "c0ffee")
    assert {key: run.parameters[key] for key in ("depth", "host")} == {"depth": "3", "host": "gpu-1"}
    assert (run.create_time, run.end_time) == (time(begun), time(begun + 60_000))


def test_a_logged_model_comes_with_its_parameters_and_metrics(registry: Client) -> None:
    """What MLflow 3 keeps of the model itself, and not of a run, belongs to the version that was made of it."""
    version = registry.get_version("net/1")
    assert {key: version.metadata[key] for key in ("rate", "kind", "acc")} == {
        "rate": "0.1",
        "kind": "dense",
        "acc": 0.9,
    }
    assert [(point.key, point.step) for point in registry.list_metrics("net/1")] == [("acc", 2)]


def test_every_model_of_a_long_list_is_there(registry: Client) -> None:
    """More models than one answer of MLflow holds are all imported, and names with quotes have their versions."""
    models = {model.name: model.last_number for model in registry.list_models()}
    assert len(models) == MANY + 2 + len(QUOTED)
    assert (models["it's - last"], models['it\'s a "quote"']) == (1, 1)


def test_what_cannot_be_kept_is_reported(mlflow: Live, tmp_path: Path) -> None:
    """Each thing that is not as it was is a line that says where and what; with --strict nothing is imported then."""
    db = tmp_path / "tallymark.db"
    done = tallymark("import-mlflow", mlflow.uri, "--db", db, "--strict")
    assert (done.returncode, done.stdout, db.exists()) == (1, "", False)
    counts = f"{MANY + 4} models, 7 versions, 1 runs; not kept: 8"
    assert f"not everything can be kept, so nothing was imported: {counts}\n" in done.stderr
    for words in (
        "model churn: its alias 'production' cannot be one here; it is 'name-production' now",
        f"version churn/5: its run {'0' * 32} is not there; its metrics and parameters are not known",
        "metric 'auc' has several points at one step: the last is kept",
        "metric 'early' has points at steps before 0, which are left out",
        "version churn/2: was in production together with version 4; only one can be, so it is archived",
        'model it\'s @ last: its name "it\'s @ last" cannot be one here; it is "it\'s - last" now',
        "made it too: a run makes one automatic version of a model, and that is 1",
        "prompts: 1 are not imported: they are no models",
        "not imported: of the runs: their artifacts, inputs and traces",
    ):
        assert words in done.stderr


def test_the_database_is_read_beside_its_server_and_never_written(
    mlflow: Live, registry: Client, tmp_path: Path
) -> None:
    """What comes from the SQLite file is what comes from the server over it, and the file stays as it was."""
    before = mlflow.database.read_bytes()
    imported(tmp_path / "tallymark.db", "import-mlflow", f"sqlite:///{mlflow.database}")
    assert mlflow.database.read_bytes() == before
    with served(tmp_path / "tallymark.db") as client:
        for list_all in (Client.list_models, Client.list_runs, Client.list_events):
            assert list(list_all(client)) == list(list_all(registry))


def test_a_folder_of_mlflow_is_imported(tmp_path: Path) -> None:
    """The files that MLflow kept its registry in before it had a database are read too, and stay as they were."""
    folder = tmp_path / "mlruns"
    told = filled(folder.as_uri())
    there = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    db = tmp_path / "tallymark.db"
    imported(db, "import-mlflow", str(folder))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == there
    with served(db) as client:
        found = {str(version.number): version.create_time for version in client.list_versions("churn")}
    assert found == {number: time(version["times"][0]) for number, version in told["churn"]["versions"].items()}


def test_a_source_that_is_no_mlflow_is_refused(mlflow: Live, tmp_path: Path) -> None:
    """What is not there, something else or half a file is one sentence; nothing is made, there or here."""
    (tmp_path / "text.db").write_text("no database at all")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE registered_models (name)")
    whole = tmp_path / "whole.db"
    shutil.copy(mlflow.database, whole)
    raw = whole.read_bytes()
    (tmp_path / "half.db").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "folder").mkdir()
    there = {path: path.read_bytes() for path in tmp_path.glob("*.db")}
    for source, words in (
        ("http://127.0.0.1:1", "cannot reach http://127.0.0.1:1: "),
        ("nonsense://host", "unsupported URI"),
        ("sqlite:///missing.db", "there is no file missing.db"),
        ("missing", "missing is no MLflow server, database, or folder with models or runs in it"),
        ("folder", "folder is no MLflow server"),
        ("", "an empty text is no MLflow server"),
        ("text.db", "file is not a database"),
        ("other.db", "other.db is not a database of MLflow: it has no table model_versions"),
        ("half.db", "half.db"),
    ):
        refused(words, "import-mlflow", source, "--db", "tallymark.db", cwd=tmp_path)
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith("tallymark.db.")}
    assert left == {"text.db", "other.db", "whole.db", "half.db", "folder"}
    assert {path: path.read_bytes() for path in there} == there
    assert list((tmp_path / "folder").iterdir()) == []


def test_another_kind_of_server_is_refused(tmp_path: Path) -> None:
    """A web server that knows nothing of MLflow is refused in one sentence."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            uri = f"http://127.0.0.1:{server.server_port}"
            words = f"{uri} is no MLflow server: it answers 501"
            refused(words, "import-mlflow", uri, "--db", tmp_path / "tallymark.db")
        finally:
            server.shutdown()
    assert not (tmp_path / "tallymark.db").exists()
