"""`make bench-growth`: measure requests, memory and verification with few and with many versions."""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
from grpc_calls import PROJECT, Calls

from bench.report import PUBLISHED, publish, save
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, event_pb2, model_pb2, model_registry_pb2
from tallymark_server.domain import commands as c
from tallymark_server.domain.model import ModelCard
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sqlite.verification import verify
from tallymark_server.writer import decide_batch

SIZES = (1_000, 100_000, 1_000_000)
LARGE_MODEL = "big"
SMALL_MODEL_VERSIONS = 500
BATCH = 500
RARE_VERSIONS = 20
CALLS = 100
STARTS = 6
WATCHERS = 1000
ATTEMPT: dict[str, Any] = {"project": "default", "actor": "bench"}


def new_version(number: int) -> c.NewVersion:
    """Return a version with a tag and metrics; a few have a rare tag and the highest metric."""
    rare = number <= RARE_VERSIONS
    return c.NewVersion(
        name=f"named-{number}" if number % 10 == 0 else None,
        tags=("rare",) if rare else ("weekly",),
        metadata={"auc": 0.99 if rare else 0.5 + number % 400 / 1000, "loss": 1 / (1 + number % 97)},
    )


async def fill(path: Path, size: int) -> None:
    """Create half of the versions in one model, and the others in models of 500, through the domain's rules."""
    async with open_sqlite(path, ("default",)) as storage:

        async def write(*commands: object) -> None:
            given = list(commands)
            await storage.write(
                lambda writing: decide_batch(writing, given, lambda: time.time_ns() // 1000)  # type: ignore[arg-type]  # the commands are those of the domain
            )

        await write(c.CreateModel(**ATTEMPT, model=LARGE_MODEL, card=ModelCard()))
        for start in range(0, size // 2, BATCH):
            count = min(BATCH, size // 2 - start)
            new = tuple(new_version(start + place + 1) for place in range(count))
            await write(c.CreateVersions(**ATTEMPT, model=LARGE_MODEL, versions=new))
        for other in range(size // 2 // SMALL_MODEL_VERSIONS):
            name = f"other-{other}"
            new = tuple(new_version(RARE_VERSIONS + place + 1) for place in range(SMALL_MODEL_VERSIONS))
            await write(
                c.CreateModel(**ATTEMPT, model=name, card=ModelCard()),
                c.CreateVersions(**ATTEMPT, model=name, versions=new),
            )


class Subject:
    """A registry of one size, with the figures that were measured."""

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / f"{size}.db"
        self._size = size
        asyncio.run(fill(self._path, size))
        self.found = {"database_bytes_per_version": self._path.stat().st_size / size}
        self.server = Server(self._path, http="127.0.0.1:0")

    def requests(self, calls: Calls) -> dict[str, Callable[[], object]]:
        """Return the requests that are measured, by name."""
        last = self._size // 2
        parent = f"{PROJECT}/models/{LARGE_MODEL}"
        calls.set_stage(LARGE_MODEL, last // 2, model_pb2.STAGE_PRODUCTION)
        token = _deep_token(calls, last)

        def page(**fields: object) -> Callable[[], object]:
            request = model_registry_pb2.ListModelVersionsRequest(parent=parent, **fields)  # type: ignore[arg-type]  # the callers name fields of the request
            return lambda: calls.models.ListModelVersions(request)

        return {
            "create": lambda: calls.create_version(LARGE_MODEL),
            "get by number": lambda: calls.version(LARGE_MODEL, str(last // 3)),
            "get by name": lambda: calls.version(LARGE_MODEL, f"=named-{last // 30 * 10}"),
            "get by stage": lambda: calls.version(LARGE_MODEL, "@production"),
            "get latest": lambda: calls.version(LARGE_MODEL, "latest"),
            "first page": page(page_size=50),
            "deep page": page(page_size=50, page_token=token),
            "filter by tag": page(filter="tags:rare"),
            "filter by metric": page(filter="metadata.auc > 0.95"),
            "search for a word that none has": page(filter="description:needle"),
            "order by metric": page(order_by="metadata.auc desc"),
            **self._requests_of_the_past(calls),
            "dashboard of a model": lambda: urlopen(f"{self.server.dashboard}models/{LARGE_MODEL}").read(),
            "list models": lambda: calls.models.ListModels(model_registry_pb2.ListModelsRequest(parent=PROJECT)),
        }

    def _requests_of_the_past(self, calls: Calls) -> dict[str, Callable[[], object]]:
        """Return the requests that read as of the past, or the log."""
        last = self._size // 2
        parent = f"{PROJECT}/models/{LARGE_MODEL}"

        def as_of(reference: str, revision: int) -> Callable[[], object]:
            name = f"{parent}/versions/{reference}"
            return lambda: calls.models.GetModelVersion(
                model_registry_pb2.GetModelVersionRequest(name=name, read_revision=revision)
            )

        moved = calls.set_stage(LARGE_MODEL, last // 2, model_pb2.STAGE_STAGING).update_time
        calls.set_stage(LARGE_MODEL, last // 2, model_pb2.STAGE_PRODUCTION)

        def at_time() -> object:
            name = f"{parent}/versions/@staging"
            return calls.models.GetModelVersion(model_registry_pb2.GetModelVersionRequest(name=name, read_time=moved))

        history = event_log_pb2.ListEventsRequest(parent=PROJECT, name=parent, newest_first=True, page_size=50)

        def moves(**fields: Any) -> Callable[[], object]:
            kinds = [event_pb2.EVENT_KIND_STAGE_CHANGED]
            request = event_log_pb2.ListEventsRequest(parent=PROJECT, kinds=kinds, **fields)
            return lambda: calls.log.ListEvents(request)

        return {
            "get as of the past": as_of("latest", last // 2),
            "get by name as of the past": as_of("=named-10", last),
            "get by stage as of a time of the past": at_time,
            "first page of the past": lambda: calls.models.ListModelVersions(
                model_registry_pb2.ListModelVersionsRequest(parent=parent, page_size=50, read_revision=last // 2)
            ),
            "list models as of the past": lambda: calls.models.ListModels(
                model_registry_pb2.ListModelsRequest(parent=PROJECT, page_size=2, read_revision=self._size)
            ),
            "moves between stages": moves(),
            "moves of a model": moves(name=parent),
            "moves of a version": moves(name=f"{parent}/versions/{last // 2}"),
            "history of a model": lambda: calls.log.ListEvents(history),
        }

    def measure_memory_and_watches(self) -> None:
        """Measure the server's memory, idle and with a thousand watchers, and the speed of a watch of old events."""
        urlopen(self.server.dashboard).read()  # the dashboard is loaded after the start
        self.found["idle_resident_bytes"] = _resident(self.server)
        with grpc.insecure_channel(self.server.address) as channel:
            self.found["watch_events_per_second"] = _watch_rate(Calls(channel), self._size)
        self.found["bytes_per_watcher"], self.found["watchers"] = _watchers(self.server)

    def measure_verify(self) -> None:
        """Measure how fast the file is verified, and fail if it has a problem."""
        begun = time.perf_counter()
        proof = verify(self._path)
        if proof.problems:
            raise SystemExit(f"bench: the file with {self._size:,} versions is damaged: {proof.problems[0]}")
        self.found["verify_events_per_second"] = proof.events / (time.perf_counter() - begun)


def measure(sizes: Sequence[int], progress: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return medians in milliseconds, rates per second and bytes, by size. Requests to the sizes alternate."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        subjects = []
        for size in sizes:
            progress(f"creating {size:,} versions")
            subjects.append(Subject(Path(folder), size))
        starts: dict[Subject, list[float]] = {subject: [] for subject in subjects}
        for _ in range(STARTS):
            for subject in subjects:
                starts[subject].append(_start_ms(subject.server))
        for subject in subjects:
            subject.found["start_ms"] = statistics.median(starts[subject])
            subject.server.start()
            stack.callback(subject.server.stop)
            subject.measure_memory_and_watches()
        progress("measuring requests")
        calls = [Calls(stack.enter_context(grpc.insecure_channel(subject.server.address))) for subject in subjects]
        requests = [subject.requests(each) for subject, each in zip(subjects, calls, strict=True)]
        for name in requests[0]:
            latencies = [list[float]() for _ in subjects]
            for _ in range(CALLS):
                for own_latencies, own_requests, each in zip(latencies, requests, calls, strict=True):
                    # A change before each request, so that no cache has the answer.
                    each.create_version("other-0")
                    own_latencies.append(_elapsed_ms(own_requests[name]))
            for subject, own_latencies in zip(subjects, latencies, strict=True):
                subject.found[f"{name}_ms"] = statistics.median(own_latencies)
        stack.pop_all().close()
        for size, subject in zip(sizes, subjects, strict=True):
            progress(f"verifying {size:,} versions")
            subject.measure_verify()
    return {str(size): subject.found for size, subject in zip(sizes, subjects, strict=True)}


def _deep_token(calls: Calls, last: int) -> str:
    """Return the token of the page that follows twenty large pages."""
    token, size = "", min(last // 4, 1000)
    for _ in range(20):
        request = model_registry_pb2.ListModelVersionsRequest(
            parent=f"{PROJECT}/models/{LARGE_MODEL}", page_size=size, page_token=token
        )
        following = calls.models.ListModelVersions(request).next_page_token
        if not following:
            break
        token = following
    return token


def _elapsed_ms(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def _watch_rate(calls: Calls, size: int) -> float:
    wanted = min(size, 20_000)
    request = event_log_pb2.WatchRequest(parent=PROJECT, after_revision=0)
    begun = time.perf_counter()
    stream = calls.log.Watch(request)
    seen = 0
    for message in stream:
        seen += len(message.events)
        if seen >= wanted:
            break
    taken = time.perf_counter() - begun
    stream.cancel()
    return seen / taken


def _watchers(server: Server) -> tuple[float, int]:
    """Return the memory for each of a thousand watchers, and how many of them receive their first message."""
    before = _resident(server)
    with grpc.insecure_channel(server.address) as channel:
        newest = Calls(channel).log.ListEvents(event_log_pb2.ListEventsRequest(parent=PROJECT, page_size=1)).revision
        request = event_log_pb2.WatchRequest(parent=PROJECT, after_revision=newest)
        streams = [Calls(channel).log.Watch(request) for _ in range(WATCHERS)]
        served = sum(1 for stream in streams for _ in islice(stream, 1))
        after = _resident(server)
        for stream in streams:
            stream.cancel()
    return (after - before) / WATCHERS, served


def _resident(server: Server) -> int:
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _start_ms(server: Server) -> float:
    taken = _elapsed_ms(server.start)
    server.stop()
    return taken


def main() -> None:
    """Measure registries of each size, and add the figures to the report."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=SIZES,
        help="numbers of versions, each at least 1000; half are in one model",
    )
    parser.add_argument("--into", type=Path, default=PUBLISHED, help="the folder of the report")
    given = parser.parse_args()
    found = measure(given.sizes, lambda text: print(text, flush=True))
    save(given.into, growth=found)
    print(publish(given.into))


if __name__ == "__main__":
    main()
