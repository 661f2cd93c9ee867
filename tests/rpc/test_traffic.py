"""Calls that make no progress: they hold little memory, give way to others, and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from attacks.connections import Streams, grpc_message
from grpc_calls import refusal_of

from tallymark.v1 import event_log_pb2
from tallymark_server.access.door import Door
from tallymark_server.domain.errors import Overloaded
from tallymark_server.observer import CallObserver
from tallymark_server.rpc import limiters
from tallymark_server.rpc import traffic as running_calls
from tallymark_server.rpc.arrivals import LOOKS_OF_UNKNOWN, MAX_ARRIVING
from tallymark_server.rpc.connections import close_connections
from tallymark_server.rpc.limiters import STREAMS_PER_INTERVAL
from tallymark_server.rpc.server import OPTIONS, Handlers, handler_of
from tallymark_server.rpc.traffic import Traffic
from tallymark_server.rpc.unread_answers import MAX_UNREAD

LOG = event_log_pb2.DESCRIPTOR.services_by_name["EventLog"]
LIST, EXPORT = f"/{LOG.full_name}/ListEvents", f"/{LOG.full_name}/Export"
HEALTH = "/grpc.health.v1.Health/Check"
MEGABYTE = "x" * 1024 * 1024


async def listed(request: event_log_pb2.ListEventsRequest, _: object) -> event_log_pb2.ListEventsResponse:
    """Answer with as many megabytes as a page is to have events."""
    return event_log_pb2.ListEventsResponse(log_id=MEGABYTE * request.page_size)


class Exports:
    """Streams without end, and how many of them are under way."""

    def __init__(self) -> None:
        self.under_way = 0

    async def export(self, _: object, __: object) -> AsyncIterator[event_log_pb2.ExportResponse]:
        self.under_way += 1
        try:
            while True:
                yield event_log_pb2.ExportResponse(lines=MEGABYTE.encode())
        finally:
            self.under_way -= 1


@asynccontextmanager
async def listening(traffic: Traffic, exports: Exports | None = None, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve the two methods, and at HEALTH one that needs no known caller."""
    server, endless = grpc.aio.server(options=OPTIONS), exports or Exports()
    methods = {
        LIST: handler_of(LOG.methods_by_name["ListEvents"], listed, traffic, Door(), CallObserver()),
        HEALTH: handler_of(LOG.methods_by_name["ListEvents"], listed, traffic, None, CallObserver()),
        EXPORT: handler_of(LOG.methods_by_name["Export"], endless.export, traffic, Door(), CallObserver()),
    }
    server.add_generic_rpc_handlers((Handlers(methods),))
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    yield f"{host}:{port}"
    await server.stop(None)


async def ask(address: str, size: int = 0) -> int:
    """Return the size of an answer of so many megabytes, from a caller that reads it."""
    async with grpc.aio.insecure_channel(address) as channel:
        call: Callable[..., Awaitable[Any]] = channel.unary_unary(
            LIST,
            request_serializer=event_log_pb2.ListEventsRequest.SerializeToString,
            response_deserializer=event_log_pb2.ListEventsResponse.FromString,
        )
        return len((await call(event_log_pb2.ListEventsRequest(page_size=size), timeout=60)).log_id)


async def refusal_or_none(address: str, size: int) -> str | None:
    """Return why an answer of so many megabytes is refused, None if it arrives."""
    try:
        assert await ask(address, size) == size * len(MEGABYTE)
    except grpc.aio.AioRpcError as error:
        return refusal_of(error).reason
    return None


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in gRPC
            await asyncio.sleep(0)


async def test_requests_that_do_not_arrive_give_way_to_those_that_do() -> None:
    """A whole request is answered among many that are half sent, and those that took its place are refused."""
    traffic = Traffic()
    async with listening(traffic) as address:
        halves = []
        for _ in range(3 * MAX_ARRIVING):
            half = await Streams.open(address)
            await half.send(half.begin(LIST), grpc_message(b"x" * 100_000)[:-1], end=False)
            halves.append(half)
        await until(lambda: traffic.calls > MAX_ARRIVING)
        assert await ask(address) == 0
        await until(lambda: traffic.calls <= MAX_ARRIVING)


async def test_half_sent_requests_of_unknown_callers_give_way_first() -> None:
    """A whole request takes the place of the half-sent one of an unknown caller, although others came before it."""
    unknown: set[str] = set()
    traffic = Traffic(is_unknown=lambda context: context.peer() in unknown)
    async with listening(traffic) as address:
        halves = []
        for number in range(MAX_ARRIVING):
            half = await Streams.open(address)
            is_unknown = number == MAX_ARRIVING - 1
            if is_unknown:
                unknown.add("ipv4:{}:{}".format(*half.name))
            await half.send(half.begin(HEALTH if is_unknown else LIST), grpc_message(b"x" * 60_000)[:-1], end=False)
            halves.append(half)
            await until(lambda: traffic.calls == len(halves))
        looks = traffic._arrivals._looks
        await until(lambda: min(looks.values()) >= LOOKS_OF_UNKNOWN)
        last = next(reversed(looks))
        assert await ask(address) == 0
        assert last not in looks
        assert len(looks) == MAX_ARRIVING - 1


