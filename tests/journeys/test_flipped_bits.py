"""A flipped bit on the disk is reported: no answer is wrong, and none is an internal error."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import grpc
import pytest
from grpc_calls import Calls, PROJECT, refusal_of

from journeys.test_serving import tallymark
from tallymark.testing import Server
from tallymark.v1 import model_registry_pb2 as requests
from tallymark.v1.model_pb2 import STAGE_PRODUCTION, STAGE_STAGING, MetadataValue, ModelConfig
from tallymark.v1.run_registry_pb2 import ListRunsRequest
from tallymark_server.storage.sqlite import integrity_check
from tallymark_server.app import running
from tallymark_server.domain.errors import DataDamaged
from tallymark_server.settings import Settings
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.contract import CannotOpenError, Storage

FLIPS = int(os.environ.get("TALLYMARK_TEST_FLIPS", "25"))
SEED = int(os.environ.get("TALLYMARK_TEST_SEED", "1"))
MODELS = ("churn", "fraud", "tumors")
VERSIONS = 30


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a file with every kind of resource."""
    db = tmp_path_factory.mktemp("whole") / "tallymark.db"
    with Server(db) as server, grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        for model in MODELS:
            calls.create_model(model, description=f"what {model} is for")
            for number in range(1, VERSIONS + 1):
                run = f"{model}-{number}"
                calls.start_run(run, ModelConfig(model=model))
                calls.log_metadata(
                    model,
                    number,
                    accuracy=MetadataValue(number=number / 7),
                    note=MetadataValue(text=f"note {number}" * 9),
                )
            calls.set_stage(model, 3, STAGE_PRODUCTION, allow_unfinished_run=True, reason="a try")
            calls.set_stage(model, 4, STAGE_STAGING, allow_unfinished_run=True, reason="a try")
            calls.set_alias(model, 5, "champion")
    return db


def reads() -> dict[str, Callable[[Calls], object]]:
    """Return the reads that are compared: single resources, lists, references, runs and the log."""
    found: dict[str, Callable[[Calls], object]] = {
        "events": lambda calls: calls.events(),
        "runs": lambda calls: calls.runs.ListRuns(ListRunsRequest(parent=PROJECT, page_size=1000)),
        "models": lambda calls: calls.models.ListModels(requests.ListModelsRequest(parent=PROJECT)),
    }
    for model in MODELS:
        found[model] = partial(Calls.model, model=model)
        found[f"versions of {model}"] = partial(Calls.versions, model=model)
        for reference in ("latest", "@production", "@staging", "@champion", *map(str, range(1, VERSIONS + 1))):
            found[f"{model}/{reference}"] = partial(Calls.version, model=model, reference=reference)
    return found


def answers_of(address: str) -> dict[str, object]:
    """Return the answer to each read, or its status and reason."""
    found: dict[str, object] = {}
    with grpc.insecure_channel(address) as channel:
        for name, read in reads().items():
            try:
                found[name] = read(Calls(channel))
            except grpc.RpcError as error:
                refusal = refusal_of(error)
                found[name] = (refusal.code.name, refusal.info.reason)
        try:
            found["the next number"] = Calls(channel).create_version("churn").number
        except grpc.RpcError as error:
            refusal = refusal_of(error)
            found["the next number"] = (refusal.code.name, refusal.info.reason)
    return found


async def answered(db: Path) -> dict[str, object] | None:
    """Return the answers of a server on the file, or None if it reports why it does not start."""
    try:
        async with running(Settings(db=str(db), port=0)) as server:
            return await asyncio.to_thread(answers_of, server.address)
    except CannotOpenError:
        return None


def flipped(whole: Path, to: Path, choose: random.Random) -> tuple[int, int]:
    """Copy the file with one bit flipped, and return the position of the byte and the bit."""
    content = bytearray(whole.read_bytes())
    place, bit = choose.randrange(len(content)), choose.randrange(8)
    content[place] ^= 1 << bit
    to.write_bytes(content)
    return place, bit


DAMAGED = ("DATA_LOSS", "DATA_DAMAGED")


async def test_a_flipped_bit_is_refused_or_changes_nothing(whole: Path, tmp_path: Path) -> None:
    """After any flipped bit in a file, each answer is unchanged or DATA_DAMAGED."""
    right = await answered(Path(shutil.copyfile(whole, tmp_path / "right.db")))
    assert right is not None
    choose = random.Random(SEED)
    wrong: list[object] = []
    refused = 0
    for flip in range(FLIPS):
        where = flipped(whole, tmp_path / f"{flip}.db", choose)
        found = await answered(tmp_path / f"{flip}.db")
        for name, answer in (found or {}).items():
            if answer == DAMAGED:
                refused += 1
            elif answer != right[name]:
                wrong.append((where, name, answer if isinstance(answer, tuple | int) else "wrong data"))
    assert wrong == []
    assert refused


def without_a_row_of_an_index(db: Path) -> None:
    """Remove the last entry of an index, so that it does not match its table."""
    with closing(sqlite3.connect(db)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'runs_by_start'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with db.open("r+b") as file:
        file.seek((page - 1) * size + 3)
        # The number of cells in the page.
        count = int.from_bytes(file.read(2), "big")
        file.seek((page - 1) * size + 3)
        file.write((count - 1).to_bytes(2, "big"))


async def test_a_small_file_with_a_damaged_index_is_not_served(whole: Path, tmp_path: Path) -> None:
    """A server does not start on a small file in which an index lacks a row, and says how to repair it."""
    db = Path(shutil.copyfile(whole, tmp_path / "tallymark.db"))
    without_a_row_of_an_index(db)
    with pytest.raises(CannotOpenError, match=r"is damaged: .*; restore a backup, or run `tallymark export`"):
        async with open_sqlite(db, ("default",)):
            pass
    export, mended = tmp_path / "export.jsonl", tmp_path / "mended.db"
    assert tallymark(tmp_path, "export", "--db", str(db), "--to", str(export)).returncode == 0
    assert tallymark(tmp_path, "import", "--db", str(mended), "--from", str(export)).returncode == 0
    assert await answered(mended) == await answered(Path(shutil.copyfile(whole, tmp_path / "whole.db")))


async def read_for_ever(storage: Storage) -> None:
    async with asyncio.timeout(60):
        while True:
            await storage.head("default")
            await asyncio.sleep(0)


async def test_a_large_file_with_a_damaged_index_is_refused_after_the_check(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is served while it is checked; once the damage is found, every request gets DATA_DAMAGED."""
    monkeypatch.setattr(integrity_check, "SMALL", 0)
    db = Path(shutil.copyfile(whole, tmp_path / "tallymark.db"))
    async with open_sqlite(db, ("default",)) as storage:
        assert (await storage.head("default")).revision
    without_a_row_of_an_index(db)
    async with open_sqlite(db, ("default",)) as storage:
        with pytest.raises(DataDamaged):
            await read_for_ever(storage)
