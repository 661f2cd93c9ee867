"""Import from MLflow 1, 2 and 3: from the server of each release, from its database, and from its folder."""

from __future__ import annotations

import math
import re
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from importers.commands import imported, served, tallymark
from importers.mlflow_releases import BEGUN, RELEASES, make, run, server
from cached_folders import cached_folder
from tallymark import Client

pytestmark = pytest.mark.timeout(600)


class Left(NamedTuple):
    """What a release has left: the URI of its server, its database, and its folder."""

    release: str
    uri: str
    database: Path
    folder: Path

    @property
    def logs_models(self) -> bool:
        return self.release.startswith("3.")

    @property
    def has_aliases(self) -> bool:
        return not self.release.startswith("1.")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module", params=RELEASES)
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    release = request.param
    folder = tmp_path_factory.mktemp("mlflow")
    ingredients = [release, *RELEASES[release]]
    with cached_folder(f"mlflow/{release}", ingredients, lambda made: make(made, release), shared=True) as environment:
        python = environment / "bin/python"
        run(python, (folder / "mlruns").as_uri())
        with server(python, folder, free_port()) as uri:
            run(python, uri)
            yield Left(release, uri, folder / "mlflow.db", folder / "mlruns")


def check(client: Client, left: Left, *, deleted_at_the_end: bool) -> None:
    """What is in the registry is what was filled in, and the next numbers are those that MLflow would give."""
    versions = {version.number: version for version in client.list_versions("churn")}
    found = {number: (version.stage.value, version.aliases) for number, version in versions.items()}
    champion = ("champion",) if left.has_aliases else ()
    # `production` points at version 4 and means the stage, which is free; `staging` at 1, and 2 holds that stage.
    assert found == {
        1: ("none", (*champion, *(("name-staging",) if left.has_aliases else ()))),
        2: ("staging", ()),
        4: ("production" if left.has_aliases else "none", ()),
    }
    model = client.get_model("churn")
    assert (model.description, model.tags, model.metadata) == ("who leaves", ("gold",), {"team": "growth"})
    first = versions[1]
    assert (first.description, first.metadata["tag.auc"]) == ("the 1.", "told")
    points = [(point.step, point.value) for point in client.list_metrics("churn/1", "auc")]
    assert points == [(at, 0.5 + at / 10) for at in range(5)]
    assert math.isnan(float(str(first.metadata["nothing"])))
    assert first.metadata["endless"] == math.inf
    assert first.run is not None
    made = client.get_run(first.run)
    assert (made.pipeline, made.state.value, made.user) == ("nightly", "succeeded", "ada")
    assert {key: made.parameters[key] for key in ("depth", "a/b", "host")} == {
        "depth": "3",
        "a/b": "below",
        "host": "gpu-1",
    }
    assert made.create_time.timestamp() * 1000 == BEGUN
    names = {"churn", "empty", "gone", *(("net",) if left.logs_models else ())}
    assert {model.name for model in client.list_models()} == names
    if left.logs_models:
        version = client.get_version("net/1")
        assert (version.metadata["rate"], version.metadata["kind"], version.metadata["acc"]) == ("0.1", "dense", 0.9)
    following = (client.create_version("churn").number, client.create_version("gone").number)
    assert following == ((7, 2) if deleted_at_the_end else (5, 1))


def test_a_server_of_each_release_is_imported(left: Left, tmp_path: Path) -> None:
    """Over HTTP everything is imported, prompts as prompts, and what the server does not return has a line."""
    lines = imported(tmp_path / "t.db", "import-mlflow", left.uri)
    assert any("numbers that were deleted at the end" in line for line in lines)
    has_prompts = left.release in ("2.22.1", "3.0.1")
    assert any(line.startswith("prompts: 1 are not imported") for line in lines) == has_prompts
    with served(tmp_path / "t.db") as client:
        check(client, left, deleted_at_the_end=False)


def test_a_database_of_each_release_is_imported(left: Left, tmp_path: Path) -> None:
    """From its tables everything arrives, as an independent count says, and no deleted number is given again."""
    with closing(sqlite3.connect(left.database)) as database:
        (live,) = database.execute(
            "SELECT count(*) FROM model_versions WHERE current_stage <> 'Deleted_Internal' AND name <> 'greeting'"
        ).fetchone()
    for source in (
        f"sqlite:///{left.database}",
        f"sqlite:////{left.database}",
        str(left.database),
        f" {left.database} ",
    ):
        done = tallymark("import-mlflow", source, "--db", tmp_path / "other.db", "--dry-run")
        assert f" {live} versions, 1 runs" in done.stdout, (source, done)
    lines = imported(tmp_path / "t.db", "import-mlflow", f"sqlite:///{left.database}")
    assert "not imported: 1 runs that made no version; --all-runs imports them too" in lines
    with served(tmp_path / "t.db") as client:
        check(client, left, deleted_at_the_end=True)


def test_a_folder_of_each_release_is_imported(left: Left, tmp_path: Path) -> None:
    """A folder as git leaves it, without empty folders, gives what the whole one gives."""
    bare = tmp_path / "mlruns"
    shutil.copytree(left.folder, bare)
    for path in sorted(bare.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    (bare / "models/.ipynb_checkpoints").mkdir(parents=True)
    if not left.has_aliases:  # MLflow 1 keeps no registry in folders: the runs are there, the models in a database
        imported(tmp_path / "t.db", "import-mlflow", str(bare), "--all-runs")
        with served(tmp_path / "t.db") as client:
            assert sorted((run.parameters.get("depth", "") for run in client.list_runs()), key=str) == ["", "3"]
        return
    for source, db in ((left.folder, "whole.db"), (bare, "bare.db"), (bare.as_uri(), "uri.db")):
        imported(tmp_path / db, "import-mlflow", str(source))
        with served(tmp_path / db) as client:
            check(client, left, deleted_at_the_end=True)


def test_models_and_runs_may_be_in_two_places(left: Left, tmp_path: Path) -> None:
    """The registry in a database and the runs in a folder without models: each run is looked for where it is."""
    runs = tmp_path / "mlruns"
    shutil.copytree(left.folder, runs)
    shutil.rmtree(runs / "models", ignore_errors=True)
    shutil.copy(left.database, tmp_path / "registry.db")
    (run_id,) = {path.parent.parent.name for path in runs.rglob("params/depth")}
    with closing(sqlite3.connect(tmp_path / "registry.db")) as database, database:
        database.execute("UPDATE model_versions SET run_id = ? WHERE run_id IS NOT NULL AND run_id <> ''", (run_id,))
        database.execute("DELETE FROM metrics")
    imported(tmp_path / "t.db", "import-mlflow", str(tmp_path / "registry.db"), "--runs", str(runs))
    with served(tmp_path / "t.db") as client:
        assert [point.step for point in client.list_metrics("churn/1", "auc")] == [0, 1, 2, 3, 4]
        assert client.get_version("churn/1").run == run_id


def test_runs_without_versions_are_imported_when_asked_for(left: Left, tmp_path: Path) -> None:
    """With --all-runs, a run that made no version is there, with the last value of each metric as a parameter."""
    lines = imported(tmp_path / "t.db", "import-mlflow", str(left.database), "--all-runs")
    assert any(re.search(r"^run \w+: of its 1 points of metrics, the last of each is kept", line) for line in lines)
    with served(tmp_path / "t.db") as client:
        runs = {run.state.value: run for run in client.list_runs()}
        assert runs["running"].parameters["metric.loss"] == 1.0
        assert len(runs) == 2
