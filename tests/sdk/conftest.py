"""Run tests with both clients: the asyncio client gets a blocking interface."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tallymark import AsyncClient, Client
from tallymark.testing import Server


class BlockingAdapter:
    """A blocking interface for the asyncio client, so that both clients run the same tests."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.client = AsyncClient(url)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            found = method(*args, **kwargs)
            return self.runner.run(found) if inspect.iscoroutine(found) else self.items(found)

        return call

    def items(self, found: AsyncIterator[Any]) -> Iterator[Any]:
        while True:
            try:
                yield self.runner.run(anext(found))  # type: ignore[arg-type]  # an asynchronous iterator returns coroutines here
            except StopAsyncIteration:
                return

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()


@pytest.fixture(params=["Client", "AsyncClient"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Any]:
    """Each of the two clients."""
    made: Any = Client(server.address) if request.param == "Client" else BlockingAdapter(server.address)
    yield made
    made.close()
