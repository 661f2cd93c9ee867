"""The standard health service, which load balancers and clients query.

The one of `grpcio-health-checking` lets a watch that is not read block all others and the end of the server, and
forgets the remaining watchers when one of them leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable

from grpc_health.v1 import health_pb2

from tallymark_server.rpc.callers import Context
from tallymark_server.rpc.status import UNKNOWN_SERVICE

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]
_Status = health_pb2.HealthCheckResponse


class Health:
    """The health of a server and of its services, which is the same for all. The server's own name is empty."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(("", *names))
        self._ending = asyncio.Event()
        self._watches = 0
        self._told = asyncio.Event()

    def end(self) -> None:
        """Report from now on that the server does not serve."""
        self._ending.set()
        if not self._watches:
            self._told.set()

    async def told(self) -> None:
        """Wait until each watch has sent that the server does not serve."""
        await self._told.wait()

    async def Check(  # noqa: N802 - the method of the service
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Return the current health."""
        if request.service not in self._names:
            await context.abort(UNKNOWN_SERVICE, "there is no service of that name")
        return self._response()

    async def List(  # noqa: N802 - the method of the service, which older libraries do not have
        self, _: object, context: Context
    ) -> health_pb2.HealthListResponse:
        """Return the current health of each service."""
        del context
        return health_pb2.HealthListResponse(statuses={name: self._response() for name in sorted(self._names)})

    async def Watch(  # noqa: N802 - the method of the service
        self, request: health_pb2.HealthCheckRequest, _: Context
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """Yield the current health and every change of it, without end, as the protocol requires."""
        if request.service not in self._names:
            yield _Status(status=_Status.SERVICE_UNKNOWN)
        else:
            self._watches += 1
            try:
                # A server that begins to stop while the first message is being sent has not said so with that one.
                said_to_end = self._ending.is_set()
                yield self._response()
                if not said_to_end:
                    await self._ending.wait()
                    yield self._response()
            finally:
                self._watches -= 1
                if self._ending.is_set() and not self._watches:
                    self._told.set()
        await asyncio.Event().wait()

    def _response(self) -> health_pb2.HealthCheckResponse:
        return _Status(status=_Status.NOT_SERVING if self._ending.is_set() else _Status.SERVING)
