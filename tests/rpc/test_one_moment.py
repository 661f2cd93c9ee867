"""Every response is one committed state: while models and holders come and go, no response combines two states."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
from grpc_calls import DEADLINE, PROJECT, Calls, refusal_of

from tallymark.testing import Server
from tallymark.v1 import (
    artifact_pb2,
    lineage_pb2,
    metric_pb2,
    model_pb2,
    model_registry_pb2,
    run_registry_pb2,
)
from tallymark.v1.model_pb2 import STAGE_PRODUCTION

MODEL = f"{PROJECT}/models/churn"
PRODUCTION = f"{MODEL}/versions/@production"
READERS = 12
# For how many seconds the readers read; `make soak` takes longer.
SECONDS = float(os.environ.get("TALLYMARK_TEST_RACE", "2"))
OK = "OK"


def test_a_model_that_comes_and_goes_is_there_as_a_whole_or_not_at_all(server: Server) -> None:
    """A read returns the version in production, or MODEL_NOT_FOUND, but never that production is empty."""
    with grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        prepared(calls)
        delete = model_registry_pb2.DeleteModelRequest(name=MODEL, force=True)
        undelete = model_registry_pb2.UndeleteModelRequest(name=MODEL)

        def change() -> None:
            calls.models.DeleteModel(delete, timeout=DEADLINE)
            calls.models.UndeleteModel(undelete, timeout=DEADLINE)

        found = raced(server, change, questions())
    for name, answers in found.items():
        assert set(answers) <= {OK, "MODEL_NOT_FOUND"}, (name, answers)
        assert answers[OK], (name, answers)
    assert any(answers["MODEL_NOT_FOUND"] for answers in found.values()), "nothing was deleted meanwhile"


def test_what_the_holder_has_is_read_of_one_holder(server: Server) -> None:
    """While two versions alternate in production, a read returns the artifact, point and run of one of them only.

    A version's artifacts are linked just before it enters production, and unlinked after it has left.
    """
    with grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        prepared(calls)
        calls.create_version("churn")
        number = 1

        def change() -> None:
            nonlocal number
            before, number = number, 3 - number
            link(calls, number)
            calls.set_stage("churn", number, STAGE_PRODUCTION, force=True)
            unlink = artifact_pb2.UnlinkArtifactRequest(name=f"{MODEL}/versions/{before}/artifacts/clf")
            calls.models.UnlinkArtifact(unlink, timeout=DEADLINE)

        found = raced(server, change, {name: ask for name, ask in questions().items() if "Artifact" in name})
    for name, answers in found.items():
        assert set(answers) == {OK}, (name, answers)


def prepared(calls: Calls) -> None:
    """Create a version in production that has one of everything that can be read of a version."""
    calls.start_run("r1", model_pb2.ModelConfig(model="churn"))
    calls.finish_run("r1", model_pb2.RUN_STATE_SUCCEEDED)
    calls.set_stage("churn", 1, STAGE_PRODUCTION)
    link(calls, 1)
    point = metric_pb2.MetricPoint(key="loss", step=1, value=0.5)
    log = model_registry_pb2.LogMetadataRequest(name=f"{MODEL}/versions/1", points=[point])
    calls.models.LogMetadata(log, timeout=DEADLINE)


def link(calls: Calls, number: int) -> None:
    artifact = artifact_pb2.Artifact(uri=f"s3://bucket/{number}", type=artifact_pb2.ARTIFACT_TYPE_MODEL)
    request = artifact_pb2.LinkArtifactRequest(
        parent=f"{MODEL}/versions/{number}", artifact_id="clf", artifact=artifact
    )
    calls.models.LinkArtifact(request, timeout=DEADLINE)


def questions() -> dict[str, Callable[[Calls], Any]]:
    """Return each read of the version in production; it raises IndexError if something that must exist is missing."""
    m = model_registry_pb2
    by_method: dict[str, tuple[Any, Callable[[Any], Any]]] = {
        "GetModel": (m.GetModelRequest(name=MODEL), lambda reply: reply.production_number),
        "GetModelVersion": (m.GetModelVersionRequest(name=PRODUCTION), lambda reply: reply.number),
        "ListModelVersions": (m.ListModelVersionsRequest(parent=MODEL), lambda reply: reply.model_versions[0]),
        "GetArtifact": (
            artifact_pb2.GetArtifactRequest(name=f"{PRODUCTION}/artifacts/clf"),
            lambda reply: reply.uri,
        ),
        "ListArtifacts": (artifact_pb2.ListArtifactsRequest(parent=PRODUCTION), lambda reply: reply.artifacts[0]),
        "ListMetricPoints": (metric_pb2.ListMetricPointsRequest(parent=PRODUCTION), lambda reply: reply.points[0]),
        "QueryLineage": (lineage_pb2.QueryLineageRequest(name=PRODUCTION), lambda reply: reply.nodes[0]),
        "ListRuns": (
            run_registry_pb2.ListRunsRequest(parent=PROJECT, model_version=PRODUCTION),
            lambda reply: reply.runs[0],
        ),
    }

    def question(method: str) -> Callable[[Calls], Any]:
        request, part = by_method[method]
        return lambda calls: part(getattr(calls.runs if method == "ListRuns" else calls.models, method)(request))

    return {method: question(method) for method in by_method}


def raced(
    server: Server, change: Callable[[], None], questions: dict[str, Callable[[Calls], Any]]
) -> dict[str, Counter[str]]:
    """Return the results of each question, from many readers while changes go on."""
    found = {name: Counter[str]() for name in questions}
    ended, failures = threading.Event(), list[BaseException]()

    def read(place: int) -> None:
        try:
            with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                calls, names = Calls(channel), list(questions)
                while not ended.is_set():
                    place += 1
                    name = names[place % len(names)]
                    found[name][answered(partial(questions[name], calls))] += 1
        except BaseException as failure:  # noqa: BLE001 - shown by the test
            failures.append(failure)

    with all_run([threading.Thread(target=read, args=(place,)) for place in range(READERS)], ended):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until or not all(answers[OK] for answers in found.values()):
            change()
            assert not failures, failures
            assert time.monotonic() < until + 60, found
    assert not failures, failures
    return found


def answered(question: Callable[[], Any]) -> str:
    try:
        assert question()
    except grpc.RpcError as error:
        return refusal_of(error).reason
    return OK


@contextmanager
def all_run(threads: list[threading.Thread], ended: threading.Event) -> Iterator[None]:
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
