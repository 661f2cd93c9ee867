"""The methods of a ModelVersion, whatever call returned it."""

import asyncio
import copy
import dataclasses
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import tallymark
from tallymark import AsyncClient, Client, Model, ModelVersion, RunContext, errors
from tallymark.serving import afollow, follow
from tallymark.testing import Server


@pytest.fixture
def address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of another registry than that of this process's settings, with a version and an artifact."""
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as there:
        there.setenv("TALLYMARK_URL", server.address)
        model = Model("churn", "1.0.5")
        model.save("facts", {"a": 1}, format="json")
        model.set_stage("production")
    monkeypatch.setenv("TALLYMARK_URL", "127.0.0.1:1")
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "10")
    return server.address


def first(found: Iterable[object]) -> ModelVersion:
    """Return the first version among events or nodes of lineage."""
    return next(version for each in found if isinstance(version := getattr(each, "resource", None), ModelVersion))


WAYS: dict[str, Callable[[Client], ModelVersion]] = {
    "get": lambda client: client.get_version("churn@production"),
    "list": lambda client: next(client.list_versions("churn")),
    "ensure": lambda client: client.ensure_version("churn", "1.0.5").version,
    "history": lambda client: first(client.history("churn/1")),
    "events": lambda client: first(client.list_events()),
    "lineage": lambda client: first(client.lineage("churn/1").nodes),
    "pickle": lambda client: pickle.loads(pickle.dumps(client.get_version("churn/1"))),
    "copy": lambda client: copy.deepcopy(client.get_version("churn/1")),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_version_knows_its_registry(address: str, way: str, tmp_path: Path) -> None:
    """A version is loaded, promoted and aliased in the registry from which it came, whatever the settings are."""
    with Client(address) as client:
        version = WAYS[way](client)
        assert version.load("facts") == {"a": 1}
        assert [artifact.name for artifact in version.artifacts] == ["facts"]
        assert version.download("facts", tmp_path).parent == tmp_path
        assert version.set_stage("archived", reason="old").stage.value == "archived"
        assert version.set_alias("champion").aliases == ("champion",)
        assert client.get_version("churn@champion").number == 1
        with pytest.raises(errors.ArtifactNotFound):
            version.load("weights")


async def test_a_version_of_asyncio_knows_its_registry(address: str) -> None:
    """Versions from an AsyncClient can be used in threads, from single reads, pages and a watch."""
    async with AsyncClient(address) as client:
        found = [await client.get_version("churn/1"), *[version async for version in client.list_versions("churn")]]
        async for event in client.watch(0):
            if isinstance(event.resource, ModelVersion):
                found.append(event.resource)
                break
        for version in found:
            assert await asyncio.to_thread(version.load, "facts") == {"a": 1}


async def test_a_followed_version_can_be_loaded(address: str, tmp_path: Path) -> None:
    """`version.load` is enough for a loader, also for the version in the file `last_good`."""
    last_good = tmp_path / "churn.json"
    with follow("churn@production", lambda version: version.load("facts"), url=address, last_good=last_good) as served:
        assert served.current.value == {"a": 1}
    following = afollow("churn@production", lambda version: version.load("facts"), url=address)
    async with following:
        assert following.current.value == {"a": 1}
    with Client(address) as client:
        client.set_stage("churn/1", "none")
    with follow("churn@production", lambda version: version.load("facts"), url=address, last_good=last_good) as served:
        assert served.current.value == {"a": 1}


def test_the_registry_is_not_part_of_a_version(address: str) -> None:
    """Two equal versions compare equal, and neither repr, fields nor a table contain the registry."""
    with Client(address) as client:
        version, again = client.get_version("churn/1"), client.get_version("churn/1")
        plain = dataclasses.replace(again)
        assert version == again == plain == pickle.loads(pickle.dumps(version))
        assert repr(version) == "ModelVersion(churn No.1 '1.0.5' production)"
        assert not {name for name in dataclasses.asdict(version) if "registry" in name}
        assert not hasattr(version, "__dict__")
        assert dataclasses.replace(version, number=2) != version


def test_loading_in_a_run_adds_to_its_lineage(
    registry_env: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading by a version links the artifact to the run's version as used, as loading by a Model does."""
    monkeypatch.chdir(tmp_path)
    Model("base", "1.0.5").save("facts", {"a": 1}, format="json")
    with Client() as client, tallymark.run(model=Model("churn")) as run:
        assert client.get_version("base").load("facts") == {"a": 1}
        assert [(found.name, found.role.value) for found in run.version.artifacts] == [("facts", "used")]


def test_no_request_is_sent_when_recording_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TALLYMARK_MODE=disabled, a version has no artifacts, and changes are returned but not stored."""
    monkeypatch.setenv("TALLYMARK_MODE", "disabled")
    version = Model("churn", 3).info
    assert (version.artifacts, version.set_stage("staging").stage.value) == ([], "staging")
    assert version.set_alias("champion").aliases == ("champion",)
    with pytest.raises(errors.ArtifactNotFound, match="disabled"):
        version.load("facts")


@pytest.mark.parametrize("ask", [lambda run: Model("churn", 1), lambda run: run.version], ids=["Model", "ModelVersion"])
def test_a_version_of_a_failed_run_needs_permission(
    registry_env: Server, ask: Callable[[RunContext], Model | ModelVersion]
) -> None:
    """It is refused, unless that is allowed, with a reason."""
    run = tallymark.run(model=Model("churn")).start()
    with pytest.raises(errors.RunNotSucceeded):
        ask(run).set_stage("production")
    run.finish(ValueError("bad"))
    with pytest.raises(errors.RunNotSucceeded):
        ask(run).set_stage("production")
    with pytest.raises(errors.InvalidArgument, match="reason"):
        ask(run).set_stage("production", allow_unfinished_run=True)
    promoted = ask(run).set_stage("production", allow_unfinished_run=True, reason="only the report failed")
    assert promoted.stage.value == "production"
