"""The address of the metrics and of the probes, which is apart from those that callers use."""

from __future__ import annotations

import asyncio

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tallymark_server.access.door import Door
from tallymark_server.availability import Availability
from tallymark_server.operations.event_loop import measure
from tallymark_server.operations.figures import Figures
from tallymark_server.operations.metrics import Metrics
from tallymark_server.registry import Registry
from tallymark_server.web.probes import Probes
from tallymark_server.web.server import HttpServer

PATH = "/metrics"


class OperationsEndpoint(HttpServer):
    """Serves /metrics for Prometheus, /healthz and /readyz. Whoever reaches it can read them."""

    what, flag, without = "the metrics", "--metrics", ""
    modules = ("uvicorn", "tallymark_server.web.connections")

    def __init__(self, registry: Registry, availability: Availability, metrics: Metrics, figures: Figures) -> None:
        super().__init__(registry, Door(), (), (), availability)
        self._metrics = metrics
        self._figures = figures

    async def serve(self, grpc_port: int | str) -> None:
        """Serve until `stop`, and measure the event loop meanwhile."""
        measuring = asyncio.create_task(measure(self._metrics))
        try:
            await super().serve(grpc_port)
        finally:
            measuring.cancel()

    def app(self, grpc_port: int | str) -> ASGIApp:
        """Return what is served."""
        del grpc_port
        return Probes(Starlette(routes=[Route(PATH, self._scrape)]), self._availability)

    async def _scrape(self, request: Request) -> Response:
        await self._figures.read()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        # Thousands of lines, which must not keep calls waiting.
        text = await asyncio.to_thread(encode, self._metrics.registry)
        return Response(text, headers={"content-type": content_type, "cache-control": "no-store"})
