"""What is answered is on the disk: seen in the system calls of a server, and by taking the power away at any moment."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_calls import PROJECT, Calls

from faults.power_loss import Disk
from faults.strace import Step, TracedServer, answered_too_early
from tallymark.v1 import model_pb2, model_registry_pb2
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import ModelVersion
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sqlite.verification import verify

MOMENTS = int(os.environ.get("TALLYMARK_TEST_MOMENTS", "40"))
SEED = int(os.environ.get("TALLYMARK_TEST_SEED", "1"))
# Together more than the thousand pages after which SQLite moves its write-ahead log into the file and begins it anew.
ALONE, AT_ONCE, SIZE = 10, 90, 45_000


def traced(folder: Path, module: str = "tallymark_server") -> tuple[list[Step], list[str]]:
    """What a server did while versions were created, one by one and at once, and the tokens that are in them."""
    tokens = [f"token-{number:04}" for number in range(ALONE + AT_ONCE + ALONE)]
    with TracedServer(folder.resolve() / "traced.db", module) as server:
        with grpc.insecure_channel(server.address) as channel:
            calls = Calls(channel)
            calls.create_model("churn")
            for token in tokens[:ALONE]:
                calls.create_version("churn", description=token)
            requests = [
                model_registry_pb2.CreateModelVersionRequest(
                    parent=f"{PROJECT}/models/churn",
                    model_version=model_pb2.ModelVersion(
                        description=token, metadata={"big": model_pb2.MetadataValue(text="x" * SIZE)}
                    ),
                )
                for token in tokens[ALONE:-ALONE]
            ]
            for future in [calls.models.CreateModelVersion.future(request) for request in requests]:
                future.result()
            for token in tokens[-ALONE:]:
                calls.create_version("churn", description=token)
        server.stop()
        return server.steps(), tokens


@pytest.fixture(scope="module")
def server_trace(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Step], list[str]]:
    """What the server did."""
    return traced(tmp_path_factory.mktemp("traced"))


@pytest.fixture(scope="module")
def weakened_trace(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Step], list[str]]:
    """What a server did that does not wait for the disk."""
    return traced(tmp_path_factory.mktemp("weakened"), "faults.early_reply_server")


def test_no_answer_leaves_before_its_commit_is_on_the_disk(server_trace: tuple[list[Step], list[str]]) -> None:
    """Between the last frame of a commit in the write-ahead log and the reply stands the sync of that log."""
    assert answered_too_early(*server_trace) == []


def test_a_server_that_does_not_wait_for_the_disk_is_seen(weakened_trace: tuple[list[Step], list[str]]) -> None:
    """With synchronous=OFF every answer is found to leave too early, so the proof above proves something."""
    assert answered_too_early(*weakened_trace) == weakened_trace[1]


def losses(steps: list[Step], moments: int) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Moments at which the power goes: how many steps were done until then, and the files that are left."""
    choose = random.Random(SEED)
    telling = [place for place, step in enumerate(steps) if step.what in ("sync", "sendmsg", "unlink")]
    chosen = {choose.choice(telling) + choose.randint(0, 1) for _ in range(moments // 2)}
    chosen |= set(choose.sample(range(len(steps)), moments // 2))
    disk, done = Disk(), 0
    for moment in sorted(chosen):
        for step in steps[done:moment]:
            disk.do(step)
        done = moment
        # What is certain is left alone now and then, else with some of what is not.
        yield moment, disk.after_loss(choose if choose.random() < 0.7 else None)


def acknowledged(steps: list[Step], tokens: list[str]) -> dict[str, int]:
    """After how many steps each token was in a reply."""
    found: dict[str, int] = {}
    for place, step in enumerate(steps):
        if step.what == "sendmsg":
            for token in re.findall(rb"token-\d{4}", step.data):
                found.setdefault(token.decode(), place + 1)
    assert found.keys() == set(tokens)
    return found


def restored(folder: Path, left: dict[str, bytes]) -> Path:
    """A folder with the files that are left."""
    folder.mkdir()
    for name, content in left.items():
        (folder / name).write_bytes(content)
    return folder


async def held(folder: Path) -> set[str]:
    """The tokens that are there when a server is started on the folder, of which the file must prove."""
    async with open_sqlite(folder / "traced.db", ["default"]) as storage:
        events: list[Event] = []
        while page := (await storage.events("default", len(events), 1000)).items:
            events.extend(page)
    assert verify(folder / "traced.db").problems == []
    return {event.image.description for event in events if isinstance(event.image, ModelVersion)}


async def test_what_was_acknowledged_survives_the_loss_of_power(
    server_trace: tuple[list[Step], list[str]], tmp_path: Path
) -> None:
    """Whatever the disk kept of writes that were not synced, the file proves, and holds all that was acknowledged."""
    steps, tokens = server_trace
    begun = [step for step in steps if step.what == "pwrite64" and step.path.name.endswith("-wal") and not step.offset]
    assert len(begun) > 1, "the write-ahead log was never begun anew"
    answered = acknowledged(steps, tokens)
    for moment, left in losses(steps, MOMENTS):
        needed = {token for token, place in answered.items() if place <= moment}
        assert needed - await held(restored(tmp_path / str(moment), left)) == set(), f"after {moment} steps"


async def test_a_loss_of_power_is_one(weakened_trace: tuple[list[Step], list[str]], tmp_path: Path) -> None:
    """A server that does not wait for the disk loses what it acknowledged, so the loss above is a loss."""
    steps, tokens = weakened_trace
    disk = Disk()
    for step in steps[: max(acknowledged(steps, tokens).values())]:
        disk.do(step)
    assert await held(restored(tmp_path / "lost", disk.after_loss(None))) == set()
