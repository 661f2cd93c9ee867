"""`follow` and `afollow`: serve the version of a reference, and the next one as soon as it changes."""

import asyncio
import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tallymark
from tallymark import Client, ModelVersion, NewVersion, errors
from tallymark.serving import AsyncFollowing, Following, afollow, follow
from tallymark.testing import Server

pytestmark = pytest.mark.usefixtures("registry_env")
SOON = 30.0


@pytest.fixture
def client(registry_env: Server) -> Iterator[Client]:
    """A client of a registry where version 1 of churn, of three versions, is in production."""
    with Client() as client:
        client.create_model("churn")
        client.create_versions("churn", [NewVersion(), NewVersion("rc"), NewVersion()])
        client.set_stage("churn/1", "production")
        yield client


def promote(client: Client, number: int) -> None:
    client.set_stage(f"churn/{number}", "production", force=True)


def rename(client: Client, number: int, name: str) -> None:
    client.update_version(f"churn/{number}", name=name)


def load(version: ModelVersion) -> str:
    return f"model {version.number}"


def serves(served: Following[Any] | AsyncFollowing[Any], number: int) -> Callable[[], bool]:
    return lambda: bool(served.current.version.number == number and served.error is None)


class Loader:
    """Loads versions, raises for the numbers in `bad`, and has a list of the requested ones."""

    def __init__(self, *bad: int) -> None:
        self.bad = set(bad)
        self.asked: queue.Queue[int] = queue.Queue()

    def __call__(self, version: ModelVersion) -> str:
        self.asked.put(version.number)
        if version.number in self.bad:
            raise OSError(f"no file of {version.number}")
        return load(version)

    def next(self) -> int:
        return self.asked.get(timeout=SOON)


def test_the_version_in_production_is_served(client: Client) -> None:
    """It is loaded at once, and each version that is promoted later replaces it."""
    assert tallymark.serving.follow is follow
    with follow("churn@production", on_change=load) as served:
        version, model = served.current
        assert (version.number, version.stage.value, model) == (1, "production", "model 1")
        for number in (2, 3, 1):
            promote(client, number)
            assert served.wait_for(serves(served, number), SOON)
            assert served.current.value == f"model {number}"
    assert served.current.value == "model 1"
    assert served.error is None


def move_name(client: Client) -> None:
    rename(client, 2, "")
    rename(client, 3, "rc")


@pytest.mark.parametrize(
    ("reference", "change", "then"),
    [
        ("churn", lambda client: client.create_version("churn"), 4),
        ("churn", lambda client: client.delete_version("churn/3"), 2),
        ("churn@champion", lambda client: client.set_alias("churn/3", "champion"), 3),
        ("churn@staging", lambda client: client.set_stage("churn/3", "staging", force=True), 3),
        ("projects/default/models/churn/versions/@production", lambda client: promote(client, 3), 3),
        ("churn==rc", move_name, 3),
    ],
)
def test_every_reference_that_can_change_is_followed(
    client: Client, reference: str, change: Callable[[Client], Any], then: int
) -> None:
    """Latest, alias, stage and name are followed, also when a version is deleted."""
    client.set_alias("churn/2", "champion")
    client.set_stage("churn/2", "staging")
    with follow(reference, load) as served:
        assert served.current.version.number != then
        change(client)
        assert served.wait_for(serves(served, then), SOON)


def test_unrelated_changes_load_nothing(client: Client) -> None:
    """Each version is loaded once, in the order of promotion, despite other models, stages and metadata."""
    loader = Loader()
    with follow("churn@production", loader) as served:
        client.log_metadata("churn/1", {"auc": 0.9})
        client.set_stage("churn/2", "staging")
        client.set_alias("churn/3", "champion")
        client.create_model("fraud")
        promote(client, 3)
        assert served.wait_for(serves(served, 3), SOON)
    assert [loader.next(), loader.next()] == [1, 3]
    assert loader.asked.empty()


def test_a_burst_of_changes_is_debounced(client: Client) -> None:
    """After a burst of promotions the last version is served, and not every one is loaded."""
    client.create_versions("churn", [NewVersion()] * 20)
    loader = Loader()
    with follow("churn@production", loader) as served:
        for number in range(2, 24):
            promote(client, number)
        assert served.wait_for(serves(served, 23), SOON)
    assert loader.asked.qsize() < 12


