"""Watchers: very many, very slow ones, and those that resume."""

from __future__ import annotations

import asyncio

import grpc.aio
from grpc_calls import PROJECT, Calls

from tallymark.client.channel import channel_options
from tallymark.testing import Server
from tallymark.v1.event_log_pb2 import WatchRequest, WatchResponse
from tallymark.v1.event_log_pb2_grpc import EventLogStub
from tallymark.v1.model_pb2 import MetadataValue
from tallymark.v1.model_registry_pb2 import CreateModelVersionRequest
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub

MANY = 1000
BIG = MetadataValue(text="x" * 50_000)
PARENT = f"{PROJECT}/models/churn"


Stream = grpc.aio.UnaryStreamCall[WatchRequest, WatchResponse]


async def received(stream: Stream) -> WatchResponse:
    message = await stream.read()
    assert isinstance(message, WatchResponse)
    return message


async def revisions_of(stream: Stream, last: int) -> list[int]:
    """Return the revisions that the stream sends, up to the last."""
    found: list[int] = []
    while not found or found[-1] < last:
        found += [event.revision for event in (await received(stream)).events]
    return found


async def test_a_thousand_watchers_receive_every_event(server: Server, calls: Calls) -> None:
    """Each of a thousand concurrent watchers receives each event once and in order, while the log grows."""
    calls.create_model("churn")
    # As clients should, it repeats calls that a busy server refuses with UNAVAILABLE.
    async with grpc.aio.insecure_channel(server.address, channel_options(None, are_several=False)) as channel:
        streams = [EventLogStub(channel).Watch(WatchRequest(parent=PROJECT, after_revision=0)) for _ in range(MANY)]
        for stream in streams:
            assert (await received(stream)).revision == 0
        told = [asyncio.create_task(revisions_of(stream, 21)) for stream in streams]
        models = ModelRegistryStub(channel)
        for _ in range(20):
            await models.CreateModelVersion(CreateModelVersionRequest(parent=PARENT))
        for revisions in await asyncio.gather(*told):
            assert revisions == list(range(1, 22))


def test_a_slow_reader_holds_up_nobody_and_misses_nothing(calls: Calls) -> None:
    """While one watcher reads a message for every thirty large writes, all are written, and all are sent."""
    calls.create_model("churn")
    stream = calls.log.Watch(WatchRequest(parent=PROJECT, after_revision=0), timeout=60)
    told: list[int] = []
    for number in range(1, 301):
        assert calls.create_version("churn", metadata={"big": BIG}).number == number
        if number % 30 == 0:
            told += [event.revision for event in next(stream).events]
    assert told[-1] < 150, "the reader was not slow"
    while told[-1] < 301:
        told += [event.revision for event in next(stream).events]
    assert told == list(range(1, 302))


def test_a_late_watcher_gets_messages_within_the_limit_of_clients(calls: Calls) -> None:
    """However many and large the events are, no message is larger than clients accept by default."""
    calls.create_model("churn")
    for _ in range(150):
        calls.create_version("churn", metadata={"big": BIG})
    stream = calls.log.Watch(WatchRequest(parent=PROJECT, after_revision=0), timeout=60)
    told: list[int] = []
    while not told or told[-1] < 151:
        message = next(stream)
        told += [event.revision for event in message.events]
        assert message.revision == (told[-1] if told else 0)
    assert told == list(range(1, 152))
    listed = calls.events()
    while listed[-1].revision < 151:
        listed += calls.events(listed[-1].revision)
    assert [event.revision for event in listed] == told
