"""Every response is bounded: a client with the limits of gRPC receives it, and can request what is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from grpc_calls import DEADLINE, PROJECT, Calls

from tallymark.v1.event_log_pb2 import ListEventsRequest, WatchRequest
from tallymark.v1.lineage_pb2 import QueryLineageRequest
from tallymark.v1.model_pb2 import MetadataList, MetadataValue, ModelConfig, ModelVersion
from tallymark.v1.model_registry_pb2 import BatchCreateModelVersionsRequest, ListModelsRequest, ListModelVersionsRequest
from tallymark.v1.run_pb2 import Run, RunStep
from tallymark.v1.run_registry_pb2 import ListRunsRequest, ListStepsRequest, StartRunRequest, StartStepRequest

LARGEST = 4 * 1024 * 1024
# A number takes four bytes of JSON, and thirteen of a message.
NUMBERS = MetadataValue(list=MetadataList(values=[MetadataValue(number=1)] * 16_000))
TEXT = "é" * 30_000
COUNT = 10

ListRequest = ListModelsRequest | ListModelVersionsRequest | ListRunsRequest | ListStepsRequest


@pytest.fixture
def large(calls: Calls) -> Calls:
    """Create models, versions, a run and its steps, all of the largest size that is allowed."""
    for number in range(COUNT):
        calls.create_model(f"model{number:02}", description=TEXT, metadata={"a": NUMBERS})
    for _ in range(COUNT):
        calls.create_version("model00", description=TEXT, metadata={"a": NUMBERS})
    for number in range(COUNT):
        run = Run(pipeline=TEXT, parameters={"a": NUMBERS})
        calls.runs.StartRun(StartRunRequest(parent=PROJECT, run_id=f"r{number}", run=run), timeout=DEADLINE)
        step = RunStep(display_name=TEXT, parameters={"a": NUMBERS})
        calls.runs.StartStep(
            StartStepRequest(parent=f"{PROJECT}/runs/r0", step_id=f"s{number}", step=step), timeout=DEADLINE
        )
    return calls


def pages(call: Callable[..., Any], request: ListRequest, field: str) -> list[list[Any]]:
    """Yield the items of each page."""
    found = []
    while True:
        reply = call(request, timeout=DEADLINE)
        assert reply.ByteSize() < LARGEST
        found.append(list(getattr(reply, field)))
        if not reply.next_page_token:
            return found
        request.page_token = reply.next_page_token


def test_every_list_is_cut_so_that_clients_can_receive_it(large: Calls) -> None:
    """A list of the largest resources comes in several pages, each less than 4 MiB, and no item is lost."""
    lists: tuple[tuple[Callable[..., Any], ListRequest, str], ...] = (
        (large.models.ListModels, ListModelsRequest(parent=PROJECT, page_size=1000), "models"),
        (
            large.models.ListModelVersions,
            ListModelVersionsRequest(parent=f"{PROJECT}/models/model00", page_size=1000),
            "model_versions",
        ),
        (large.runs.ListRuns, ListRunsRequest(parent=PROJECT, page_size=1000), "runs"),
        (large.runs.ListSteps, ListStepsRequest(parent=f"{PROJECT}/runs/r0", page_size=1000), "steps"),
    )
    for call, request, field in lists:
        found = pages(call, request, field)
        assert len(found) > 1, field
        names = [item.name for page in found for item in page]
        assert len(names) == len(set(names)) == COUNT, field


def test_events_are_cut_so_that_clients_can_receive_them(large: Calls) -> None:
    """Listing and watching from the first event on return every event, and no message is larger than clients accept."""
    last = large.events(after=0)[-1].revision
    seen = 0
    while seen < 4 * COUNT:
        reply = large.log.ListEvents(
            ListEventsRequest(parent=PROJECT, after_revision=seen, page_size=1000), timeout=DEADLINE
        )
        assert 0 < reply.ByteSize() < LARGEST
        assert [event.revision for event in reply.events] == list(range(seen + 1, seen + 1 + len(reply.events)))
        seen = reply.events[-1].revision
    assert last < seen
    watched: list[int] = []
    for message in large.log.Watch(WatchRequest(parent=PROJECT, after_revision=0), timeout=DEADLINE):
        assert message.ByteSize() < LARGEST
        watched += [event.revision for event in message.events]
        if len(watched) == seen:
            break
    assert watched == list(range(1, seen + 1))


def test_lineage_has_no_metadata(calls: Calls) -> None:
    """Lineage returns versions and runs without their large fields, so that many nodes are one small response."""
    calls.start_run("train", ModelConfig(model="seed"))
    for number in range(30):
        new = ModelVersion(description=TEXT, metadata={"a": NUMBERS}, tags=["kept"])
        calls.create_model(f"m{number}")
        batch = BatchCreateModelVersionsRequest(parent=f"{PROJECT}/models/m{number}", model_versions=[new])
        calls.models.BatchCreateModelVersions(batch, timeout=DEADLINE)
        calls.ensure(f"m{number}", "1", run="train")
    request = QueryLineageRequest(name=f"{PROJECT}/runs/train", depth=1)
    reply = calls.models.QueryLineage(request, timeout=DEADLINE)
    assert (len(reply.nodes), reply.truncated) == (32, False)
    used = [node.model_version for node in reply.nodes if "/models/m" in node.id]
    assert {(found.description, len(found.metadata), tuple(found.tags)) for found in used} == {("", 0, ("kept",))}
    assert reply.ByteSize() < 100_000


def test_lineage_is_cut_where_clients_could_not_receive_it(calls: Calls) -> None:
    """Nodes that are large all the same are returned as far as they fit, the nearest first, with `truncated` set."""
    calls.create_model("base")
    tags = sorted(f"{number:02}" + "x" * 250 for number in range(100))
    calls.start_run("train")
    for number in range(60):
        calls.create_version("base", tags=tags)
        calls.ensure("base", str(number + 1), run="train")
    request = QueryLineageRequest(name=f"{PROJECT}/runs/train", depth=1)
    reply = calls.models.QueryLineage(request, timeout=DEADLINE)
    assert reply.truncated
    assert reply.nodes[0].id == f"{PROJECT}/runs/train"
    assert 10 < len(reply.nodes) < 61
    assert {edge.source for edge in reply.edges} <= {node.id for node in reply.nodes}
    assert reply.ByteSize() < LARGEST
