"""Acknowledged changes are on the disk: checked in the system calls of a server, and by simulated losses of power."""

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

LOSSES = int(os.environ.get("TALLYMARK_TEST_MOMENTS", "40"))
SEED = int(os.environ.get("TALLYMARK_TEST_SEED", "1"))
# Single and concurrent creates, which together write more than the 1,000 pages after which SQLite checkpoints its log.
SINGLE, CONCURRENT, SIZE = 10, 90, 45_000


def traced(folder: Path, module: str = "tallymark_server") -> tuple[list[Step], list[str]]:
    """Trace a server while versions are created, and return its system calls and the tokens in the versions."""
    tokens = [f"token-{number:04}" for number in range(SINGLE + CONCURRENT + SINGLE)]
    with TracedServer(folder.resolve() / "traced.db", module) as server:
        with grpc.insecure_channel(server.address) as channel:
            calls = Calls(channel)
            calls.create_model("churn")
            for token in tokens[:SINGLE]:
                calls.create_version("churn", description=token)
            requests = [
                model_registry_pb2.CreateModelVersionRequest(
                    parent=f"{PROJECT}/models/churn",
                    model_version=model_pb2.ModelVersion(
                        description=token, metadata={"big": model_pb2.MetadataValue(text="x" * SIZE)}
                    ),
                )
                for token in tokens[SINGLE:-SINGLE]
            ]
            for future in [calls.models.CreateModelVersion.future(request) for request in requests]:
                future.result()
            for token in tokens[-SINGLE:]:
                calls.create_version("churn", description=token)
        server.stop()
        return server.steps(), tokens


@pytest.fixture(scope="module")
def server_trace(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Step], list[str]]:
    """The system calls of the server."""
    return traced(tmp_path_factory.mktemp("traced"))


@pytest.fixture(scope="module")
def unsynced_trace(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Step], list[str]]:
    """The system calls of a server that does not sync its commits."""
    return traced(tmp_path_factory.mktemp("weakened"), "faults.early_reply_server")


def test_no_answer_leaves_before_its_commit_is_on_the_disk(server_trace: tuple[list[Step], list[str]]) -> None:
    """The write-ahead log is synced after the last frame of a commit and before the reply."""
    assert answered_too_early(*server_trace) == []


def test_a_server_that_does_not_sync_is_detected(unsynced_trace: tuple[list[Step], list[str]]) -> None:
    """With synchronous=OFF every answer is reported as too early, so the check above can fail."""
    assert answered_too_early(*unsynced_trace) == unsynced_trace[1]


def losses(steps: list[Step], moments: int) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield losses of power: the number of system calls before each, and the files that remain."""
    choose = random.Random(SEED)
    relevant = [place for place, step in enumerate(steps) if step.what in ("sync", "sendmsg", "unlink")]
    chosen = {choose.choice(relevant) + choose.randint(0, 1) for _ in range(moments // 2)}
    chosen |= set(choose.sample(range(len(steps)), moments // 2))
    disk, done = Disk(), 0
    for moment in sorted(chosen):
        for step in steps[done:moment]:
            disk.do(step)
        done = moment
        # In three of ten cases only synced writes survive, else also some of the others.
        yield moment, disk.after_loss(choose if choose.random() < 0.7 else None)


def acknowledged(steps: list[Step], tokens: list[str]) -> dict[str, int]:
    """Return the number of system calls up to the reply with each token."""
    found: dict[str, int] = {}
    for place, step in enumerate(steps):
        if step.what == "sendmsg":
            for token in re.findall(rb"token-\d{4}", step.data):
                found.setdefault(token.decode(), place + 1)
    assert found.keys() == set(tokens)
    return found


def restored(folder: Path, left: dict[str, bytes]) -> Path:
    """Write the remaining files into a folder, and return it."""
    folder.mkdir()
    for name, content in left.items():
        (folder / name).write_bytes(content)
    return folder


async def stored_tokens(folder: Path) -> set[str]:
    """Open the database in the folder, check that it is sound, and return the tokens in it."""
    async with open_sqlite(folder / "traced.db", ["default"]) as storage:
        events: list[Event] = []
        while page := (await storage.events("default", len(events), 1000)).items:
            events.extend(page)
    assert verify(folder / "traced.db").problems == []
    return {event.image.description for event in events if isinstance(event.image, ModelVersion)}


async def test_what_was_acknowledged_survives_the_loss_of_power(
    server_trace: tuple[list[Step], list[str]], tmp_path: Path
) -> None:
    """Whichever unsynced writes survive, the file is sound and has all acknowledged changes."""
    steps, tokens = server_trace
    begun = [
        step
        for step in steps
        if step.what == "pwrite64" and step.path and step.path.name.endswith("-wal") and not step.offset
    ]
    assert len(begun) > 1, "the write-ahead log was never begun anew"
    answered = acknowledged(steps, tokens)
    for moment, left in losses(steps, LOSSES):
        needed = {token for token, place in answered.items() if place <= moment}
        assert needed - await stored_tokens(restored(tmp_path / str(moment), left)) == set(), f"after {moment} steps"


async def test_the_simulated_loss_of_power_loses_unsynced_changes(
    unsynced_trace: tuple[list[Step], list[str]], tmp_path: Path
) -> None:
    """A server that does not sync loses acknowledged changes, so the test above can fail."""
    steps, tokens = unsynced_trace
    disk = Disk()
    for step in steps[: max(acknowledged(steps, tokens).values())]:
        disk.do(step)
    assert await stored_tokens(restored(tmp_path / "lost", disk.after_loss(None))) == set()
