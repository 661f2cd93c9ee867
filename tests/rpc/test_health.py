"""Health: reported to every caller and watcher, whatever others do, within the bounds of all calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast

import grpc
import grpc.aio
import pytest
from attacks.connections import Streams
from grpc_calls import refusal_of
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tallymark.testing import Server
from tallymark_server.app import running
from tallymark_server.availability import Availability
from tallymark_server.domain.errors import Overloaded
from tallymark_server.rpc import traffic
from tallymark_server.rpc.callers import GrpcContext
from tallymark_server.rpc.health import Health
from tallymark_server.rpc.reflection import MAX_STREAMS
from tallymark_server.settings import Settings

WATCH = "/grpc.health.v1.Health/Watch"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
REQUEST = health_pb2.HealthCheckRequest()


def heard_to_the_end(server: Server, leaves: int = 0, heard: Callable[[], object] = bool) -> None:
    """Watch the health of the server until it reports that it stops, while other watchers leave, and wait for its end.

    `heard` is called in between.
    """
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch, *others = (stub.Watch(REQUEST, timeout=60) for _ in range(1 + leaves))
        for each in (watch, *others):
            assert next(each).status == SERVING
        for each in others:
            each.cancel()
        with ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(server.stop)
            assert next(watch).status == NOT_SERVING
            watch.cancel()
            heard()
            stopped.result()


async def test_a_watch_that_is_not_read_holds_up_no_other(tmp_path: Path) -> None:
    """While one watcher reads nothing, others receive the health, and that the server stops."""
    with Server(tmp_path / "tallymark.db") as server:
        unread = await Streams.open(server.address)
        for _ in range(3):
            await unread.call(WATCH, REQUEST.SerializeToString())
        # Watches that are open at the end have a grace period, which need not pass.
        leave = partial(asyncio.get_running_loop().call_soon_threadsafe, unread.close)
        await asyncio.to_thread(heard_to_the_end, server, heard=leave)


def test_a_watch_gets_the_end_after_another_watch_has_left(tmp_path: Path) -> None:
    """A watch that ends takes nothing from the others of the same service."""
    with Server(tmp_path / "tallymark.db") as server:
        heard_to_the_end(server, leaves=2)


async def test_an_unknown_service_is_reported_as_the_protocol_requires(tmp_path: Path) -> None:
    """A check of an unknown service is refused, and a watch of it stays open and reports that it is unknown."""
    unknown = health_pb2.HealthCheckRequest(service="unknown")
    async with (
        running(Settings(db=str(tmp_path / "tallymark.db"), port=0)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Check(unknown)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(unknown)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()


async def test_watches_of_health_are_counted_among_all_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a watch of the health is refused as every call is."""
    monkeypatch.setattr(traffic, "MAX_CALLS", 2)
    async with (
        running(Settings(db=str(tmp_path / "tallymark.db"), port=0)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(REQUEST) for _ in range(2)]
        for watch in watches:
            assert (await watch.read()).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Watch(REQUEST).read()
        assert refusal_of(refused.value).info.reason == Overloaded.reason
        for watch in watches:
            watch.cancel()


async def test_few_streams_of_reflection_are_open_at_a_time(tmp_path: Path) -> None:
    """A stream beyond the bound is refused, and one that ends makes room."""
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    async with (
        running(Settings(db=str(tmp_path / "tallymark.db"), port=0)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        streams = [stub.ServerReflectionInfo() for _ in range(MAX_STREAMS)]
        for stream in streams:
            await stream.write(question)
            assert (await stream.read()).HasField("list_services_response")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ServerReflectionInfo(iter([question])).read()
        assert refusal_of(refused.value).info.reason == Overloaded.reason
        for stream in streams:
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF
        assert (await stub.ServerReflectionInfo(iter([question])).read()).HasField("list_services_response")


async def test_an_end_during_the_first_message_is_reported() -> None:
    """A watch whose first message is on its way when the server begins to stop receives NOT_SERVING too."""
    health = Health((), Availability())
    watch = health.Watch(REQUEST, cast("GrpcContext", None))
    assert (await anext(watch)).status == SERVING
    health.end()
    assert (await anext(watch)).status == NOT_SERVING
    told = asyncio.create_task(health.told())
    await asyncio.sleep(0)
    assert not told.done(), "the message is not sent yet"
    going_on = asyncio.ensure_future(anext(watch))
    await told
    going_on.cancel()
