"""`make bench-growth`: what becomes slower when the registry grows, and by how much."""

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
from urllib.request import urlopen

import grpc
from grpc_calls import PROJECT, Calls

from bench.report import PUBLISHED, keep, publish
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, event_pb2, model_pb2, model_registry_pb2
from tallymark_server.domain import commands as c
from tallymark_server.domain.model import ModelCard
from tallymark_server.storage.sqlite.engine import open_sqlite
from tallymark_server.storage.sqlite.verification import verify
from tallymark_server.writer import decide_batch

SIZES = (1_000, 100_000, 1_000_000)
BIG = "big"
OTHERS = 500
BATCH = 500
RARE = 20
CALLS = 100
STARTS = 6
WATCHERS = 1000
ATTEMPT = {"project": "default", "actor": "bench"}


def new_version(number: int) -> c.NewVersion:
    """A version with a tag and metrics, as people make them; a few are rare."""
    rare = number <= RARE
    return c.NewVersion(
        name=f"named-{number}" if number % 10 == 0 else None,
        tags=("rare",) if rare else ("weekly",),
        metadata={"auc": 0.99 if rare else 0.5 + number % 400 / 1000, "loss": 1 / (1 + number % 97)},
    )


async def fill(path: Path, size: int) -> None:
    """Half of the versions in one model, and the others in models of 500, by the line's own rules."""
    async with open_sqlite(path, ("default",)) as storage:

        async def write(*commands: object) -> None:
            given = list(commands)
            await storage.write(
                lambda writing: decide_batch(writing, given, lambda: time.time_ns() // 1000)  # type: ignore[arg-type]
            )

        await write(c.CreateModel(**ATTEMPT, model=BIG, card=ModelCard()))
        for start in range(0, size // 2, BATCH):
            count = min(BATCH, size // 2 - start)
            new = tuple(new_version(start + place + 1) for place in range(count))
            await write(c.CreateVersions(**ATTEMPT, model=BIG, versions=new))
        for other in range(size // 2 // OTHERS):
            name = f"other-{other}"
            new = tuple(new_version(RARE + place + 1) for place in range(OTHERS))
            await write(
                c.CreateModel(**ATTEMPT, model=name, card=ModelCard()),
                c.CreateVersions(**ATTEMPT, model=name, versions=new),
            )


class Grown:
    """A registry of one size, and what is found of it."""

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / f"{size}.db"
        self._size = size
        asyncio.run(fill(self._path, size))
        self.found = {"database_bytes_per_version": self._path.stat().st_size / size}
        self.server = Server(self._path, http="127.0.0.1:0")

    def questions(self, calls: Calls) -> dict[str, Callable[[], object]]:
        """What is asked, by its name."""
        last = self._size // 2
        parent = f"{PROJECT}/models/{BIG}"
        calls.set_stage(BIG, last // 2, model_pb2.STAGE_PRODUCTION)
        token = _deep_token(calls, last)

        def page(**fields: object) -> Callable[[], object]:
            asked = model_registry_pb2.ListModelVersionsRequest(parent=parent, **fields)  # type: ignore[arg-type]
            return lambda: calls.models.ListModelVersions(asked)

        return {
            "create": lambda: calls.create_version(BIG),
            "get by number": lambda: calls.version(BIG, str(last // 3)),
            "get by name": lambda: calls.version(BIG, f"=named-{last // 30 * 10}"),
            "get by stage": lambda: calls.version(BIG, "@production"),
            "get latest": lambda: calls.version(BIG, "latest"),
            "first page": page(page_size=50),
            "deep page": page(page_size=50, page_token=token),
            "filter by tag": page(filter="tags:rare"),
            "filter by metric": page(filter="metadata.auc > 0.95"),
            "search for a word that none has": page(filter="description:needle"),
            "order by metric": page(order_by="metadata.auc desc"),
            **self._past(calls),
            "dashboard of a model": lambda: urlopen(f"{self.server.dashboard}models/{BIG}").read(),
            "list models": lambda: calls.models.ListModels(model_registry_pb2.ListModelsRequest(parent=PROJECT)),
        }

    def _past(self, calls: Calls) -> dict[str, Callable[[], object]]:
        """What is asked of the past."""
        last = self._size // 2
        parent = f"{PROJECT}/models/{BIG}"

        def as_of(reference: str, revision: int) -> Callable[[], object]:
            name = f"{parent}/versions/{reference}"
            return lambda: calls.models.GetModelVersion(
                model_registry_pb2.GetModelVersionRequest(name=name, read_revision=revision)
            )

        moved = calls.set_stage(BIG, last // 2, model_pb2.STAGE_STAGING).update_time
        calls.set_stage(BIG, last // 2, model_pb2.STAGE_PRODUCTION)

        def at_time() -> object:
            name = f"{parent}/versions/@staging"
            return calls.models.GetModelVersion(model_registry_pb2.GetModelVersionRequest(name=name, read_time=moved))

        history = event_log_pb2.ListEventsRequest(parent=PROJECT, name=parent, newest_first=True, page_size=50)

        def moves(**fields: str) -> Callable[[], object]:
            kinds = [event_pb2.EVENT_KIND_STAGE_CHANGED]
            asked = event_log_pb2.ListEventsRequest(parent=PROJECT, kinds=kinds, **fields)
            return lambda: calls.log.ListEvents(asked)

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

    def weigh(self) -> None:
        """What the server takes of memory, also for a thousand that watch, and how fast it tells the past."""
        urlopen(self.server.dashboard).read()  # which is loaded beside what has started
        self.found["idle_resident_bytes"] = _resident(self.server)
        with grpc.insecure_channel(self.server.address) as channel:
            self.found["watch_events_per_second"] = _watched(Calls(channel), self._size)
        self.found["bytes_per_watcher"], self.found["watchers"] = _watchers(self.server)

    def prove(self) -> None:
        """How fast the file is proved, which it must be."""
        begun = time.perf_counter()
        proof = verify(self._path)
        if proof.problems:
            raise SystemExit(f"bench: the file of {self._size:,} versions is not sound: {proof.problems[0]}")
        self.found["verify_events_per_second"] = proof.events / (time.perf_counter() - begun)


def measure(sizes: Sequence[int], tell: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """By size the medians in milliseconds, rates per second and bytes. The sizes are asked in turns."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        grown = []
        for size in sizes:
            tell(f"filling {size:,}")
            grown.append(Grown(Path(folder), size))
        starts: dict[Grown, list[float]] = {one: [] for one in grown}
        for _ in range(STARTS):
            for one in grown:
                starts[one].append(_started(one.server))
        for one in grown:
            one.found["start_ms"] = statistics.median(starts[one])
            one.server.start()
            stack.callback(one.server.stop)
            one.weigh()
        tell("asking")
        calls = [Calls(stack.enter_context(grpc.insecure_channel(one.server.address))) for one in grown]
        questions = [one.questions(each) for one, each in zip(grown, calls, strict=True)]
        for name in questions[0]:
            taken_by = [list[float]() for _ in grown]
            for _ in range(CALLS):
                for taken_here, asked, each in zip(taken_by, questions, calls, strict=True):
                    # So that no answer is known from the last time.
                    each.create_version("other-0")
                    taken_here.append(_timed(asked[name]))
            for one, taken_here in zip(grown, taken_by, strict=True):
                one.found[f"{name}_ms"] = statistics.median(taken_here)
        stack.pop_all().close()
        for size, one in zip(sizes, grown, strict=True):
            tell(f"proving {size:,}")
            one.prove()
    return {str(size): one.found for size, one in zip(sizes, grown, strict=True)}


def _deep_token(calls: Calls, last: int) -> str:
    """The token of a page as deep as twenty large pages lead."""
    token, size = "", min(last // 4, 1000)
    for _ in range(20):
        request = model_registry_pb2.ListModelVersionsRequest(
            parent=f"{PROJECT}/models/{BIG}", page_size=size, page_token=token
        )
        following = calls.models.ListModelVersions(request).next_page_token
        if not following:
            break
        token = following
    return token


def _timed(ask: Callable[[], object]) -> float:
    begun = time.perf_counter()
    ask()
    return (time.perf_counter() - begun) * 1000


def _watched(calls: Calls, size: int) -> float:
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
    """What each of a thousand that watch takes of memory, and how many of them are told where they begin."""
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


def _started(server: Server) -> float:
    taken = _timed(server.start)
    server.stop()
    return taken


def main() -> None:
    """Measure each size, and add it to the report."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help="how many versions, 1000 or more, half in one model"
    )
    parser.add_argument("--into", type=Path, default=PUBLISHED, help="the folder of the report")
    given = parser.parse_args()
    found = measure(given.sizes, lambda text: print(text, flush=True))
    keep(given.into, growth=found)
    print(publish(given.into))


if __name__ == "__main__":
    main()
