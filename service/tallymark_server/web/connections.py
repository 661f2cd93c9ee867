"""HTTP connections that end when nothing comes over them: an idle one must not keep its descriptor for ever."""

from __future__ import annotations

import asyncio
from typing import ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# In seconds; within it the head of a request arrives, or the connection is closed.
HEAD_DEADLINE = 10.0


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits so long, and no longer, for the head of each request."""

    deadline: ClassVar[float] = HEAD_DEADLINE

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # its base - has it so
        super().connection_made(transport)
        # Its base declares it as never None, which it is before the first request.
        self._begun: RequestResponseCycle | None = self.cycle
        self._check = self.loop.call_later(self.deadline, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._check.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        """Close unless a request is under way, or another has begun since the last look."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is self._begun and (cycle is None or cycle.response_complete):
            self.transport.close()
            return
        self._begun = cycle
        self._check = self.loop.call_later(self.deadline, self._close_if_silent)