def test_a_failed_load_keeps_the_previous_version(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """The error of on_change is in .error and logged, and the next change is loaded."""
    loader = Loader(2)
    with follow("churn@production", loader, retry=600) as served:
        promote(client, 2)
        assert served.wait_for(lambda: served.error is not None, SOON)
        assert (str(served.error), served.current.value) == ("no file of 2", "model 1")
        promote(client, 3)
        assert served.wait_for(serves(served, 3), SOON)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.name == "tallymark.serving"
    for word in ("churn", "@production", "Error: no file of 2", "ModelVersion(churn No.1"):
        assert word in record.getMessage()
    assert record.exc_info


def test_a_failed_load_is_retried(client: Client) -> None:
    """The same version is loaded again after a delay, without a change."""
    loader = Loader(2)
    with follow("churn@production", loader, retry=0.01) as served:
        promote(client, 2)
        assert [loader.next() for _ in range(3)] == [1, 2, 2]
        loader.bad.clear()
        assert served.wait_for(serves(served, 2), SOON)


def test_a_rollback_to_the_served_version_clears_the_error(client: Client) -> None:
    """The version is not loaded again."""
    loader = Loader(2)
    with follow("churn@production", loader, retry=600) as served:
        promote(client, 2)
        assert served.wait_for(lambda: served.error is not None, SOON)
        promote(client, 1)
        assert served.wait_for(serves(served, 1), SOON)
    assert [loader.next() for _ in range(loader.asked.qsize())] == [1, 2]


def test_an_empty_stage_keeps_the_previous_version(client: Client) -> None:
    """Meanwhile .error says so, and the next version in the stage is served."""
    with follow("churn@production", load) as served:
        client.set_stage("churn/1", "archived")
        assert served.wait_for(lambda: isinstance(served.error, errors.StageEmpty), SOON)
        assert served.current.value == "model 1"
        promote(client, 2)
        assert served.wait_for(serves(served, 2), SOON)


def test_entering_raises_without_a_version(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is so for an empty stage, a missing model, and a failed load."""
    for reference, kind in (("churn@staging", errors.StageEmpty), ("fraud", errors.ModelNotFound)):
        with pytest.raises(kind), follow(reference, load):
            pass
    with pytest.raises(OSError, match="no file of 1"), follow("churn@production", Loader(1)):
        pass
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "0.3")
    with pytest.raises(errors.Unavailable, match="TALLYMARK_URL"):
        follow("churn", load, url="127.0.0.1:1").__enter__()


def test_following_continues_after_an_outage(
    client: Client, registry_env: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During the outage .error says so and the version stays; later promotions are served."""
    # A call that is under way when the service goes is repeated for that long.
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "5")
    loader = Loader()
    with follow("churn@production", loader) as served:
        registry_env.restart()
        promote(client, 2)
        assert served.wait_for(serves(served, 2), SOON)
        registry_env.kill()
        assert served.wait_for(lambda: isinstance(served.error, errors.Unavailable), SOON)
        assert served.current.value == "model 2"
        registry_env.start()
        promote(client, 3)
        assert served.wait_for(serves(served, 3), SOON)
    assert [loader.next() for _ in range(loader.asked.qsize())] == [1, 2, 3]


def test_a_renamed_model_is_followed_by_name(client: Client) -> None:
    """After a rename the old version stays, and a new model with the old name is followed."""
    with follow("churn@production", load, retry=0.01) as served:
        client.rename_model("churn", "attrition")
        assert served.wait_for(lambda: isinstance(served.error, errors.ModelNotFound), SOON)
        assert served.current.value == "model 1"
        client.create_model("churn")
        client.create_version("churn", "anew")
        promote(client, 1)
        assert served.wait_for(lambda: served.current.version.name == "anew", SOON)


def test_a_service_starts_without_the_registry(
    client: Client, registry_env: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a last-good file, the last version is loaded during an outage, and newer ones after it."""
    kept = tmp_path / "churn.json"
    client.log_metadata("churn/1", {"auc": 0.9, "list": [1, {"a": True}]})
    with follow("churn@production", load, last_good=kept) as served:
        first = served.current.version
    promote(client, 2)
    registry_env.stop()
    loader = Loader()
    with follow("churn@production", loader, last_good=kept, retry=0.05) as served:
        assert served.current == (first, "model 1")
        assert isinstance(served.error, errors.Unavailable)
        assert "nothing is served" in caplog.text
        registry_env.start()
        assert served.wait_for(serves(served, 2), SOON)
    assert [loader.next() for _ in range(loader.asked.qsize())] == [1, 2]
    assert json.loads(kept.read_text())["version"]["number"] == 2
    assert [path.name for path in tmp_path.glob("*churn*")] == ["churn.json"]


def test_a_service_starts_with_the_last_good_version(client: Client, tmp_path: Path) -> None:
    """It does so if the stage is empty, or the new version cannot be loaded."""
    kept = tmp_path / "churn.json"
    with follow("churn@production", load, last_good=kept):
        pass
    promote(client, 2)
    with follow("churn@production", Loader(2), last_good=kept, retry=600) as served:
        assert (served.current.value, str(served.error)) == ("model 1", "no file of 2")
    client.set_stage("churn/2", "archived")
    with follow("churn@production", load, last_good=kept) as served:
        assert served.current.value == "model 1"
        assert isinstance(served.error, errors.StageEmpty)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"reference": 1}', "\x00", "other"])
def test_an_invalid_last_good_file_is_ignored(
    client: Client, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged file, or one for another reference, is logged and overwritten."""
    kept = tmp_path / "kept.json"
    if text == "other":
        with follow("churn/3", load, last_good=kept):
            pass
    else:
        kept.write_text(text)
    with follow("churn@production", load, last_good=kept) as served:
        assert served.current.value == "model 1"
    assert "kept.json" in caplog.text
    assert json.loads(kept.read_text())["reference"] == "projects/default/models/churn/versions/@production"


def test_a_last_good_file_that_cannot_be_written_is_logged(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Serving continues; a folder that does not exist is refused."""
    (tmp_path / "folder").mkdir()
    with follow("churn@production", load, last_good=tmp_path / "folder") as served:
        assert served.current.value == "model 1"
    assert "cannot be written" in caplog.text
    with pytest.raises(errors.InvalidArgument, match="no folder"):
        follow("churn@production", load, last_good=tmp_path / "nowhere/churn.json")


def test_closing_does_not_wait(client: Client, registry_env: Server) -> None:
    """A block ends during a load or an outage, and the result of the load is dropped."""
    loading, go_on, loaded = threading.Event(), threading.Event(), threading.Event()

    def slow(version: ModelVersion) -> str:
        if version.number == 2:
            loading.set()
            assert go_on.wait(SOON)
            loaded.set()
        return load(version)

    with follow("churn@production", slow) as served:
        promote(client, 2)
        assert loading.wait(SOON)
    go_on.set()
    assert loaded.wait(SOON)
    assert served.current.value == "model 1"
    with follow("churn@production", load) as again:
        registry_env.stop()
    assert again.current.value == "model 2"


def test_a_followed_reference_can_be_entered_again(client: Client) -> None:
    """The same object can be used for one block after the other, but not for two at once, nor outside a block."""
    served = follow("churn@production", load)
    with pytest.raises(errors.Refused, match="enter the `with` block first"):
        _ = served.current
    for number in (2, 3):
        promote(client, number)
        with served:
            assert served.current.value == f"model {number}"
            with pytest.raises(errors.Refused, match="create another"):
                served.__enter__()
    assert repr(served) == "follow('projects/default/models/churn/versions/@production')"


def test_invalid_arguments_of_follow_are_refused(client: Client) -> None:
    """Arguments of wrong types are refused when the object is created."""
    anything: Any = follow

    async def load_async(version: ModelVersion) -> str:
        return load(version)

    wrong: dict[str, tuple[Any, ...]] = {
        "takes text, not an int": (5, load),
        "takes a function of a ModelVersion, not a str": ("churn", "load"),
        "use afollow": ("churn", load_async),
    }
    for said, arguments in wrong.items():
        with pytest.raises(errors.InvalidArgument, match=said):
            anything(*arguments)
    for retry in (0, "1"):
        with pytest.raises(errors.InvalidArgument, match="seconds above 0"):
            anything("churn", load, retry=retry)


async def test_afollow_serves_in_asyncio(client: Client) -> None:
    """A coroutine function is awaited in the event loop, and a plain function does not block it."""
    loop = asyncio.get_running_loop()

    async def load_async(version: ModelVersion) -> str:
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        return load(version)

    def load_in_thread(version: ModelVersion) -> str:
        assert threading.current_thread() is not threading.main_thread()
        return load(version)

    for number, on_change in ((2, load_async), (3, load_in_thread)):
        async with afollow("churn@production", on_change) as served:
            promote(client, number)
            assert await served.wait_for(serves(served, number), SOON)
            assert served.current.value == f"model {number}"


async def test_leaving_afollow_cancels_a_load(client: Client) -> None:
    """Leaving the block, or cancelling while it is entered, cancels a coroutine that still loads."""
    loading, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(version: ModelVersion) -> str:
        if version.number == 2:
            loading.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
        return load(version)

    async with afollow("churn@production", slow) as served:
        promote(client, 2)
        await asyncio.wait_for(loading.wait(), SOON)
    await asyncio.wait_for(cancelled.wait(), SOON)
    assert served.current.value == "model 1"
    loading.clear()
    cancelled.clear()
    entering = asyncio.create_task(afollow("churn@production", slow).__aenter__())
    await asyncio.wait_for(loading.wait(), SOON)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await asyncio.wait_for(cancelled.wait(), SOON)
