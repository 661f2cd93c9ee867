"""Silent connections over HTTP: they are closed, and those that are used stay open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from uvicorn.server import ServerState

from tallymark_server.web.connections import MAX_PAGES, PatientProtocol, RenderLimiter, Unread

DEADLINE = 0.2
LARGE = 16 * 1024 * 1024
HEAD = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


class Impatient(PatientProtocol):
    deadline = DEADLINE


async def large(request: Request) -> PlainTextResponse:
    request.app.state.large_begun += 1
    return PlainTextResponse("x" * LARGE)


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


def site() -> Starlette:
    app = Starlette(routes=[Route("/", answer), Route("/drip", drip), Route("/large", large)])
    app.state.large_begun = 0
    return app


@asynccontextmanager
async def listening(
    state: ServerState | None = None, app: Starlette | None = None, **bounds: float
) -> AsyncIterator[int]:
    class Protocol(Impatient):
        unread = Unread(**bounds)  # type: ignore[arg-type]  # bounds - of either kind

    app = app or site()
    config = uvicorn.Config(RenderLimiter(app), ws="none", log_config=None, access_log=False)
    state = state or ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(config, state, {}), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in state.tasks:
        task.cancel()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost: 127", HEAD, HEAD + b"GET / HTT"])
async def test_a_connection_that_says_no_more_is_closed(sent: bytes) -> None:
    """The server closes connections that send nothing, or half a head, at first or after a request."""
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        received = await asyncio.wait_for(reader.read(), 20)
        assert (b"here" in received) == sent.startswith(HEAD)
        writer.close()


async def test_an_answer_that_takes_long_is_not_cut_off() -> None:
    """A stream that takes longer than the deadline arrives as a whole."""
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD.replace(b"/ ", b"/drip ", 1))
        received = b""
        while received.count(b"line\n") < 3 or not received.endswith(b"0\r\n\r\n"):
            received += await asyncio.wait_for(reader.readuntil(b"\n"), 20)
        writer.close()


@pytest.mark.parametrize("bounds", [{"deadline": DEADLINE}, {"max_bytes": 1}])
async def test_answers_that_are_not_read_are_given_up(bounds: dict[str, Any]) -> None:
    """Responses that nobody reads are dropped after a while, and sooner when there are many."""
    state = ServerState()
    async with listening(state, **bounds) as port:
        callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        for caller in callers:
            caller.sendall(HEAD.replace(b"/ ", b"/large ", 1))
        async with asyncio.timeout(60):
            while state.total_requests < len(callers) or state.connections:  # noqa: ASYNC110 - it happens in uvicorn
                await asyncio.sleep(0)
        for caller in callers:
            with caller, suppress(ConnectionError):
                assert len(caller.recv(LARGE, socket.MSG_WAITALL)) < LARGE


async def test_a_page_that_is_not_read_holds_up_no_other() -> None:
    """While many connections request pages and do not read them, other requests are answered."""
    app = site()
    async with listening(app=app, deadline=600) as port:
        with ExitStack() as callers:
            for begun in range(MAX_PAGES):
                caller = callers.enter_context(socket.create_connection(("127.0.0.1", port)))
                caller.sendall(HEAD.replace(b"/ ", b"/large ", 1) * 2)
                async with asyncio.timeout(60):
                    while app.state.large_begun < 2 * (begun + 1):  # noqa: ASYNC110 - it happens in uvicorn
                        await asyncio.sleep(0)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD)
            assert b"here" in await asyncio.wait_for(reader.readuntil(b"here"), 20)
            writer.close()


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("HEAD", "/"), ("GET", "/models/live")])
async def test_few_pages_are_made_at_a_time(method: str, path: str) -> None:
    """A bounded number of pages are rendered at a time, and streams do not count."""
    begun: list[str] = []
    go_on = asyncio.Event()

    async def app(scope: Any, _: object, __: object) -> None:
        begun.append(scope["path"])
        await go_on.wait()

    turns = RenderLimiter(app)

    def ask(path: str) -> asyncio.Task[None]:
        return asyncio.ensure_future(turns({"method": method, "path": path}, None, None))  # type: ignore[arg-type]  # handed on - unused

    pages = [ask(path) for _ in range(5)]
    await asyncio.sleep(0)
    streams = [ask("/projects/p/live") for _ in range(5)]
    await asyncio.sleep(0)
    assert begun == [path] * MAX_PAGES + ["/projects/p/live"] * 5
    go_on.set()
    await asyncio.gather(*pages, *streams)
    assert len(begun) == 10
