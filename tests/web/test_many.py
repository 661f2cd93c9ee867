"""Very many open pages at once."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import grpc.aio
from grpc_calls import PROJECT, Calls

from tallymark.testing import Server
from tallymark.v1.model_registry_pb2 import CreateModelVersionRequest
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub

PAGES = 500
VERSIONS = 20


async def opened(dashboard: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open the stream that an open page of the model follows."""
    host = urlsplit(dashboard)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    writer.write(f"GET /live?model=churn HTTP/1.1\r\nHost: {host.netloc}\r\n\r\n".encode())
    assert b"200" in await reader.readline()
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def told(reader: asyncio.StreamReader, last: int) -> None:
    """Read until the stream reports that version."""
    async for line in reader:
        if line.startswith(b"data: ") and json.loads(line.removeprefix(b"data: "))["number"] == last:
            return
    raise AssertionError("the stream ended")


async def test_five_hundred_open_pages_get_every_change_and_delay_nobody(server: Server, calls: Calls) -> None:
    """While versions are created with 500 pages open, the stream of every page reports the last version."""
    calls.create_model("churn")
    async with AsyncExitStack() as stack:
        readers = []
        for _ in range(PAGES):
            reader, writer = await opened(server.dashboard)
            stack.callback(writer.close)
            readers.append(reader)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
        hearing = [asyncio.create_task(told(reader, VERSIONS)) for reader in readers]
        for number in range(1, VERSIONS + 1):
            request = CreateModelVersionRequest(parent=f"{PROJECT}/models/churn")
            version = await ModelRegistryStub(channel).CreateModelVersion(request, timeout=10)
            assert version.number == number
        await asyncio.wait_for(asyncio.gather(*hearing), timeout=60)
