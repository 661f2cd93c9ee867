"""Requests over plain HTTP, as curl makes them, and what the tests of the dashboard put into the registry."""

from __future__ import annotations

import json
import re
import selectors
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from grpc_calls import PROJECT, Calls

from tallymark.v1 import artifact_pb2, metric_pb2, model_pb2, model_registry_pb2, run_pb2, run_registry_pb2

# In seconds; the machine may be busy with other tests.
TIMEOUT = 120
FORM = "application/x-www-form-urlencoded"
HOSTILE = """<script>document.title = "stolen"</script><img src=x onerror="alert(1)">"'{{ 7 * 7 }}&amp;"""
DATA, WEIGHTS = f"sha256:{'d' * 64}", f"sha256:{'e' * 64}"
# The part of it that a name can have: without `/ @ = :`.
HOSTILE_NAME = """<b onclick>"'&lt;{{ 7 * 7 }}.."""


class Answer:
    """A response."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def connected(url: str) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
    try:
        yield connection
    finally:
        connection.close()


def ask(url: str, path: str, method: str = "GET", body: Any = b"", **headers: str) -> Answer:
    """Return the response to one request; `_` in the name of a header means `-`."""
    with connected(url) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=named)
        return Answer(connection.getresponse())


def call(url: str, method: str, request: dict[str, Any], **headers: str) -> Answer:
    """Return the response of a method of the contract, as JSON."""
    headers = {"content_type": "application/json", **headers}
    return ask(url, f"/tallymark.v1.{method}", "POST", json.dumps(request), **headers)


@contextmanager
def stream(url: str, path: str, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield the events of a stream, each with its `id` when it has one."""
    with connected(url) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response)


def events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    identity = ""
    for line in response:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "id":
            identity = value
        elif field == "data":
            yield {**json.loads(value), "id": identity}


def number(value: float) -> model_pb2.MetadataValue:
    return model_pb2.MetadataValue(number=value)


def furnished(calls: Calls, versions: int = 12) -> None:
    """Create the model `churn` with so many versions: 3 is in production, 4 in staging, and 5 is `champion`."""
    calls.create_model("churn", description="Who will **leave**", tags=["growth"])
    for index in range(1, versions + 1):
        name = f"1.{index}.0" if index % 5 == 0 else ""
        calls.create_version("churn", name, metadata={"auc": number(0.7 + index / 100)}, tags=["weekly"])
    calls.set_stage("churn", 2, model_pb2.STAGE_PRODUCTION, reason="first")
    calls.set_stage("churn", 3, model_pb2.STAGE_PRODUCTION, reason="better", force=True)
    calls.set_stage("churn", 4, model_pb2.STAGE_STAGING)
    calls.set_alias("churn", 5, "champion")


def link(calls: Calls, model: str, version: str | int, name: str, **fields: Any) -> artifact_pb2.Artifact:
    request = artifact_pb2.LinkArtifactRequest(
        parent=f"{PROJECT}/models/{model}/versions/{version}",
        artifact_id=name,
        artifact=artifact_pb2.Artifact(**fields),
    )
    return calls.models.LinkArtifact(request)


def measure(calls: Calls, model: str, version: str | int, key: str, values: Sequence[float]) -> None:
    """Log the values as points of the metric, at steps 0, 10, 20 ..."""
    points = [metric_pb2.MetricPoint(key=key, step=10 * at, value=value) for at, value in enumerate(values)]
    name = f"{PROJECT}/models/{model}/versions/{version}"
    calls.models.LogMetadata(model_registry_pb2.LogMetadataRequest(name=name, points=points))


def take_step(calls: Calls, run: str, step: str, state: model_pb2.RunState.ValueType, error: str = "") -> None:
    """Start and finish a step of the run, with that name."""
    identity = re.sub(r"[^a-z]", "-", step)[:99]
    calls.runs.StartStep(
        run_registry_pb2.StartStepRequest(
            parent=f"{PROJECT}/runs/{run}", step_id=identity, step=run_pb2.RunStep(display_name=step)
        )
    )
    name = f"{PROJECT}/runs/{run}/steps/{identity}"
    calls.runs.FinishStep(run_registry_pb2.FinishStepRequest(name=name, state=state, error=error))


def traced(calls: Calls) -> None:
    """Add to `churn` a version that a run created from `features` No. 1, with steps, artifacts and a metric by step."""
    calls.create_model("features")
    calls.create_version("features", "w46")
    link(
        calls,
        "features",
        1,
        "customers",
        uri="s3://lake/w46.parquet",
        digest=DATA,
        format="parquet",
        size_bytes=300_000_000,
    )
    parameters = {"rounds": number(400)}
    run = run_pb2.Run(pipeline="training", host="gpu-03", user="ml", commit="c0ffee" * 6, parameters=parameters)
    config = model_pb2.ModelConfig(model="churn")
    made = calls.runs.StartRun(
        run_registry_pb2.StartRunRequest(parent=PROJECT, run_id="train-7", run=run, config=config)
    ).model_version.number
    calls.ensure("features", version="1", run="train-7")
    take_step(calls, "train-7", "load", model_pb2.RUN_STATE_SUCCEEDED)
    take_step(calls, "train-7", "fit", model_pb2.RUN_STATE_FAILED, "out of memory")
    link(calls, "churn", made, "customers", uri="s3://lake/w46.parquet", digest=DATA, format="parquet",
         size_bytes=300_000_000, role=artifact_pb2.ARTIFACT_ROLE_USED)  # fmt: skip
    link(calls, "churn", made, "classifier", uri="s3://models/7.skops", digest=WEIGHTS, format="skops",
         size_bytes=1_482_311, type=artifact_pb2.ARTIFACT_TYPE_MODEL)  # fmt: skip
    measure(calls, "churn", made, "loss", [0.9, 0.5, 0.4])
    measure(calls, "churn", 3, "loss", [0.8, 0.6])


@contextmanager
def held_open(url: str, path: str, many: int) -> Iterator[None]:
    """Hold so many streams open; a thread reads and discards what they send."""
    host = urlsplit(url).netloc
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    name, _, port = host.partition(":")
    with selectors.DefaultSelector() as readable, ExitStack() as stack:
        for _ in range(many):
            opened = stack.enter_context(socket.create_connection((name, int(port)), timeout=TIMEOUT))
            opened.sendall(request)
            # The line that begins every stream: from then on it is one that is open.
            begun = b""
            while b"retry:" not in begun:
                begun += opened.recv(4096)
            readable.register(opened, selectors.EVENT_READ)
        ended = threading.Event()

        def drain() -> None:
            while not ended.is_set():
                for key, _ in readable.select(0.1):
                    key.fileobj.recv(65536)  # type: ignore[union-attr]  # only sockets are registered

        thread = threading.Thread(target=drain)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
