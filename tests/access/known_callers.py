"""A real server in this process whose callers have fixed tokens, so that what each may do can be tried."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tallymark_server.access.callers import Caller, CallerKind, Credentials
from tallymark_server.app import Running, running
from tallymark_server.domain.errors import UnknownCaller
from tallymark_server.domain.roles import Role
from tallymark_server.settings import Settings

# The project that some callers may read, one that only callers for all projects know, and one that is not there.
LAB, SECRET, MISSING = "lab", "secret", "missing"


def caller(name: str, grants: Mapping[str, Role], *, speaks_for: bool = False) -> Caller:
    """Return a caller with a role in each of these projects."""
    return Caller(name=name, kind=CallerKind.TOKEN, grants=grants, speaks_for=speaks_for)


class FixedTokens:
    """An authenticator that knows each caller by its name as a token, or as the cookie of a session."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self.generation = 0
        self._callers = dict(callers)

    async def caller(self, credentials: Credentials) -> Caller:
        """Return who has that name."""
        presented = credentials.bearer or credentials.session
        if presented is None:
            raise UnknownCaller
        if presented not in self._callers:
            raise UnknownCaller("the token is not known here")
        return self._callers[presented]

    def change(self, name: str, to: Caller | None) -> None:
        """Give the token other grants; None revokes it."""
        if to is None:
            del self._callers[name]
        else:
            self._callers[name] = to
        self.generation += 1


def bearer(name: str) -> tuple[tuple[str, str], ...]:
    """Return the headers of a call by that caller."""
    return (("authorization", f"Bearer {name}"),) if name else ()


@contextmanager
def serving(folder: Path, tokens: FixedTokens, access_log: Path | None = None, **settings: float) -> Iterator[Running]:
    """Yield a server with its dashboard, whose projects are `default`, LAB and SECRET."""
    started: asyncio.Queue[Running] = asyncio.Queue()
    loop, ended = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        given = Settings(
            db=str(folder / "tallymark.db"),
            port=0,
            http=("127.0.0.1", 0),
            projects=("default", LAB, SECRET),
            grace=0,
            access_log=access_log,
            heartbeat=settings.get("heartbeat", 15.0),
        )
        async with running(given, authenticator=tokens) as server:
            await started.put(server)
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(started.get(), loop).result(60)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(60)
        loop.close()
