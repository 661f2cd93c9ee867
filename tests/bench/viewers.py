"""Open pages of a model, many of them, which ask anew when they are told of a change, as the page in a browser does.

`python -m bench.viewers DASHBOARD PATH COUNT` says `open` when all are, and goes on until its input ends.
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

# As `tallymark.js` has it: seconds between two questions of one page.
PAUSE = 0.12


@contextmanager
def viewers(dashboard: str, path: str, count: int) -> Iterator[None]:
    """So many pages, open in a process of their own."""
    command = [sys.executable, "-m", "bench.viewers", dashboard, path, str(count)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "open\n":
            raise SystemExit("bench: the pages could not be opened")
        yield
        process.communicate()


class Viewer:
    """One page: its stream, and the connection on which it asks."""

    def __init__(self, dashboard: str, path: str) -> None:
        self._at = urlsplit(dashboard)
        self._path = path
        self._place = ""

    async def _asked(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._at.hostname, self._at.port)
        self._ask(writer, path)
        return reader, writer

    def _ask(self, writer: asyncio.StreamWriter, path: str) -> None:
        told = f"Tallymark-Seen-Revision: {self._place}\r\n" if self._place else ""
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {self._at.netloc}\r\nHX-Request: true\r\n"
            f"Accept-Encoding: gzip\r\n{told}\r\n".encode()
        )

    async def open(self) -> None:
        """Open the page and its stream."""
        self._page, self._asking = await self._asked(self._path)
        await self._body()
        model = self._path.rsplit("/", 1)[-1]
        self._stream, self._following = await self._asked(f"/live?model={model}")
        await self._stream.readuntil(b"retry:")

    async def follow(self) -> None:
        """Ask anew whenever the stream tells of a change, at most as often as a page does."""
        async for spread in self._told():
            await asyncio.sleep(random.random() * spread)
            self._ask(self._asking, self._path)
            await self._body()
            await asyncio.sleep(max(PAUSE, spread))

    async def _told(self) -> AsyncIterator[float]:
        """The spread, in seconds, of the last change that was told since the last was taken."""
        newest: asyncio.Queue[float] = asyncio.Queue(1)

        async def read() -> None:
            async for line in self._stream:
                if line.startswith(b"id: "):
                    self._place = line.removeprefix(b"id: ").decode().strip()
                if line.startswith(b"data: "):
                    with suppress(asyncio.QueueEmpty):
                        newest.get_nowait()
                    newest.put_nowait(json.loads(line.removeprefix(b"data: "))["spread"] / 1000)

        reading = asyncio.create_task(read())
        while not reading.done():
            yield await newest.get()

    async def _body(self) -> None:
        head = (await self._page.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
        await self._page.readexactly(size)


async def main(dashboard: str, path: str, count: int) -> None:
    """Open the pages, and follow until the input ends."""
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
