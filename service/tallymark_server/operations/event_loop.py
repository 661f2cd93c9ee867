"""How late the event loop is: everything that the service does waits for it."""

from __future__ import annotations

import asyncio

from prometheus_client import Histogram

from tallymark_server.operations.metrics import Metrics

# In seconds: how often the lag is measured.
INTERVAL = 0.25
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


async def measure(metrics: Metrics) -> None:
    """Measure until cancelled by how much a timer of the event loop is late."""
    lag = Histogram(
        "tallymark_event_loop_lag_seconds",
        "How late the event loop calls a timer.",
        buckets=BUCKETS,
        registry=metrics.registry,
    )
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + INTERVAL
        await asyncio.sleep(INTERVAL)
        lag.observe(max(0.0, clock() - due))
