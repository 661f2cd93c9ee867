"""Creates and reads beside the echo and the naive registry, in alternation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc
from grpc_calls import Calls

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
    verify_ours,
)
from tallymark.testing import Server

CONCURRENCY = (1, 8, 64, 512)
MANY = 64
ROWS = 100
# The naive registry, and calls one at a time, are slow: fewer of them tell as much.
SLOW = 4

Found = dict[str, list[dict[str, float]]]


def measure(rounds: int, calls: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Every measurement, by concurrency; UnverifiedError."""
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
                tell(f"concurrency {concurrency}")
                by_concurrency[str(concurrency)] = bench.at(concurrency, calls)
            tell("batches")
            batches = bench.batches(max(calls // ROWS, 8))
            spread = {}
            for concurrency in CONCURRENCY:
                tell(f"one model and {MANY}, concurrency {concurrency}")
                spread[str(concurrency)] = bench.models(concurrency, calls)
            verify_ours(server, bench.created)
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
    """Measures, and counts what must be there afterwards."""

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
        """Echo, create, get and the naive create in turns, so that what else the machine does meets all alike."""
        calls = max(calls // (SLOW if concurrency == 1 else 1) // concurrency, 1) * concurrency
        slow = max(calls // SLOW // concurrency, 1) * concurrency
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
        """What was asked for is there: a generator that knows HTTP alone takes a refusal for an answer."""
        with grpc.insecure_channel(self._server.address) as channel:
            if not channel.unary_unary(GET)(get_body()):
                raise SystemExit("bench: a get was answered with nothing")

    def models(self, concurrency: int, calls: int) -> Found:
        """Creates in one model and in 64, by the generator that can send different requests."""
        names = [f"{MODEL}-{concurrency}-{number}" for number in range(MANY)]
        with grpc.insecure_channel(self._server.address) as channel:
            for name in names:
                Calls(channel).create_model(name)
        # So that each of the models is asked for as often as any other.
        least = 1 if concurrency % MANY == 0 else MANY
        each = max(calls // (SLOW if concurrency == 1 else 1) // concurrency // least, 1) * least
        found: Found = {"one": [], "many": []}
        bodies = {"one": [create_body()], "many": [create_body(name) for name in names]}
        for turn in range(self._rounds):
            for kind in sorted(bodies, reverse=bool(turn % 2)):
                measured = run_python(self._server.address, CREATE, bodies[kind], concurrency, each * concurrency)
                found[kind].append(asdict(measured))
            self.created += each * concurrency
        for name in names:
            verify_ours(self._server, self._rounds * each * concurrency // MANY, name)
        return found

    def batches(self, calls: int) -> Found:
        """Creates by the hundred in one request, eight requests at a time, beside creates one by one."""
        calls = calls // 8 * 8
        found: Found = {"batch": [], "unary": []}
        for _ in range(self._rounds):
            batch = run(self._server.address, BATCH, [batch_body(ROWS)], 8, calls)
            unary = run(self._server.address, CREATE, [create_body()], 64, 64 * 10)
            found["batch"].append({**asdict(batch), "per_second": batch.per_second * ROWS})
            found["unary"].append(asdict(unary))
            self.created += calls * ROWS + 64 * 10
        return found
