"""`make bench-peers`: the same work for other registries, each in a server of its own, by the same callers in turns."""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from foreign.mlflow_server import mlflow_server

from bench.report import PUBLISHED, keep, publish
from tallymark import Client
from tallymark.testing import Server

CALLERS = 8
Work = Callable[[], object]
MODEL = "bench"


class Peer:
    """A registry: makes for each caller what creates a version, and what gets the first one."""

    def __init__(self, name: str, caller: Callable[[], tuple[Work, Work]], count: Callable[[], int]) -> None:
        self.name = name
        self.caller = caller
        self.count = count


@contextmanager
def tallymark(folder: Path) -> Iterator[Peer]:
    """Ours: durable, as it is served."""
    with Server(folder / "tallymark.db") as server, Client(server.address) as client:
        client.create_model(MODEL)

        def caller() -> tuple[Work, Work]:
            own = Client(server.address)
            return lambda: own.create_version(MODEL), lambda: own.get_version(f"{MODEL}/1")

        yield Peer("Tallymark", caller, lambda: client.get_model(MODEL).last_number)


@contextmanager
def mlflow(folder: Path) -> Iterator[Peer]:
    """MLflow's own server on SQLite, asked over REST on kept connections."""
    with mlflow_server(folder) as uri:
        host = urlsplit(uri).netloc

        def ask(connection: HTTPConnection, method: str, path: str, body: dict[str, str]) -> dict[str, object]:
            path = f"/api/2.0/mlflow/{path}"
            if method == "GET":
                path, sent = f"{path}?{urlencode(body)}", None
            else:
                sent = json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            response = connection.getresponse()
            found: dict[str, object] = json.loads(response.read())
            if response.status != 200:
                raise SystemExit(f"bench: MLflow answered {response.status}: {found}")
            return found

        def caller() -> tuple[Work, Work]:
            own = HTTPConnection(host)
            new, first = {"name": MODEL, "source": "s3://bucket/model"}, {"name": MODEL, "version": "1"}
            return (
                lambda: ask(own, "POST", "model-versions/create", new),
                lambda: ask(own, "GET", "model-versions/get", first),
            )

        connection = HTTPConnection(host)
        ask(connection, "POST", "registered-models/create", {"name": MODEL})

        def count() -> int:
            latest = {"name": MODEL}
            found = ask(connection, "POST", "registered-models/get-latest-versions", latest)
            return int(found["model_versions"][0]["version"])  # type: ignore[index]

        yield Peer(f"MLflow {version('mlflow-skinny')}", caller, count)


def rate(peer: Peer, place: int, seconds: float) -> tuple[float, int]:
    """How many calls all callers together got answered in a second, and how many in all."""
    done = [0] * CALLERS
    begin = threading.Barrier(CALLERS + 1)
    failures: list[BaseException] = []

    def calling(number: int) -> None:
        work = peer.caller()[place]
        begin.wait()
        until = time.perf_counter() + seconds
        try:
            while time.perf_counter() < until:
                work()
                done[number] += 1
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told by the thread that started this one
            failures.append(error)

    threads = [threading.Thread(target=calling, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    begin.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"bench: a call to {peer.name} failed: {failures[0]!r}")
    return sum(done) / (time.perf_counter() - begun), sum(done)


def measure(rounds: int, seconds: float) -> dict[str, object]:
    """The rates of each, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs")
        ours.mkdir()
        theirs.mkdir()
        with tallymark(ours) as first, mlflow(theirs) as second:
            peers = (first, second)
            rates: dict[str, dict[str, list[float]]] = {peer.name: {"create": [], "get": []} for peer in peers}
            created = dict.fromkeys(rates, 0)
            for _ in range(rounds):
                for peer in peers:
                    per_second, count = rate(peer, 0, seconds)
                    rates[peer.name]["create"].append(per_second)
                    created[peer.name] += count
                    rates[peer.name]["get"].append(rate(peer, 1, seconds)[0])
            for peer in peers:
                if peer.count() != created[peer.name]:
                    raise SystemExit(f"bench: {peer.name} answered {created[peer.name]} creates and has {peer.count()}")
    settings = (
        f"{rounds} rounds of {seconds:g} s; both on SQLite; MLflow over REST with one worker, Tallymark over gRPC."
    )
    return {"callers": CALLERS, "rates": rates, "settings": settings}


def main() -> None:
    """Measure, and add it to the report."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--into", type=Path, default=PUBLISHED, help="the folder of the report")
    given = parser.parse_args()
    found = measure(given.rounds, given.seconds)
    keep(given.into, peers=found)
    print(publish(given.into))


if __name__ == "__main__":
    main()
