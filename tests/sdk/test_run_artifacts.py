"""Artifacts in runs are not lost while the registry or the store is unavailable."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import fsspec
import pytest
import sklearn
from fsspec.implementations.local import LocalFileSystem
from sklearn.linear_model import LogisticRegression

from tallymark import Artifact, ArtifactInfo, ArtifactRole, Client, Model, current_run, pipeline, run, step
from tallymark.tracking.context import context_frame
from tallymark.errors import AlreadyExists, ArtifactNotFound, InvalidName, StoreUnavailable
from tallymark.testing import Server
from tallymark.types.enums import RunState

CLOSED = "127.0.0.1:1"
churn = Model("churn")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own for each test."""
    monkeypatch.setenv("TALLYMARK_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoint"
    (made / "inner").mkdir(parents=True)
    (made / "inner" / "weights").write_bytes(b"12345")
    return made


def sync(*arguments: str) -> str:
    command: list[str | Path] = [Path(sys.executable).with_name("tallymark"), "sync", "--no-headers", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def eventually(found: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + 30
    while not found():
        assert time.monotonic() < deadline, "it has not come to be"
        threading.Event().wait(0.05)


@step
def train() -> Annotated[dict[str, int], Artifact("scores")]:
    return {"auc": 1}


def test_an_offline_run_keeps_its_artifacts(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, spool: Path, store: Path
) -> None:
    """An artifact that is saved offline waits in the spool, and is uploaded and linked when it is sent."""
    with monkeypatch.context() as offline:
        offline.setenv("TALLYMARK_MODE", "offline")
        offline.setenv("TALLYMARK_URL", CLOSED)

        @pipeline(model=churn)
        def training() -> str:
            train()
            assert churn.save("checkpoint", folder) is None
            assert churn.save("notes", "text") is None
            return current_run()

        found = training()
        shutil.rmtree(folder)
    assert not store.exists()
    sync("--to", client._settings.url)
    monkeypatch.setenv("TALLYMARK_URL", client._settings.url)
    version = client.get_version("churn/1")
    assert [(each.name, each.format, each.run, each.step) for each in version.artifacts] == [
        ("scores", "json", found, "train"),
        ("checkpoint", "folder", found, ""),
        ("notes", "text", found, ""),
    ]
    assert version.load("scores") == {"auc": 1}
    assert (version.load("checkpoint") / "inner" / "weights").read_bytes() == b"12345"
    assert version.load("notes") == "text"
    assert not list(spool.rglob("*.files"))


def test_no_artifact_is_lost_while_the_registry_is_down(registry_env: Server, client: Client, folder: Path) -> None:
    """An artifact that a run saves meanwhile is linked later, once, though it is in the store already."""
    with run(model=churn) as begun:
        assert isinstance(churn.save("before", 1), ArtifactInfo)
        registry_env.stop()
        assert churn.save("after", folder) is None
        assert churn.save("after", folder) is None
        registry_env.start()
    eventually(lambda: len(client.get_version("churn/1").artifacts) == 2)
    version = client.get_version("churn/1")
    assert [(each.name, each.ordinal, each.run) for each in version.artifacts] == [
        ("before", 1, begun.id),
        ("after", 1, begun.id),
    ]
    assert (version.load("after") / "inner" / "weights").read_bytes() == b"12345"


class NetworkStore(LocalFileSystem):
    """A store on another machine, which is unavailable while its folder has a file `away`."""

    protocol = "network"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(LocalFileSystem._strip_protocol(path.removeprefix("network://")))

    def exists(self, path: str, **kwargs: object) -> bool:
        if list(Path(self._strip_protocol(path)).parents[4].glob("away")):
            raise ConnectionError("no route to host")
        found: bool = super().exists(path, **kwargs)
        return found


@pytest.fixture
def network_outage(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that makes the store on another machine unavailable."""
    fsspec.register_implementation("network", NetworkStore, clobber=True)
    monkeypatch.setenv("TALLYMARK_STORE", f"network://{store}")
    store.mkdir()
    (store / "away").touch()
    return store / "away"


def test_no_artifact_is_lost_while_the_store_is_down(
    registry_env: Server, client: Client, network_outage: Path
) -> None:
    """The artifact waits in the spool, the run reports that, and other records do not wait."""

    @pipeline(model=churn)
    def training() -> str:
        train()
        assert churn.save("model", b"12345") is None
        churn.log_metadata({"auc": 0.5})
        assert churn.metadata["auc"] == 0.5
        return current_run()

    found = client.get_run(training())
    assert found.state is RunState.SUCCEEDED
    assert [(each.subject, each.count) for each in found.recording_problems] == [
        ("artifact 'scores'", 1),
        ("artifact 'model'", 1),
    ]
    assert all(
        "waits in the spool, the store cannot be written: " in each.problem and "no route to host" in each.problem
        for each in found.recording_problems
    )
    assert client.get_version("churn/1").artifacts == []
    network_outage.unlink()
    eventually(lambda: len(client.get_version("churn/1").artifacts) == 2)
    version = client.get_version("churn/1")
    assert (version.load("scores"), version.load("model")) == ({"auc": 1}, b"12345")


def test_waiting_artifacts_are_logged(
    registry_env: Server, client: Client, network_outage: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the number of unsent records, and the reason."""
    with run(model=churn):
        churn.save("model", b"12345")
    (kept,) = [each.getMessage() for each in caplog.records if "kept in" in each.getMessage()]
    assert ": 1 records are kept in " in kept
    assert "no route to host" in kept
    network_outage.unlink()
    eventually(lambda: len(client.get_version("churn/1").artifacts) == 1)


def test_a_folder_that_cannot_be_written_fails_the_step(registry_env: Server, store: Path, spool: Path) -> None:
    """A local store that cannot be written is an error for the program, and nothing waits."""
    store.write_text("no folder")

    @pipeline(model=churn)
    def training() -> None:
        train()

    with pytest.raises(StoreUnavailable, match="artifact 'scores' could not be saved"):
        training()
    assert not list(spool.rglob("*.files"))


def test_without_store_and_spool_the_step_fails(
    registry_env: Server, network_outage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that can be stored nowhere is an error of the step."""
    (tmp_path / "no folder either").write_text("")
    monkeypatch.setenv("TALLYMARK_SPOOL", str(tmp_path / "no folder either"))

    @pipeline(model=churn)
    def training() -> None:
        train()

    with pytest.raises(StoreUnavailable, match="artifact 'scores' could not be saved.*cannot be kept in the spool"):
        training()


def test_an_invalid_artifact_name_fails_the_step(registry_env: Server) -> None:
    """A name that the registry refuses is reported at once."""
    with pytest.raises(InvalidName):
        Artifact("a/b")
    with run(model=churn), pytest.raises(InvalidName):
        churn.save("-rf", 1)
    with pytest.raises(InvalidName):
        Model("churn", "latest").save("a@b", 1)


def test_a_used_artifact_is_linked_through_the_journal(registry_env: Server, client: Client) -> None:
    """An artifact that a run loads is linked to its version as used, with the records of the run."""
    Model("base", version="1.0").save("weights", [1])
    with run(model=churn):
        assert Model("base", "1.0").load("weights") == [1]
        frame = context_frame()
        assert frame is not None
        assert frame.run.problems.all() == []
    assert [(each.name, each.role) for each in client.list_artifacts("churn/1")] == [("weights", ArtifactRole.USED)]


def test_a_model_is_logged_with_its_library(registry_env: Server) -> None:
    """`log_model` saves it as the artifact `model`, with its library and class as metadata."""
    estimator = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    with run(model=churn):
        saved = churn.log_model(estimator)
        assert saved is not None
        assert (saved.name, saved.type, saved.format) == ("model", "model", "skops")
        churn.log_model({"weights": [1.0]}, "head")
    assert churn.metadata["model_library"] == f"sklearn {sklearn.__version__}"
    assert churn.metadata["model_class"] == "LogisticRegression"
    assert churn.load("model").predict([[1.0]]).tolist() == [1]
    assert {each.type for each in churn.artifacts} == {"model"}


def test_a_model_is_downloaded_under_its_name(registry_env: Server, tmp_path: Path) -> None:
    """`download` returns the path of a verified file with the artifact's name, in a folder that it creates."""
    model = Model("churn", version="1.0")
    model.save("scores", {"a": 1})
    path = model.download("scores", tmp_path / "to" / "there")
    assert path == tmp_path / "to" / "there" / "scores.json"
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(AlreadyExists):
        model.download("scores", tmp_path / "to" / "there")
    assert model.download("scores", tmp_path / "to" / "there", force=True) == path
    with pytest.raises(ArtifactNotFound):
        model.download("typo", tmp_path)
