"""Run one attack on a local server: `python -m attacks NAME GRPC HTTP SECONDS`.

Print `attacking` at the start and the outcome after so many seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

from attacks import connections, worst_requests

ATTACKS = {**connections.ATTACKS, **worst_requests.ATTACKS}


async def _attack(name: str, target: connections.Target, seconds: float) -> None:
    print("attacking", flush=True)
    outcome = "still running at the end"
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            outcome = await ATTACKS[name](target)
            await asyncio.Event().wait()
    print(outcome, flush=True)
    # Exit at once, since closing the connections properly would take long.
    os._exit(0)


if __name__ == "__main__":
    _, which, grpc_port, http_port, length = sys.argv
    asyncio.run(_attack(which, connections.Target(grpc_port, http_port), float(length)))
