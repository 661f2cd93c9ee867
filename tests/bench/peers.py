"""`make bench-peers`: measure the same work with Tallymark, MLflow and ZenML, in alternating rounds."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from importers.mlflow_server import mlflow_server

from bench.report import PUBLISHED, publish, save
from tallymark import Client
from tallymark.testing import Server

CALLERS = 8
Work = Callable[[], object]
MODEL = "bench"
ZENML_VERSION = "0.98.0"
ZENML = Path(__file__).parents[2] / f".cache/peers/zenml-{ZENML_VERSION}"


class Peer(NamedTuple):
    """A registry: functions that measure calls per second (with their number) and that count its versions."""

    name: str
    rate: Callable[[str, float], tuple[float, int]]
    created: Callable[[], int]


@contextmanager
def tallymark(folder: Path) -> Iterator[Peer]:
    """Start Tallymark with its defaults."""
    with Server(folder / "tallymark.db") as server, Client(server.address) as client:
        client.create_model(MODEL)

        def caller() -> dict[str, Work]:
            own = Client(server.address)
            return {"create": lambda: own.create_version(MODEL), "get": lambda: own.get_version(f"{MODEL}/1")}

        yield Peer("Tallymark", partial(threaded, caller), lambda: client.get_model(MODEL).last_number)


@contextmanager
def mlflow(folder: Path) -> Iterator[Peer]:
    """Start MLflow's own server on SQLite, and call it over REST on persistent connections."""
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
                raise SystemExit(f"bench: MLflow returned status {response.status}: {found}")
            return found

        def caller() -> dict[str, Work]:
            own = HTTPConnection(host)
            new, first = {"name": MODEL, "source": "s3://bucket/model"}, {"name": MODEL, "version": "1"}
            return {
                "create": lambda: ask(own, "POST", "model-versions/create", new),
                "get": lambda: ask(own, "GET", "model-versions/get", first),
            }

        connection = HTTPConnection(host)
        ask(connection, "POST", "registered-models/create", {"name": MODEL})

        def count() -> int:
            latest = {"name": MODEL}
            found = ask(connection, "POST", "registered-models/get-latest-versions", latest)
            return int(found["model_versions"][0]["version"])  # type: ignore[index]  # the answer is JSON of a known shape

        yield Peer(f"MLflow {version('mlflow-skinny')}, its server over REST", partial(threaded, caller), count)


@contextmanager
def zenml(folder: Path) -> Iterator[Peer]:
    """Use ZenML's local store through its own client, in a separate environment that is created if it is missing."""
    python = ZENML / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ZENML)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"zenml[local]=={ZENML_VERSION}"], check=True)
    environment = {
        **os.environ,
        "ZENML_CONFIG_PATH": str(folder),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "ERROR",
    }
    environment.pop("PYTHONPATH", None)
    work = Path(__file__).with_name("zenml_work.py")

    def run(kind: str, seconds: float) -> dict[str, float]:
        command = [str(python), "-W", "ignore", str(work), kind, str(CALLERS), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
        if done.returncode != 0:
            raise SystemExit(f"bench: the ZenML process failed: {done.stderr}")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    def rate(kind: str, seconds: float) -> tuple[float, int]:
        found = run(kind, seconds)
        return found["per_second"], int(found["count"])

    yield Peer(f"ZenML {ZENML_VERSION}, its local store in process", rate, lambda: int(run("count", 0)["count"]))


def threaded(caller: Callable[[], dict[str, Work]], kind: str, seconds: float) -> tuple[float, int]:
    """Return the calls per second of all callers together, and the number of calls."""
    done = [0] * CALLERS
    begin = threading.Barrier(CALLERS + 1)
    failures: list[BaseException] = []

    def calling(number: int) -> None:
        work = caller()[kind]
        begin.wait()
        until = time.perf_counter() + seconds
        try:
            while time.perf_counter() < until:
                work()
                done[number] += 1
        except (Exception, SystemExit) as error:  # noqa: BLE001 - reported by the thread that started this one
            failures.append(error)

    threads = [threading.Thread(target=calling, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    begin.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"bench: a call failed: {failures[0]!r}")
    return sum(done) / (time.perf_counter() - begun), sum(done)


def measure(rounds: int, seconds: float) -> dict[str, object]:
    """Return the rates of each registry, measured in alternating rounds."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers = []
        for place, begin in enumerate((tallymark, mlflow, zenml)):
            folder = root / str(place)
            folder.mkdir()
            peers.append(stack.enter_context(begin(folder)))
        rates: dict[str, dict[str, list[float]]] = {peer.name: {"create": [], "get": []} for peer in peers}
        created = dict.fromkeys(rates, 0)
        for _ in range(rounds):
            for peer in peers:
                per_second, count = peer.rate("create", seconds)
                rates[peer.name]["create"].append(per_second)
                created[peer.name] += count
                rates[peer.name]["get"].append(peer.rate("get", seconds)[0])
        for peer in peers:
            if peer.created() != created[peer.name]:
                raise SystemExit(
                    f"bench: {peer.name} acknowledged {created[peer.name]} creates, but has {peer.created()} versions"
                )
    settings = f"{rounds} rounds of {seconds:g} s; all on SQLite; MLflow with one worker."
    return {"callers": CALLERS, "rates": rates, "settings": settings}


def main() -> None:
    """Measure, and add the figures to the report."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--into", type=Path, default=PUBLISHED, help="the folder of the report")
    given = parser.parse_args()
    found = measure(given.rounds, given.seconds)
    save(given.into, peers=found)
    print(publish(given.into))


if __name__ == "__main__":
    main()
