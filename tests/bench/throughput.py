"""Creates and reads of Tallymark, and of the echo and the naive registry for comparison, in alternating rounds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc
from grpc_calls import Calls, unary_bytes

from bench.disk import flush
from bench.load import run, run_python
from bench.servers import (
    BATCH,
    CREATE,
    GET,
    MODEL,
    batch_body,
    create_body,
    get_body,
    program,
    verify_naive,
    verify_tallymark,
)
from tallymark.testing import Server

CONCURRENCY = (1, 8, 64, 512)
MODELS = 64
BATCH_SIZE = 100
# The naive registry and single calls are slow, so their number of calls is divided by this.
SLOW_DIVISOR = 4

Found = dict[str, list[dict[str, float]]]


def measure(rounds: int, calls: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return all figures. Raise UnverifiedError if a registry does not have what it acknowledged."""
    with tempfile.TemporaryDirectory() as folder:
        naive_db = Path(folder, "naive.db")
        with (
            Server(Path(folder, "bench.db")) as server,
            program("bench.echo") as echo,
            program("bench.naive", str(naive_db)) as naive,
        ):
            bench = _Bench(server, echo, naive, rounds)
            by_concurrency = {}
            for concurrency in CONCURRENCY:
                progress(f"measuring {concurrency} concurrent calls")
                by_concurrency[str(concurrency)] = bench.at(concurrency, calls)
            progress("measuring batches")
            batches = bench.batches(max(calls // BATCH_SIZE, 8))
            spread = {}
            for concurrency in CONCURRENCY:
                progress(f"measuring one model and {MODELS} models, {concurrency} concurrent calls")
                spread[str(concurrency)] = bench.models(concurrency, calls)
            verify_tallymark(server, bench.created)
            verify_naive(naive_db, bench.naive_created)
        disk = flush(Path(folder))
    return {
        "by_concurrency": by_concurrency,
        "models": spread,
        "batches": batches,
        "flush_ms": disk,
        "verified": bench.created,
    }


class _Bench:
    """The measurements, and the number of versions that must exist afterwards."""

    def __init__(self, server: Server, echo: str, naive: str, rounds: int) -> None:
        self._server = server
        self._echo = echo
        self._naive = naive
        self._rounds = rounds
        with grpc.insecure_channel(server.address) as channel:
            Calls(channel).create_model(MODEL)
            Calls(channel).create_version(MODEL)
        self.created = 1
        self.naive_created = 0

    def at(self, concurrency: int, calls: int) -> Found:
        """Measure echo, create, get and the naive create alternately, so that other load affects all alike."""
        calls = max(calls // (SLOW_DIVISOR if concurrency == 1 else 1) // concurrency, 1) * concurrency
        slow = max(calls // SLOW_DIVISOR // concurrency, 1) * concurrency
        found: Found = {"echo": [], "create": [], "get": [], "naive": []}
        for _ in range(self._rounds):
            for kind, address, method, body, count in (
                ("echo", self._echo, CREATE, create_body(), calls),
                ("create", self._server.address, CREATE, create_body(), calls),
                ("get", self._server.address, GET, get_body(), calls),
                ("naive", self._naive, CREATE, create_body(), slow),
            ):
                found[kind].append(asdict(run(address, method, [body], concurrency, count)))
            self._check_get()
            self.created += calls
            self.naive_created += slow
        return found

    def _check_get(self) -> None:
        """Fail unless a get returns a version: h2load counts an error of gRPC as an answer."""
        with grpc.insecure_channel(self._server.address) as channel:
            if not unary_bytes(channel, GET)(get_body()):
                raise SystemExit("bench: a get returned an empty answer")

    def models(self, concurrency: int, calls: int) -> Found:
        """Measure creates in one model and in 64, with the generator that can send different requests."""
        names = [f"{MODEL}-{concurrency}-{number}" for number in range(MODELS)]
        with grpc.insecure_channel(self._server.address) as channel:
            for name in names:
                Calls(channel).create_model(name)
        # A multiple, so that each model gets the same number of creates.
        multiple = 1 if concurrency % MODELS == 0 else MODELS
        each = max(calls // (SLOW_DIVISOR if concurrency == 1 else 1) // concurrency // multiple, 1) * multiple
        found: Found = {"one": [], "many": []}
        bodies = {"one": [create_body()], "many": [create_body(name) for name in names]}
        for turn in range(self._rounds):
            for kind in sorted(bodies, reverse=bool(turn % 2)):
                measured = run_python(self._server.address, CREATE, bodies[kind], concurrency, each * concurrency)
                found[kind].append(asdict(measured))
            self.created += each * concurrency
        for name in names:
            verify_tallymark(self._server, self._rounds * each * concurrency // MODELS, name)
        return found

    def batches(self, calls: int) -> Found:
        """Measure creates in batches of a hundred, eight batches at a time, and single creates."""
        calls = calls // 8 * 8
        found: Found = {"batch": [], "unary": []}
        for _ in range(self._rounds):
            batch = run(self._server.address, BATCH, [batch_body(BATCH_SIZE)], 8, calls)
            unary = run(self._server.address, CREATE, [create_body()], 64, 64 * 10)
            found["batch"].append({**asdict(batch), "per_second": batch.per_second * BATCH_SIZE})
            found["unary"].append(asdict(unary))
            self.created += calls * BATCH_SIZE + 64 * 10
        return found
