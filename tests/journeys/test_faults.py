"""A server with full disks, locked files, a clock that was set back and hostile requests."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_calls import DEADLINE, PROJECT, Calls, refusal_of, refused, stream_bytes, unary_bytes
from google.protobuf.message_factory import GetMessageClass
from storage.commands import create_model, create_versions, write

from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, model_registry_pb2, run_registry_pb2
from tallymark.v1.model_pb2 import STAGE_PRODUCTION, MetadataValue
from tallymark.v1.model_registry_pb2 import GetModelVersionRequest
from tallymark_server.storage.log.chain import digest_of_content
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sqlite.verification import verify

BIG = MetadataValue(text="x" * 30_000)
METHODS = [
    method
    for module in (model_registry_pb2, run_registry_pb2, event_log_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def test_a_file_that_cannot_grow_refuses_writes_until_it_can(server: Server, calls: Calls) -> None:
    """While the file cannot grow, writes are refused and reads are served; then numbers continue without a gap."""
    calls.create_model("churn")
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (400_000, hard))
    outcomes: Counter[str] = Counter()
    for _ in range(30):
        try:
            calls.create_version("churn", metadata={"big": BIG})
            outcomes["created"] += 1
        except grpc.RpcError as error:
            refusal = refusal_of(error)
            outcomes[refusal.info.reason] += 1
            assert refusal.code == grpc.StatusCode.UNAVAILABLE
    assert outcomes.keys() == {"created", "STORAGE_UNAVAILABLE"}
    assert calls.model("churn").last_number == outcomes["created"]
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert calls.create_version("churn").number == outcomes["created"] + 1
    server.restart()
    with grpc.insecure_channel(server.address) as channel:
        numbers = [version.number for version in Calls(channel).versions("churn")]
    assert numbers == list(range(outcomes["created"] + 1, 0, -1))


def test_a_file_locked_by_another_program_refuses_writes_until_it_is_free(server: Server, calls: Calls) -> None:
    """While another program holds SQLite's write lock, writes wait and are then refused; reads are served."""
    calls.create_model("churn")
    other = sqlite3.connect(server.db, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with refused("STORAGE_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE) as refusal:
        calls.create_version("churn")
    assert "locked" in refusal.message
    assert calls.model("churn").last_number == 0
    other.execute("ROLLBACK")
    other.close()
    assert calls.create_version("churn").number == 1


async def test_a_clock_that_was_set_back_stops_nothing(tmp_path: Path) -> None:
    """If the last event is ahead of the clock, further events get the time of that event."""
    ahead = time.time_ns() // 1000 + 86_400_000_000
    async with open_sqlite(tmp_path / "tallymark.db", ("default",)) as storage:
        await write(storage, create_model(), create_versions(None), now=ahead)
    with Server(tmp_path / "tallymark.db") as server, grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        assert calls.create_version("churn").number == 2
        promoted = calls.set_stage("churn", 2, STAGE_PRODUCTION)
        assert [event.time.ToMicroseconds() for event in calls.events()] == [ahead] * 4
        request = GetModelVersionRequest(name=f"{PROJECT}/models/churn/versions/@production")
        assert calls.models.GetModelVersion(request, timeout=DEADLINE) == promoted
        request.read_time.CopyFrom(promoted.update_time)
        assert calls.models.GetModelVersion(request, timeout=DEADLINE) == promoted
        request.read_time.GetCurrentTime()
        with refused("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            calls.models.GetModelVersion(request, timeout=DEADLINE)
        assert verify(server.db).problems == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """When standard error cannot be written, the server serves, refuses and stops as usual."""
    command = [sys.executable, "-m", "tallymark_server", "--db", str(tmp_path / "t.db"), "--listen", "127.0.0.1:0"]
    command.append("--no-ui")
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen([*command, "--log-level", "debug"], stdout=subprocess.PIPE, stderr=full, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().split()[-1]
    with grpc.insecure_channel(address) as channel:
        calls = Calls(channel)
        with refused("MODEL_NOT_FOUND"):
            calls.model("churn")
        assert calls.create_model("churn").create_revision == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stdout.close()


def record_impossible_version(db: Path, revision: int) -> None:
    """Store a version with an invalid creator and a matching digest, which no server writes."""
    with closing(sqlite3.connect(db)) as database, database:
        ((salt, *content, image),) = database.execute(
            "SELECT salt, actor, reason, alias, previous_name, image FROM events WHERE revision = ?", (revision,)
        ).fetchall()
        image = json.dumps({**json.loads(image), "creator": 5})
        digest = digest_of_content(salt, *content, image)
        database.execute("UPDATE events SET image = ?, digest = ? WHERE revision = ?", (image, digest, revision))


def test_an_unexpected_error_is_reported_by_its_incident_id(server: Server, calls: Calls) -> None:
    """A client gets only the id of an incident, and the server's log has the cause under this id."""
    calls.create_model("churn")
    calls.create_version("churn")
    record_impossible_version(server.db, 2)
    with refused("INCIDENT", grpc.StatusCode.INTERNAL) as refusal:
        calls.version("churn", "1")
    assert "TypeError" not in refusal.message
    log = server.log_file.read_text()
    assert refusal.metadata["incident"] in log
    assert "TypeError" in log
    assert calls.create_version("churn").number == 2


TEXTS = ["", "a", "churn", "1", "latest", "@production", "=rc", "x" * 300, "\u202e", "é", "a/b", "\n", "-1", "9" * 30,
         PROJECT, f"{PROJECT}/models/churn", f"{PROJECT}/models/churn/versions/1", f"{PROJECT}/runs/r1",
         "'; DROP TABLE models;--", "%", "\x00", "one", "y" * 20_000, "é" * 5000,
         "projects/default/models/" + "z" * 20_000,
         f"{PROJECT}/models/churn/versions/@champion", f"{PROJECT}/models/churn/versions/1/artifacts/one",
         f"{PROJECT}/runs/r1/steps/one", "auc", "metadata.auc desc", "number > 0 AND metadata.auc >= 0.5", "stage",
         "NOT " * 300 + "a", "a" + " OR b" * 300, "(" * 5000, "s3://bucket/key", "sha256:" + "0" * 64, "eyJ9",
         "model_version.description", "*"]  # fmt: skip
# Names of existing resources, so that most requests are not refused for their name.
NAMED = [PROJECT, f"{PROJECT}/models/churn", f"{PROJECT}/models/churn/versions/1", f"{PROJECT}/runs/one",
         f"{PROJECT}/models/churn/versions/1/artifacts/one", f"{PROJECT}/runs/one/steps/one"]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 99, 2**31 - 1, -(2**31)]


def filled(message: Any, choose: random.Random, depth: int = 0) -> Any:
    """Set random fields of the message to values from the lists above, and return it."""
    for field in message.DESCRIPTOR.fields:
        if choose.random() < 0.4 or depth > 3:
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            entries = getattr(message, field.name)
            if field.message_type.fields_by_name["value"].message_type:
                filled(entries[choose.choice(TEXTS)], choose, depth + 1)
            else:
                entries[choose.choice(TEXTS)] = choose.choice(NUMBERS)
        elif field.message_type:
            inner = getattr(message, field.name)
            filled(inner.add() if field.is_repeated else inner, choose, depth + 1)
        else:
            kinds: dict[type, list[Any]] = {
                str: TEXTS,
                int: NUMBERS,
                float: [0.5, float("nan"), float("inf")],
                bool: [True],
            }
            kind = int if field.enum_type else str if field.is_repeated else type(field.default_value)
            value = choose.choice(kinds[kind])
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    if depth == 0:
        for field in {"parent", "name", "run", "model_version"} & set(message.DESCRIPTOR.fields_by_name):
            if isinstance(getattr(message, field), str) and choose.random() < 0.8:
                setattr(message, field, choose.choice(NAMED))
    return message


def create_resources(calls: Calls) -> None:
    """Create the resources of the requests again, if they were deleted."""
    for make in (calls.create_model, calls.create_version, calls.start_run):
        with contextlib.suppress(grpc.RpcError):
            make("one" if make == calls.start_run else "churn")


@pytest.mark.parametrize("seed", range(1, 5))
def test_hostile_requests_get_clean_answers(server: Server, calls: Calls, seed: int) -> None:
    """Each of 10,000 random and mutated requests to all methods is answered, or refused with a reason."""
    choose = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for turn in range(2500):
        if turn % 100 == 0:
            create_resources(calls)
        method = METHODS[turn % len(METHODS)]
        data = bytearray(filled(GetMessageClass(method.input_type)(), choose).SerializeToString())
        if choose.random() < 0.3 and data:
            data[choose.randrange(len(data))] = choose.randrange(256)
            del data[choose.randint(1, len(data)) :]
        path = f"/{method.containing_service.full_name}/{method.name}"
        try:
            if method.server_streaming:
                stream = stream_bytes(calls.channel, path)(bytes(data), timeout=30)
                next(stream)
                stream.cancel()
            else:
                unary_bytes(calls.channel, path)(bytes(data), timeout=30)
            outcomes["OK"] += 1
        except grpc.RpcError as error:
            outcomes[refusal_of(error).info.reason] += 1
    assert "INCIDENT" not in outcomes, server.log_file.read_text()
    assert {"OK", "INVALID_FIELD", "MALFORMED_REQUEST"} <= outcomes.keys()
    assert verify(server.db).problems == []
    calls.create_model("after all")
    assert calls.create_version("after all").number == 1
