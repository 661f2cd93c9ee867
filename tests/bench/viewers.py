"""Many open pages of a model, which reload after each change as the page in a browser does.

`python -m bench.viewers DASHBOARD PATH COUNT` prints `open` when all are open, and runs until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from subprocess import PIPE, Popen
from urllib.parse import urlsplit

# Seconds between two reloads of a page, as in `tallymark.js`.
PAUSE = 0.12


@contextmanager
def viewers(dashboard: str, path: str, count: int) -> Iterator[None]:
    """Keep so many pages open in a separate process."""
    command = [sys.executable, "-m", "bench.viewers", dashboard, path, str(count)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "open\n":
            raise SystemExit("bench: the pages could not be opened")
        yield
        process.communicate()


class Viewer:
    """One page: its stream of changes, and the connection on which it reloads."""

    def __init__(self, dashboard: str, path: str) -> None:
        self._at = urlsplit(dashboard)
        self._path = path
        self._seen_revision = ""

    async def _connected(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._at.hostname, self._at.port)
        self._send(writer, path)
        return reader, writer

    def _send(self, writer: asyncio.StreamWriter, path: str) -> None:
        seen = f"Tallymark-Seen-Revision: {self._seen_revision}\r\n" if self._seen_revision else ""
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {self._at.netloc}\r\nHX-Request: true\r\n"
            f"Accept-Encoding: gzip\r\n{seen}\r\n".encode()
        )

    async def open(self) -> None:
        """Open the page and its stream."""
        self._page, self._requests = await self._connected(self._path)
        await self._read_page()
        model = self._path.rsplit("/", 1)[-1]
        self._stream, self._stream_writer = await self._connected(f"/live?model={model}")
        await self._stream.readuntil(b"retry:")

    async def follow(self) -> None:
        """Reload the page after each change, at most as often as a browser does."""
        async for spread in self._changes():
            await asyncio.sleep(random.random() * spread)
            self._send(self._requests, self._path)
            await self._read_page()
            await asyncio.sleep(max(PAUSE, spread))

    async def _changes(self) -> AsyncIterator[float]:
        """Yield the spread, in seconds, of the newest change since the last one that was yielded."""
        newest: asyncio.Queue[float] = asyncio.Queue(1)

        async def read() -> None:
            async for line in self._stream:
                if line.startswith(b"id: "):
                    self._seen_revision = line.removeprefix(b"id: ").decode().strip()
                if line.startswith(b"data: "):
                    with suppress(asyncio.QueueEmpty):
                        newest.get_nowait()
                    newest.put_nowait(json.loads(line.removeprefix(b"data: "))["spread"] / 1000)

        reading = asyncio.create_task(read())
        while not reading.done():
            yield await newest.get()

    async def _read_page(self) -> None:
        head = (await self._page.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
        await self._page.readexactly(size)


async def main(dashboard: str, path: str, count: int) -> None:
    """Open the pages, and reload them until the input ends."""
    pages = [Viewer(dashboard, path) for _ in range(count)]
    for page in pages:
        await page.open()
    following = [asyncio.create_task(page.follow()) for page in pages]
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in following:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
