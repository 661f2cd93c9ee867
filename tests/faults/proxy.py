"""TCP proxies that cut connections at random places, also within a message, or simulate an outage."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Self

CHUNK = 65_536


class CuttingProxy:
    """A proxy that cuts each connection after a random number of bytes in either direction.

    Clients connect to `address`. The cuts depend on bytes and not on time, so that they are alike on every machine.
    """

    def __init__(self, server: Callable[[], str], seed: str) -> None:
        self._server = server
        self._choose = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._closed = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self.address = ""
        self.cuts = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as pumps:

            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = pumps.create_task(self._connection(reader, writer))
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)

            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            host, port = server.sockets[0].getsockname()
            self.address = f"{host}:{port}"
            self._ready.set()
            await self._closed.wait()
            server.close()
            for task in self._connections:
                task.cancel()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._server().rsplit(":", 1)
        try:
            server_reader, server_writer = await asyncio.open_connection(host, int(port))
        except OSError:  # the server is not running
            writer.transport.abort()
            return
        pumps = (
            asyncio.create_task(self._pump(reader, server_writer, self._budget())),
            asyncio.create_task(self._pump(server_reader, writer, self._budget())),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.transport.abort()
            server_writer.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def _budget(self) -> int:
        """Return how many bytes pass before the cut: few, many, or so many that the connection is not cut."""
        return int(10 ** self._choose.uniform(2.5, 5.5))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int) -> None:
        """Forward bytes until either end closes the connection or the budget is spent."""
        try:
            while data := await reader.read(CHUNK):
                writer.write(data[:budget])
                await writer.drain()
                budget -= len(data)
                if budget <= 0:
                    self.cuts += 1
                    return
        except OSError:
            return


class OutageProxy(CuttingProxy):
    """A proxy that simulates an outage of the server.

    After `cut`, connections are closed at once. After `stall`, they stay open and nothing passes; what was sent
    meanwhile arrives after `restore`, as after a network failure.
    """

    def __init__(self, server: Callable[[], str]) -> None:
        super().__init__(server, seed="")
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False

    def cut(self) -> None:
        """Close every connection, and each new one."""
        self._change(refusing=True, flowing=True)

    def stall(self) -> None:
        """Keep connections open, and hold back all bytes."""
        self._change(refusing=False, flowing=False)

    def restore(self) -> None:
        """Forward everything again."""
        self._change(refusing=False, flowing=True)

    def _change(self, *, refusing: bool, flowing: bool) -> None:
        changed = threading.Event()

        def change() -> None:
            self._refusing = refusing
            if flowing:
                self._flowing.set()
            else:
                self._flowing.clear()
            if refusing:
                self.cuts += len(self._connections)
                for task in self._connections:
                    task.cancel()
            changed.set()

        self._loop.call_soon_threadsafe(change)
        assert changed.wait(30)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
        else:
            await super()._connection(reader, writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int) -> None:
        """Forward bytes while the proxy is not stalled, until either end closes the connection."""
        try:
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            return
