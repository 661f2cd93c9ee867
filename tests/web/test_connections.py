"""Connections over HTTP that say nothing: they end by themselves, and those that are used go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from uvicorn.server import ServerState

from tallymark_server.web.connections import PatientProtocol

DEADLINE = 0.2
HEAD = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


class Impatient(PatientProtocol):
    deadline = DEADLINE


async def answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


async def drip(_: Request) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for _ in range(3):
            yield "line\n"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(DEADLINE * 2):
                    await asyncio.Event().wait()

    return StreamingResponse(lines())


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/", answer), Route("/drip", drip)])
    config = uvicorn.Config(app, ws="none", log_config=None, access_log=False)
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Impatient(config, state, {}), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in state.tasks:
        task.cancel()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost: 127", HEAD, HEAD + b"GET / HTT"])
async def test_a_connection_that_says_no_more_is_closed(sent: bytes) -> None:
    """Silence, half a head, and either of these after a request: the server closes, though the caller does not."""
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        received = await asyncio.wait_for(reader.read(), 20)
        assert (b"here" in received) == sent.startswith(HEAD)
        writer.close()


async def test_an_answer_that_takes_long_is_not_cut_off() -> None:
    """A stream that is slower than the deadline arrives whole."""
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD.replace(b"/ ", b"/drip ", 1))
        received = b""
        while received.count(b"line\n") < 3 or not received.endswith(b"0\r\n\r\n"):
            received += await asyncio.wait_for(reader.readuntil(b"\n"), 20)
        writer.close()