async def test_a_request_that_does_not_arrive_ends() -> None:
    """A call that sends only half a message ends, even if nobody wants its place."""
    traffic = Traffic(arrival_deadline=0.1)
    async with listening(traffic) as address:
        half = await Streams.open(address)
        await half.send(half.begin(LIST), grpc_message(b"x" * 100_000)[:-1], end=False)
        await until(lambda: traffic.calls == 1)
        await until(lambda: traffic.calls == 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_an_answer_that_is_not_read_ends_with_its_connection(host: str) -> None:
    """An unread answer is freed after the deadline with its connection, since gRPC keeps the answer until then."""
    traffic = Traffic(read_deadline=0.1)
    async with listening(traffic, host=host) as address:
        unread = await Streams.open(address)
        await unread.call(LIST, event_log_pb2.ListEventsRequest(page_size=1).SerializeToString())
        await until(lambda: unread.ended)
        await until(lambda: (traffic.calls, traffic.unread) == (0, 0))


async def test_many_connections_are_hung_up_at_once() -> None:
    """Any number of connections of the given peers are closed, and others stay open."""
    there: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.append(writer)
        writer.write(await reader.read(1))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    callers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
    await until(lambda: len(there) == len(callers))
    peers = frozenset("ipv4:{}:{}".format(*writer.get_extra_info("sockname")) for _, writer in callers[1:])
    await asyncio.to_thread(close_connections, peers)
    for reader, _ in callers[1:]:
        assert await asyncio.wait_for(reader.read(1), 20) == b""
    callers[0][1].write(b"x")
    assert await asyncio.wait_for(callers[0][0].read(1), 20) == b"x"
    for _, writer in callers:
        writer.close()
    server.close()


async def test_answers_that_are_not_read_leave_room_for_those_that_are() -> None:
    """Unread answers are refused when they exceed the bound together, and the oldest gives way to another caller."""
    traffic = Traffic()
    async with listening(traffic) as address:
        request = event_log_pb2.ListEventsRequest(page_size=3).SerializeToString()
        unread = [await Streams.open(address) for _ in range(20)]
        for each in unread:
            await each.call(LIST, request)
        await until(lambda: traffic.unread > MAX_UNREAD - 4 * len(MEGABYTE))
        assert await ask(address) == 0
        async with asyncio.timeout(60):
            while refused := await refusal_or_none(address, 3):
                assert refused == Overloaded.reason
                assert traffic.unread <= MAX_UNREAD
        assert any(each.ended for each in unread)


async def test_a_stream_that_is_not_read_gives_up_its_place() -> None:
    """An export that nobody reads ends after the deadline, and releases what it holds."""
    exports = Exports()
    async with listening(Traffic(read_deadline=0.1), exports) as address:
        unread = [await Streams.open(address) for _ in range(8)]
        for each in unread:
            await each.call(EXPORT, b"")
        await until(lambda: all(each.ended for each in unread))
        await until(lambda: exports.under_way == 0)


async def test_calls_beyond_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call beyond the bound is refused with a request to retry, and a call that ends makes room."""
    monkeypatch.setattr(running_calls, "MAX_CALLS", 2)
    traffic = Traffic()
    async with listening(traffic) as address:
        unread = [await Streams.open(address) for _ in range(2)]
        for each in unread:
            await each.call(EXPORT, b"")
        await until(lambda: traffic.calls == 2)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(address)
        assert refusal_of(refused.value).info.reason == Overloaded.reason
        unread[0].reset(1)
        await until(lambda: traffic.calls == 1)
        assert await ask(address) == 0


async def test_short_calls_do_not_wait_for_streams_that_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many new streams only a few begin at a time, and a short call that arrives after them is answered."""
    monkeypatch.setattr(limiters, "STREAM_INTERVAL", 3600.0)
    traffic, exports = Traffic(), Exports()
    async with listening(traffic, exports) as address:
        unread = [await Streams.open(address) for _ in range(2)]
        for each in unread:
            for _ in range(STREAMS_PER_INTERVAL):
                await each.call(EXPORT, b"")
        await until(lambda: traffic.calls == 2 * STREAMS_PER_INTERVAL)
        assert await ask(address) == 0
        assert exports.under_way == STREAMS_PER_INTERVAL


async def test_streams_that_wait_begin_when_it_is_their_turn() -> None:
    """All of many streams that arrive together are answered."""
    traffic, exports = Traffic(), Exports()
    async with listening(traffic, exports) as address:
        unread = [await Streams.open(address) for _ in range(3)]
        for each in unread:
            for _ in range(STREAMS_PER_INTERVAL):
                await each.call(EXPORT, b"")
        await until(lambda: exports.under_way == 3 * STREAMS_PER_INTERVAL)
