"""`make bench-postgres`: measure replicas on PostgreSQL, with SQLite and a bare echo beside them in the same run."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from faults.replicas import Replicas
from grpc_calls import Calls
from postgres_server import Databases, PostgresServer

from bench.load import GENERATOR, run
from bench.processor import ProcessorTime
from bench.report import PUBLISHED, publish, save
from bench.servers import (
    BATCH,
    CREATE,
    GET,
    MODEL,
    UnverifiedError,
    batch_body,
    create_body,
    get_body,
    program,
    verify_tallymark,
)
from tallymark import Client
from tallymark.testing import Server
from tallymark.v1 import model_registry_pb2

CONCURRENCY = (1, 8, 64)
BATCH_SIZE = 100
REPLICAS = 3
SIZES = (1_000, 1_000_000)
# Single calls are slow, so their number is divided by this.
SLOW_DIVISOR = 4
Found = dict[str, list[dict[str, float]]]


class Bench:
    """The same requests to an echo, to SQLite and to a replica on PostgreSQL, in alternation."""

    def __init__(self, folder: Path, postgres: PostgresServer, stack: ExitStack, rounds: int) -> None:
        self._rounds = rounds
        self._postgres = postgres
        self._databases = Databases(postgres.url())
        self._folder = folder
        url = self._databases.url(stack.enter_context(self._databases.new()))
        self.replicas = stack.enter_context(Replicas(url, folder, REPLICAS))
        self.sqlite = stack.enter_context(Server(folder / "bench.db"))
        self.echo = stack.enter_context(program("bench.echo"))
        self.postgres = self.replicas.servers[0]
        self._processors = {
            "sqlite": ProcessorTime(self.sqlite.pid),
            "postgres": ProcessorTime(self.postgres.pid),
            "database": ProcessorTime(postgres.process.pid, with_children=True),
        }
        self.created = {"sqlite": 1, "postgres": 1}
        for server in (self.sqlite, self.postgres):
            with grpc.insecure_channel(server.address) as channel:
                Calls(channel).create_model(MODEL)
                Calls(channel).create_version(MODEL)

    def at(self, concurrency: int, calls: int) -> dict[str, Any]:
        """Measure creates and gets, and the time of processors that one of them takes, in microseconds."""
        calls = max(calls // (SLOW_DIVISOR if concurrency == 1 else 1) // concurrency, 1) * concurrency
        found: Found = {}
        for _ in range(self._rounds):
            for kind, address, method, body in (
                ("echo", self.echo, CREATE, create_body()),
                ("sqlite create", self.sqlite.address, CREATE, create_body()),
                ("postgres create", self.postgres.address, CREATE, create_body()),
                ("sqlite get", self.sqlite.address, GET, get_body()),
                ("postgres get", self.postgres.address, GET, get_body()),
            ):
                found.setdefault(kind, []).append(self._measured(kind, address, method, body, concurrency, calls))
            for engine in self.created:
                self.created[engine] += calls
        return found

    def batches(self, calls: int) -> Found:
        """Measure creates in batches of a hundred, eight batches at a time."""
        calls = max(calls // BATCH_SIZE // 8, 1) * 8
        found: Found = {"sqlite": [], "postgres": []}
        for _ in range(self._rounds):
            for engine, server in (("sqlite", self.sqlite), ("postgres", self.postgres)):
                one = run(server.address, BATCH, [batch_body(BATCH_SIZE)], 8, calls)
                found[engine].append({**asdict(one), "per_second": one.per_second * BATCH_SIZE})
                self.created[engine] += calls * BATCH_SIZE
        return found

    def together(self, calls: int) -> dict[str, dict[str, list[float]]]:
        """Measure creates per second of one, two and three replicas, on one project and on a project for each."""
        for number in range(REPLICAS):
            with Client(self.postgres.address) as client:
                client.create_project(f"p{number}")
            with Client(self.postgres.address, project=f"p{number}") as client:
                client.create_model(MODEL)
        calls = max(calls // 64, 1) * 64
        found: dict[str, dict[str, list[float]]] = {"one project": {}, "different projects": {}}
        for _ in range(self._rounds):
            for kind, rates in found.items():
                for count in range(1, REPLICAS + 1):
                    # The same number of callers in all.
                    callers = 64 // count
                    bodies = [
                        create_body() if kind == "one project" else _create_in(f"p{number}") for number in range(count)
                    ]
                    each = max(calls // count // callers, 1) * callers
                    rates.setdefault(str(count), []).append(self._at_the_same_time(bodies, callers, each))
                    self.created["postgres"] += each * count if kind == "one project" else 0
        return found

    def shown_elsewhere(self, calls: int) -> list[float]:
        """Return how many milliseconds after the answer to a create a watch of another replica returns its event."""
        seen: dict[int, float] = {}
        found = threading.Semaphore(0)
        with Client(self.replicas.servers[1].address) as watching, Client(self.postgres.address) as creating:
            head = creating.newest_revision()
            watch = watching.watch_progress(head)
            next(watch)

            def follow() -> None:
                for message in watch:
                    for event in message.events:
                        seen[event.revision] = time.perf_counter()
                        found.release()

            following = threading.Thread(target=follow, daemon=True)
            following.start()
            taken = []
            for _ in range(calls):
                version = creating.create_version(MODEL)
                answered = time.perf_counter()
                assert found.acquire(timeout=30), "the other replica does not see the change"
                taken.append((seen[version.mod_revision] - answered) * 1000)
            watching.close()
            following.join(30)
        self.created["postgres"] += calls
        return taken

    def growth(self, sizes: Sequence[int], calls: int) -> dict[str, dict[str, float]]:
        """Return median latencies and the time of the database's processors, with few and with many versions."""
        with ExitStack() as stack:
            servers = {size: stack.enter_context(self._filled(size)) for size in sizes}
            channels = {
                size: Calls(stack.enter_context(grpc.insecure_channel(server.address)))
                for size, server in servers.items()
            }
            database = self._processors["database"]
            taken: dict[int, dict[str, list[float]]] = {size: {} for size in sizes}
            for turn in range(calls):
                # In turn first and last, since each leaves the caches to the next.
                for size, each in sorted(channels.items(), reverse=bool(turn % 2)):
                    requests = {
                        "create": partial(each.create_version, MODEL),
                        "get": partial(each.version, MODEL, str(1 + turn * size // calls)),
                    }
                    for name, request in requests.items():
                        used, begun = database.seconds(), time.perf_counter()
                        request()
                        taken[size].setdefault(f"{name}_ms", []).append((time.perf_counter() - begun) * 1000)
                        used = database.seconds() - used
                        taken[size].setdefault(f"{name}_database_cpu_us", []).append(used * 1_000_000)
            return {
                str(size): {
                    name: (statistics.fmean if name.endswith("us") else statistics.median)(each)
                    for name, each in found.items()
                }
                for size, found in taken.items()
            }

    def verify(self) -> None:
        """Raise UnverifiedError unless every acknowledged version exists."""
        for engine, server in (("sqlite", self.sqlite), ("postgres", self.postgres)):
            verify_tallymark(server, self.created[engine])

    @contextmanager
    def _filled(self, size: int) -> Iterator[Server]:
        """Yield a server on a database of its own with so many versions."""
        with self._databases.new() as name:
            url = self._databases.url(name)
            with Server(self._folder / f"{size}.db", ("--db", url)) as server:
                with grpc.insecure_channel(server.address) as channel:
                    Calls(channel).create_model(MODEL)
                run(server.address, BATCH, [batch_body(BATCH_SIZE)], 8, size // BATCH_SIZE)
                yield server

    def _measured(
        self, kind: str, address: str, method: str, body: bytes, concurrency: int, calls: int
    ) -> dict[str, float]:
        engine = kind.split(maxsplit=1)[0]
        mine = [name for name in (engine, "database" if engine == "postgres" else "") if name in self._processors]
        before = {name: self._processors[name].seconds() for name in mine}
        found: dict[str, float] = asdict(run(address, method, [body], concurrency, calls))
        for name, used in before.items():
            role = "database" if name == "database" else "server"
            found[f"{role}_cpu_us"] = (self._processors[name].seconds() - used) / calls * 1_000_000
        return found

    def _at_the_same_time(self, bodies: Sequence[bytes], callers: int, calls: int) -> float:
        """Return the creates per second of all replicas together: one for each of the requests."""
        with ThreadPoolExecutor(len(bodies)) as pool:
            running = [
                pool.submit(run, server.address, CREATE, [body], callers, calls)
                for server, body in zip(self.replicas.servers, bodies, strict=False)
            ]
            return sum(each.result().per_second for each in running)


def _create_in(project: str) -> bytes:
    request = model_registry_pb2.CreateModelVersionRequest(parent=f"projects/{project}/models/{MODEL}")
    return bytes(request.SerializeToString())


def measure(rounds: int, calls: int, sizes: Sequence[int], progress: Callable[[str], None]) -> dict[str, Any]:
    """Return all figures. Raise UnverifiedError if a registry does not have what it acknowledged."""
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as postgres, ExitStack() as stack:
        bench = Bench(Path(folder), postgres, stack, rounds)
        by_concurrency = {}
        for concurrency in CONCURRENCY:
            progress(f"measuring {concurrency} concurrent calls")
            by_concurrency[str(concurrency)] = bench.at(concurrency, calls)
        progress("measuring batches")
        batches = bench.batches(calls)
        progress(f"measuring 1 to {REPLICAS} replicas")
        together = bench.together(calls)
        progress("measuring a watch of another replica")
        elsewhere = bench.shown_elsewhere(max(calls // 10, 20))
        bench.verify()
        progress(f"creating {max(sizes):,} versions")
        growth = bench.growth(sizes, max(calls // 20, 20))
        return {
            "by_concurrency": by_concurrency,
            "batches": batches,
            "replicas": together,
            "elsewhere_ms": elsewhere,
            "growth": growth,
            "verified": bench.created,
            "database": postgres.run("postgres", "--version").strip(),
        }


def main() -> None:
    """Measure, verify, and write the report."""
    parser = argparse.ArgumentParser(prog="make bench-postgres", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="how often each measurement is repeated")
    parser.add_argument("--calls", type=int, default=4000, help="calls of one measurement, fewer for slow ones")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="versions of the registries that grow")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1000 calls, and 50,000 versions")
    parser.add_argument("--note", default="", help="a sentence for the report, such as what else was running")
    parser.add_argument("--into", type=Path, default=PUBLISHED, help="the folder of the report")
    given = parser.parse_args()
    rounds, calls, sizes = (3, 1000, (1_000, 50_000)) if given.quick else (given.rounds, given.calls, given.sizes)
    begun = time.monotonic()

    def progress(text: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {text}", file=sys.stderr, flush=True)

    try:
        found = measure(rounds, calls, sizes, progress)
    except UnverifiedError as error:
        raise SystemExit(f"bench: {error}; the figures are not valid") from None
    about = {"generator": GENERATOR, "rounds": rounds, "quick": given.quick, "note": given.note}
    save(given.into, postgres={**found, **about})
    print(publish(given.into))
    progress(f"wrote the report to {given.into / 'report.md'}")


if __name__ == "__main__":
    main()
