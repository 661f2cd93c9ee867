"""Sends one unary call again and again, and measures it from outside.

With `h2load` (Debian's nghttp2-client) the load is a compiled program that costs little beside the server; else it is a
process in Python, which costs as much as the server, and makes every ratio look better than it is.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

H2LOAD = shutil.which("h2load")
GENERATOR = "h2load" if H2LOAD else "python"


@dataclass(frozen=True)
class Measured:
    """Calls per second, and the median and the 99th percentile of their latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float
    calls: int


def run(address: str, method: str, bodies: list[bytes], concurrency: int, calls: int) -> Measured:
    """So many calls, with so many under way at any time; with h2load all are the first request."""
    return (_h2load if H2LOAD else run_python)(address, method, bodies, concurrency, calls)


def run_python(address: str, method: str, bodies: list[bytes], concurrency: int, calls: int) -> Measured:
    """So many calls by a process in Python, in which each caller sends one of the requests."""
    texts = ",".join(body.hex() for body in bodies)
    command = [sys.executable, "-m", "bench.load", address, method, texts, str(concurrency), str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    seconds, *latencies = map(float, done.stdout.split())
    return _measured(calls / seconds, latencies)


def _h2load(address: str, method: str, bodies: list[bytes], concurrency: int, calls: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder, "body"), Path(folder, "log")
        data.write_bytes(b"\0" + len(bodies[0]).to_bytes(4, "big") + bodies[0])
        clients = min(concurrency, 4)
        done = subprocess.run(
            [
                str(H2LOAD),
                f"--requests={calls}",
                f"--clients={clients}",
                f"--max-concurrent-streams={concurrency // clients}",
                "--header=content-type: application/grpc",
                "--header=te: trailers",
                f"--data={data}",
                f"--log-file={log}",
                f"http://{address}{method}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        (finished,) = [line for line in done.stdout.splitlines() if line.startswith("finished in")]
        latencies = [int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines()]
    return _measured(float(finished.split(",")[1].split()[0]), latencies)


def _measured(per_second: float, latencies: list[float]) -> Measured:
    centiles = statistics.quantiles(latencies, n=100)
    return Measured(per_second, centiles[49], centiles[98], len(latencies))


async def _call(address: str, method: str, bodies: list[bytes], concurrency: int, calls: int) -> None:
    latencies: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(method)

        async def caller(place: int) -> None:
            body = bodies[place % len(bodies)]
            for _ in range(calls // concurrency):
                begun = time.perf_counter()
                await call(body)
                latencies.append((time.perf_counter() - begun) * 1000)

        await channel.channel_ready()
        started = time.perf_counter()
        await asyncio.gather(*(caller(place) for place in range(concurrency)))
        print(time.perf_counter() - started, *latencies)


if __name__ == "__main__":
    _, to, path, requests, at_once, total = sys.argv
    asyncio.run(_call(to, path, [bytes.fromhex(text) for text in requests.split(",")], int(at_once), int(total)))
