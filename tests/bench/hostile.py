"""`make bench-hostile`: how a small get fares while somebody attacks the server, and what the attack costs the server.

Each attack is a process of its own (`tests/attacks`), against a server of its own, both on this machine. Before and
during it the same get is sent again and again. It fails when a bound is broken in every attempt, so let the machine do
nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import grpc
from attacks.__main__ import ATTACKS
from grpc_calls import PROJECT, Calls

from tallymark.client.channel import OPTIONS
from tallymark.testing import Server
from tallymark.v1 import model_registry_pb2

# By how much the slowest get may be slower, in milliseconds, how much memory the server may ever have, in MB, and how
# long it may take to stop while it is attacked, in seconds.
SLOWER, MEMORY, STOP = 100.0, 256, 12.0
QUIET = 3.0
PAUSE = 0.01


class Found(NamedTuple):
    """The slowest get before and during an attack in ms, the most memory in MB, seconds to stop, and what became."""

    alone: float
    attacked: float
    memory: int
    stop: float
    became: str

    def broken(self) -> list[str]:
        """Return the bounds that were broken, in words."""
        wrong = []
        if self.attacked - self.alone > SLOWER:
            wrong.append(f"the slowest get took {self.attacked - self.alone:.0f} ms more")
        if self.memory > MEMORY:
            wrong.append(f"{self.memory} MB")
        if self.stop > STOP:
            wrong.append(f"{self.stop:.0f} s to stop")
        return wrong


def fill(calls: Calls) -> None:
    """Make what attacks ask for, and what the get asks for."""
    for model in ("bench", "churn", "large"):
        calls.create_model(model)
    calls.create_version("bench")
    calls.create_version("churn")
    calls.start_run("r1")
    request = model_registry_pb2.BatchCreateModelVersionsRequest(parent=f"{PROJECT}/models/large")
    for _ in range(500):
        request.model_versions.add(description="x" * 3000)
    for _ in range(2):
        calls.models.BatchCreateModelVersions(request, timeout=60)


@contextmanager
def attacking(name: str, server: Server, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Attack the server while the block lasts, or so many seconds."""
    command = [sys.executable, "-m", "attacks", name, server.address, urlsplit(server.dashboard).netloc, str(seconds)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[1]
    ) as attack:
        assert attack.stdout is not None
        attack.stdout.readline()
        yield attack
        attack.kill()


def memory_of(server: Server) -> int:
    """Return the most memory that the server has ever had, in MB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def slowest(calls: Calls, seconds: float) -> float:
    """Return how long the slowest get takes, in ms, of those sent one after the other in so many seconds."""
    worst, end = 0.0, time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        calls.version("bench", "1")
        worst = max(worst, time.monotonic() - begun)
        time.sleep(PAUSE)
    return worst * 1000


def measure(name: str, seconds: float) -> Found:
    """Attack a new server."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder, "t.db"), http="127.0.0.1:0") as server,
        # As the SDK calls: what gRPC itself turns away is sent again.
        grpc.insecure_channel(server.address, options=OPTIONS) as channel,
    ):
        calls = Calls(channel)
        fill(calls)
        alone = slowest(calls, QUIET)
        with attacking(name, server, seconds + QUIET) as attack:
            attacked = slowest(calls, seconds)
            memory = memory_of(server)
            begun = time.monotonic()
            server.stop()
            stop = time.monotonic() - begun
            became = attack.communicate()[0].strip()
    return Found(alone, attacked, memory, stop, became)


def main() -> None:
    """Attack, print a table, and fail if a bound is broken."""
    parser = argparse.ArgumentParser(prog="make bench-hostile", description=__doc__)
    parser.add_argument(
        "attacks", nargs="*", metavar="ATTACK", help=f"one of: {', '.join(ATTACKS)}; all if none is named"
    )
    parser.add_argument("--seconds", type=float, default=8, help="how long each attack lasts")
    parser.add_argument("--attempts", type=int, default=3, help="how often a bound may be broken before it counts")
    given = parser.parse_args()
    failed = []
    print(f"{'attack':<16} {'get alone':>10} {'attacked':>10} {'memory':>8} {'stop':>7}  became")
    for name in given.attacks or ATTACKS:
        for _ in range(given.attempts):
            found = measure(name, given.seconds)
            if not found.broken():
                break
        figures = f"{found.alone:7.0f} ms {found.attacked:7.0f} ms {found.memory:5d} MB {found.stop:5.1f} s"
        print(f"{name:<16} {figures}  {found.became}", flush=True)
        failed += [f"{name}: {wrong}" for wrong in found.broken()]
    if failed:
        raise SystemExit("bench: " + "; ".join(failed))


if __name__ == "__main__":
    main()
