"""`make bench`: durable creates and reads beside a bare echo, in alternation, as ratios."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import grpc
from bench.load import GENERATOR, Measured, run
from calling import PROJECT, Calls

from tallymark.testing import Server
from tallymark.v1 import model_registry_pb2

CREATE = "/tallymark.v1.ModelRegistry/CreateModelVersion"
GET = "/tallymark.v1.ModelRegistry/GetModelVersion"
CONCURRENCY = (1, 8, 64, 512)
# What a create should reach beside an echo, by concurrency.
GOALS = {1: 0.5, 8: 0.7, 64: 0.9, 512: 0.85}


@contextmanager
def echo_server() -> Iterator[str]:
    """The address of a bare echo server."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.echo"], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.kill()


def measure(server: Server, echo: str, concurrency: int, rounds: int, calls: int) -> dict[str, list[Measured]]:
    """Echo, create and get in turns, so that what else the machine does meets all of them alike."""
    body = model_registry_pb2.CreateModelVersionRequest(parent=f"{PROJECT}/models/bench").SerializeToString()
    question = model_registry_pb2.GetModelVersionRequest(name=f"{PROJECT}/models/bench/versions/1").SerializeToString()
    found: dict[str, list[Measured]] = {"echo": [], "create": [], "get": []}
    for _ in range(rounds):
        found["echo"].append(run(echo, CREATE, body, concurrency, calls))
        found["create"].append(run(server.address, CREATE, body, concurrency, calls))
        found["get"].append(run(server.address, GET, question, concurrency, calls))
    return found


def verify(server: Server, expected: int) -> None:
    """Every create that was counted is a version, and the numbers have no gap: a refusal would have been fast, too."""
    with grpc.insecure_channel(server.address) as channel:
        versions = Calls(channel).versions("bench", page_size=1000)
    numbers = [version.number for version in versions]
    if numbers != list(range(expected, 0, -1)):
        raise SystemExit(f"bench: {expected:,} versions were created and {len(numbers):,} are there: no figure counts")


def row(concurrency: int, found: dict[str, list[Measured]]) -> str:
    """The medians and ratios of one concurrency, as a line of the table."""

    def median(kind: str, field: str) -> float:
        return statistics.median(asdict(measured)[field] for measured in found[kind])

    ratios = [c.per_second / e.per_second for c, e in zip(found["create"], found["echo"], strict=True)]
    reads = [g.per_second / e.per_second for g, e in zip(found["get"], found["echo"], strict=True)]
    tails = [c.p99 / e.p99 for c, e in zip(found["create"], found["echo"], strict=True)]
    return (
        f"{concurrency:>5} {median('echo', 'per_second'):>9,.0f} {median('create', 'per_second'):>9,.0f}"
        f" {median('create', 'p50'):>9.1f} {median('create', 'p99'):>9.1f}"
        f" {statistics.median(ratios):>8.2f} ({min(ratios):.2f}..{max(ratios):.2f}) {GOALS[concurrency]:>5.2f}"
        f" {statistics.median(tails):>9.2f} {statistics.median(reads):>9.2f}"
    )


def main() -> None:
    """Measure, verify, and print the table; JSON with --json FILE."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turns")
    parser.add_argument("--calls", type=int, default=3000, help="calls of one measurement; a quarter at concurrency 1")
    parser.add_argument("--json", type=Path, help="also write every measurement to this file")
    given = parser.parse_args()
    print(f"load by {GENERATOR}; medians of {given.rounds} rounds in alternation; SQLite, WAL, synchronous=FULL")
    print(
        f"{'c':>5} {'echo/s':>9} {'create/s':>9} {'p50 ms':>9} {'p99 ms':>9} {'create/echo':>21} {'goal':>5}"
        f" {'p99 ratio':>9} {'get/echo':>9}"
    )
    everything: dict[int, dict[str, list[Measured]]] = {}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder, "bench.db")) as server, echo_server() as echo:
        with grpc.insecure_channel(server.address) as channel:
            Calls(channel).create_model("bench")
            Calls(channel).create_version("bench")
        expected = 1
        for concurrency in CONCURRENCY:
            calls = given.calls // 4 if concurrency == 1 else given.calls // concurrency * concurrency
            everything[concurrency] = found = measure(server, echo, concurrency, given.rounds, calls)
            expected += given.rounds * calls
            print(row(concurrency, found), flush=True)
        verify(server, expected)
        print(f"verified: {expected:,} versions created, {expected:,} there, numbered without a gap")
    if given.json:
        given.json.write_text(
            json.dumps(
                {
                    "generator": GENERATOR,
                    "measured": {
                        concurrency: {kind: [asdict(one) for one in ones] for kind, ones in found.items()}
                        for concurrency, found in everything.items()
                    },
                },
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
