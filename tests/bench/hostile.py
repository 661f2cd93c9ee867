"""`make bench-hostile`: measure a small get, memory and shutdown while a server is attacked.

Each attack is a process of its own (`tests/attacks`) against a new server, both on this machine. Before and during the
attack the same get is sent repeatedly. The bench fails when a limit is exceeded in every attempt, so run nothing else
on the machine meanwhile. Each attack is run twice: by a caller that may do everything, and by an unknown one, without
credentials against a server with access control.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
from attacks.__main__ import ATTACKS
from first_tokens import first_token
from grpc_calls import PROJECT, Calls

from tallymark.client.channel import channel_options
from tallymark.testing import Server
from tallymark.v1 import model_registry_pb2

MAX_ADDED_LATENCY_MS = 100.0
# Of attacks that start thousands of calls at once, as a fleet that reconnects does. Calls are started one after the
# other, in some 0.07 ms each, and a server that refused more of them would refuse the fleet too.
MAX_ADDED_LATENCY_MS_OF_FLOODS, FLOODS = 300.0, ("idle watches", "rapid reset")
MAX_MEMORY_MB = 256
MAX_STOP_SECONDS = 12.0
# By how much the memory of the same server differs from start to start, with access control or without.
MEMORY_NOISE_MB = 10
HEADS = f"{'get':>9} {'attacked':>9} {'memory':>8} {'stop':>8}    "
# How long gets are measured before the attack, in seconds, and the pause between two gets.
BASELINE_SECONDS = 3.0
PAUSE = 0.01


class _Presenting(grpc.UnaryUnaryClientInterceptor):
    """Presents a token with each call."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Send the call with the token."""
        headers = [*(client_call_details.metadata or ()), self._header]
        details = client_call_details._replace(metadata=headers)
        return continuation(details, request)


class Found(NamedTuple):
    """Slowest get before and during an attack in ms, peak memory in MB, seconds to stop, and the attack's output."""

    attack: str
    alone: float
    attacked: float
    memory: int
    stop: float
    outcome: str

    def figures(self) -> str:
        """Return the figures as columns below HEADS."""
        return f"{self.alone:6.0f} ms {self.attacked:6.0f} ms {self.memory:5d} MB {self.stop:6.1f} s    "

    def exceeded_limits(self) -> list[str]:
        """Return a sentence for each limit that was exceeded."""
        exceeded = []
        limit = MAX_ADDED_LATENCY_MS_OF_FLOODS if self.attack in FLOODS else MAX_ADDED_LATENCY_MS
        if (added := self.attacked - self.alone) > limit:
            exceeded.append(f"the slowest get took {added:.0f} ms longer, the limit is {limit:.0f}")
        if self.memory > MAX_MEMORY_MB:
            exceeded.append(f"the server used {self.memory} MB, the limit is {MAX_MEMORY_MB}")
        if self.stop > MAX_STOP_SECONDS:
            exceeded.append(f"the server took {self.stop:.0f} s to stop, the limit is {MAX_STOP_SECONDS:.0f}")
        return exceeded


def fill(calls: Calls) -> None:
    """Create the resources that the attacks and the get request."""
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
    """Attack the server until the block ends, for at most so many seconds."""
    command = [sys.executable, "-m", "attacks", name, server.address, urlsplit(server.dashboard).netloc, str(seconds)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[1]
    ) as attack:
        assert attack.stdout is not None
        attack.stdout.readline()
        yield attack
        attack.kill()


def peak_memory_mb(server: Server) -> int:
    """Return the peak memory of the server, in MB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def slowest_get_ms(calls: Calls, seconds: float) -> float:
    """Send gets one after the other for so many seconds, and return the highest latency in ms."""
    worst, end = 0.0, time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        calls.version("bench", "1")
        worst = max(worst, time.monotonic() - begun)
        time.sleep(PAUSE)
    return worst * 1000


def measure(name: str, seconds: float, *, is_known: bool = True) -> Found:
    """Start a server, attack it, and return the figures. Unless the attacker is known, callers need a token."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        db = Path(folder, "t.db")
        token = "" if is_known else first_token(db)
        server = stack.enter_context(Server(db, http="127.0.0.1:0"))
        # With the retries of the SDK, for calls that gRPC itself refuses.
        channel = stack.enter_context(
            grpc.insecure_channel(server.address, options=channel_options(None, are_several=False))
        )
        calls = Calls(channel if is_known else grpc.intercept_channel(channel, _Presenting(token)))
        fill(calls)
        alone = slowest_get_ms(calls, BASELINE_SECONDS)
        with attacking(name, server, seconds + BASELINE_SECONDS) as attack:
            attacked = slowest_get_ms(calls, seconds)
            memory = peak_memory_mb(server)
            begun = time.monotonic()
            server.stop()
            stop = time.monotonic() - begun
            outcome = attack.communicate()[0].strip()
    return Found(name, alone, attacked, memory, stop, outcome)


def compare(name: str, seconds: float, attempts: int) -> tuple[Found, Found, list[str]]:
    """Attack with and without credentials, again while a limit is exceeded; return both, and a sentence for each limit.

    Without credentials, the server must not need more memory than with them.
    """
    for _ in range(attempts):
        known, unknown = measure(name, seconds), measure(name, seconds, is_known=False)
        exceeded = known.exceeded_limits() + [f"without credentials, {each}" for each in unknown.exceeded_limits()]
        if unknown.memory > known.memory + MEMORY_NOISE_MB:
            exceeded.append(f"without credentials the server used {unknown.memory} MB, with them {known.memory}")
        if not exceeded:
            break
    return known, unknown, exceeded


def main() -> None:
    """Run the attacks, print a table, and fail if a limit is exceeded."""
    parser = argparse.ArgumentParser(prog="make bench-hostile", description=__doc__)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"one of: {', '.join(ATTACKS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=8, help="how long each attack lasts")
    parser.add_argument("--attempts", type=int, default=3, help="attempts of an attack before an exceeded limit counts")
    given = parser.parse_args()
    failed = []
    print(f"{'':<16}{'a known caller':<42}without credentials")
    print(f"{'attack':<16}{HEADS}{HEADS}outcome")
    for name in given.attacks or ATTACKS:
        known, unknown, exceeded = compare(name, given.seconds, given.attempts)
        outcome = known.outcome if known.outcome == unknown.outcome else f"{known.outcome} / {unknown.outcome}"
        print(f"{name:<16}{known.figures()}{unknown.figures()}{outcome}", flush=True)
        failed += [f"{name}: {limit}" for limit in exceeded]
    if failed:
        raise SystemExit("bench: " + "; ".join(failed))


if __name__ == "__main__":
    main()
