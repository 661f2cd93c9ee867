"""What is measured: ours, an echo that does nothing, and a naive registry, each a process of its own."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
from grpc_calls import PROJECT, Calls

from tallymark.testing import Server
from tallymark.v1 import model_registry_pb2

CREATE = "/tallymark.v1.ModelRegistry/CreateModelVersion"
BATCH = "/tallymark.v1.ModelRegistry/BatchCreateModelVersions"
GET = "/tallymark.v1.ModelRegistry/GetModelVersion"
MODEL = "bench"


class UnverifiedError(Exception):
    """What was counted is not what is there; no figure counts."""


@contextmanager
def program(module: str, *arguments: str) -> Iterator[str]:
    """The address of a server that announces it in its first line."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.kill()


def create_body(model: str = MODEL) -> bytes:
    """The request to create a version."""
    request = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/{model}")
    return bytes(request.SerializeToString())


def batch_body(rows: int) -> bytes:
    """The request to create so many versions at once."""
    request = model_registry_pb2.BatchCreateModelVersionsRequest(parent=f"{PROJECT}/models/{MODEL}")
    for _ in range(rows):
        request.model_versions.add()
    return bytes(request.SerializeToString())


def get_body() -> bytes:
    """The request for the first version."""
    request = model_registry_pb2.GetModelVersionRequest(name=f"{PROJECT}/models/{MODEL}/versions/1")
    return bytes(request.SerializeToString())


def verify_ours(server: Server, expected: int, model: str = MODEL) -> None:
    """Every create that was counted is a version, without a gap: the generator takes a refusal for a fast answer."""
    with grpc.insecure_channel(server.address) as channel:
        numbers = [version.number for version in Calls(channel).versions(model, page_size=1000)]
    if numbers != list(range(expected, 0, -1)):
        raise UnverifiedError(f"{expected:,} versions of {model} were created, and {len(numbers):,} are there")


def verify_naive(db: Path, expected: int) -> None:
    """As many rows as creates, numbered without a gap."""
    with closing(sqlite3.connect(db)) as connection:
        found = connection.execute("SELECT count(*), max(number) FROM versions").fetchone()
    if found != (expected, expected):
        raise UnverifiedError(f"the naive registry was asked for {expected:,} versions and has {found}")
