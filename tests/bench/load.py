"""A load generator: send one unary call repeatedly, and measure its rate and latencies.

`h2load` (Debian's nghttp2-client) is used if it is installed, since it needs little of the processor. The alternative,
several processes in Python, needs more than the server, which makes every ratio look better than it is.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import grpc.aio

H2LOAD = shutil.which("h2load")
PROCESSES = 4
GENERATOR = "h2load" if H2LOAD else f"{PROCESSES} processes in Python"


@dataclass(frozen=True)
class Measured:
    """Calls per second, and the median and the 99th percentile of their latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float
    calls: int


def run(address: str, method: str, bodies: list[bytes], concurrency: int, calls: int) -> Measured:
    """Send calls, with so many in flight, and measure them. h2load sends the first of the requests only."""
    return (_h2load if H2LOAD else run_python)(address, method, bodies, concurrency, calls)


def run_python(address: str, method: str, bodies: list[bytes], concurrency: int, calls: int) -> Measured:
    """Send calls from processes in Python, in which each caller sends the requests in turn."""
    processes = min(concurrency, PROCESSES)
    share = concurrency // processes
    texts, each = ",".join(body.hex() for body in bodies), str(calls // concurrency)
    commands = [
        [sys.executable, "-m", "bench.load", address, method, texts, str(first), str(share), each]
        for first in range(0, processes * share, share)
    ]
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=Path(__file__).parents[1])
            )
            for command in commands
        ]
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()  # printed once it is connected
        for process in running:
            assert process.stdin is not None
            process.stdin.write("begin\n")
            process.stdin.flush()
        outputs = [process.communicate()[0] for process in running]
    found = [list(map(float, output.split())) for output in outputs]
    seconds = max(ended for _, ended, *_ in found) - min(begun for begun, *_ in found)
    latencies = [latency for _, _, *each in found for latency in each]
    return _measured(len(latencies) / seconds, latencies)


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


async def _call(address: str, method: str, bodies: list[bytes], first: int, callers: int, calls: int) -> None:
    """Run concurrent callers with so many calls each, and print the start, the end and each latency.

    Each caller sends the requests in turn, starting with that of its own index.
    """
    latencies: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)

        async def caller(place: int) -> None:
            for turn in range(place, place + calls):
                begun = time.perf_counter()
                await call(bodies[turn % len(bodies)])
                latencies.append((time.perf_counter() - begun) * 1000)

        await channel.channel_ready()
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.monotonic()
        await asyncio.gather(*map(caller, range(first, first + callers)))
        print(started, time.monotonic(), *latencies)


if __name__ == "__main__":
    _, to, path, requests, *counts = sys.argv
    asyncio.run(_call(to, path, [bytes.fromhex(text) for text in requests.split(",")], *map(int, counts)))
