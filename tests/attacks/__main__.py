"""One attack on a server of this machine: `python -m attacks NAME GRPC HTTP SECONDS`.

It says `attacking` when it begins, goes on for so many seconds, and prints what became of it.
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
    became = "under way to the end"
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            became = await ATTACKS[name](target)
            await asyncio.Event().wait()
    print(became, flush=True)
    # The connections end with the process, and need no farewell.
    os._exit(0)


if __name__ == "__main__":
    _, which, grpc_port, http_port, length = sys.argv
    asyncio.run(_attack(which, connections.Target(grpc_port, http_port), float(length)))
