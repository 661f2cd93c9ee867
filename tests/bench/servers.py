"""The servers that the bench starts as processes, their requests, and checks of what they stored."""

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
    """A registry does not have what it acknowledged, so the figures are not valid."""


@contextmanager
def program(module: str, *arguments: str) -> Iterator[str]:
    """Start a server that prints its address in its first line, and yield the address."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


def create_body(model: str = MODEL) -> bytes:
    """Return the request to create a version."""
    request = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/{model}")
    return bytes(request.SerializeToString())


def batch_body(rows: int) -> bytes:
    """Return the request to create so many versions in a batch."""
    request = model_registry_pb2.BatchCreateModelVersionsRequest(parent=f"{PROJECT}/models/{MODEL}")
    for _ in range(rows):
        request.model_versions.add()
    return bytes(request.SerializeToString())


def get_body() -> bytes:
    """Return the request for the first version."""
    request = model_registry_pb2.GetModelVersionRequest(name=f"{PROJECT}/models/{MODEL}/versions/1")
    return bytes(request.SerializeToString())


def verify_tallymark(server: Server, expected: int, model: str = MODEL) -> None:
    """Raise UnverifiedError unless the model has all versions without a gap.

    h2load counts an error of gRPC as an answer, so its counts alone prove nothing.
    """
    with grpc.insecure_channel(server.address) as channel:
        numbers = [version.number for version in Calls(channel).versions(model, page_size=1000)]
    if numbers != list(range(expected, 0, -1)):
        raise UnverifiedError(f"{expected:,} versions of {model} were created, but the server has {len(numbers):,}")


def verify_naive(db: Path, expected: int) -> None:
    """Raise UnverifiedError unless there are as many rows as creates, without a gap."""
    with closing(sqlite3.connect(db)) as connection:
        found = connection.execute("SELECT count(*), max(number) FROM versions").fetchone()
    if found != (expected, expected):
        raise UnverifiedError(f"the naive registry created {expected:,} versions, but has (count, last) {found}")
