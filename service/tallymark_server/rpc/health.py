"""The standard health service, which load balancers and clients query.

The one of `grpcio-health-checking` lets a watch that is not read block all others and the end of the server, and
forgets the remaining watchers when one of them leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable

from grpc_health.v1 import health_pb2

from tallymark_server.availability import Availability
from tallymark_server.rpc.callers import GrpcContext
from tallymark_server.rpc.status import UNKNOWN_SERVICE

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]
_Status = health_pb2.HealthCheckResponse
LIVENESS = "liveness"


class Health:
    """The health of a server and of its services: whether calls make sense now. The server's own name is empty.

    It is the same for all, since every service needs the storage. `LIVENESS` is a name of its own, which is healthy for
    as long as this process answers: whoever restarts what is not alive must not do so while only the storage is away.
    """

    def __init__(self, names: Iterable[str], availability: Availability) -> None:
        self._names = frozenset(("", LIVENESS, *names))
        self._availability = availability
        availability.listen(self._change)
        self._ending = False
        self._changed = asyncio.Event()
        self._watches = 0
        self._told = asyncio.Event()

    def end(self) -> None:
        """Report from now on that the server does not serve."""
        self._ending = True
        self._change()
        if not self._watches:
            self._told.set()

    async def told(self) -> None:
        """Wait until each watch has sent that the server does not serve."""
        await self._told.wait()

    async def Check(  # noqa: N802 - the method of the service
        self, request: health_pb2.HealthCheckRequest, context: GrpcContext
    ) -> health_pb2.HealthCheckResponse:
        """Return the current health."""
        if request.service not in self._names:
            await context.abort(UNKNOWN_SERVICE, "there is no service of that name")
        return self._response(request.service)

    async def List(  # noqa: N802 - the method of the service, which older libraries do not have
        self, _: object, context: GrpcContext
    ) -> health_pb2.HealthListResponse:
        """Return the current health of each service."""
        del context
        return health_pb2.HealthListResponse(statuses={name: self._response(name) for name in sorted(self._names)})

    async def Watch(  # noqa: N802 - the method of the service
        self, request: health_pb2.HealthCheckRequest, _: GrpcContext
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """Yield the current health and every change of it, without end, as the protocol requires."""
        if request.service not in self._names:
            yield _Status(status=_Status.SERVICE_UNKNOWN)
        else:
            self._watches += 1
            try:
                async for health in self._changes(request.service):
                    yield health
            finally:
                self._watches -= 1
                if self._ending and not self._watches:
                    self._told.set()
        await asyncio.Event().wait()

    async def _changes(self, name: str) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """Yield the health and each change of it, until the end of the server has been sent."""
        sent = None
        while True:
            changed = self._changed
            if (status := self._status(name)) != sent:
                sent = status
                yield _Status(status=status)
            elif self._ending:
                return
            else:
                await changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _response(self, name: str) -> health_pb2.HealthCheckResponse:
        return _Status(status=self._status(name))

    def _status(self, name: str) -> health_pb2.HealthCheckResponse.ServingStatus.ValueType:
        away = self._ending or (name != LIVENESS and self._availability.problem)
        return _Status.NOT_SERVING if away else _Status.SERVING
