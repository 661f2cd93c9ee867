"""Traces: real spans of a real service reach a collector, continue the trace of the caller, and mark the log."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_calls import PROJECT, refused
from operations.collector import Collector, attributes, collecting
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tallymark.testing import Server
from tallymark.v1 import model_pb2, model_registry_pb2
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
METADATA = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector. All processes of the test send their spans to it at once."""
    with collecting() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{running.address}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        yield running


@pytest.fixture(params=[(), ("--metrics", "127.0.0.1:0")], ids=["traces", "traces and metrics"])
def traced(request: pytest.FixtureRequest, collector: Collector, tmp_path: Path) -> Iterator[Server]:
    """A service that sends traces, alone or beside metrics."""
    options = ("--otel", "--log-format", "json", "--log-level", "debug", *request.param)
    with Server(tmp_path / "tallymark.db", options) as server:
        yield server


def create_model(stub: ModelRegistryStub, request_id: str = "") -> model_pb2.Model:
    request = model_registry_pb2.CreateModelRequest(parent=PROJECT, model_id="churn", request_id=request_id)
    return stub.CreateModel(request, timeout=30, metadata=METADATA)


def test_a_call_continues_the_trace_of_its_caller(collector: Collector, traced: Server) -> None:
    """The span of a call is a child of the caller's, and the batch that commits its change has a link to it."""
    with grpc.insecure_channel(traced.address) as channel:
        stub = ModelRegistryStub(channel)
        create_model(stub)
        with refused("MODEL_EXISTS"):
            create_model(stub)
    created, again = collector.named("tallymark.v1.ModelRegistry/CreateModel", 2)
    assert (created.trace_id.hex(), created.parent_span_id.hex()) == (TRACE, PARENT)
    assert created.kind == Span.SPAN_KIND_SERVER
    assert attributes(created)["rpc.method"] == "CreateModel"
    assert [attributes(each)["rpc.response.status_code"] for each in (created, again)] == ["OK", "ALREADY_EXISTS"]
    assert again.status.code == Status.STATUS_CODE_UNSET, "the caller's fault is no error of the service"
    batches = collector.named("batch", 2)
    assert attributes(batches[0])["tallymark.batch.commands"] == 1
    assert [link.span_id for batch in batches for link in batch.links] == [created.span_id, again.span_id]
    commits = collector.named("commit", 2)
    assert {commit.parent_span_id for commit in commits} >= {batch.span_id for batch in batches}


def test_lines_of_the_log_name_their_trace_and_request(collector: Collector, traced: Server) -> None:
    """What a call logs has the ids of its trace, its span and its request; lines of no call have none."""
    with grpc.insecure_channel(traced.address) as channel:
        stub = ModelRegistryStub(channel)
        create_model(stub, "first")
        with refused("MODEL_EXISTS"):
            create_model(stub, "second")
    _, again = collector.named("tallymark.v1.ModelRegistry/CreateModel", 2)
    lines = [json.loads(line) for line in traced.log_file.read_text().splitlines()]
    [line] = [line for line in lines if line["event"] == "refused"]
    assert (line["trace_id"], line["span_id"], line["request_id"]) == (TRACE, again.span_id.hex(), "second")
    assert all("trace_id" not in line for line in lines if line["event"] == "serving")


def test_the_last_spans_are_sent_when_the_service_stops(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans that wait to be sent are not lost when the service stops."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    with Server(tmp_path / "tallymark.db", ("--otel",)) as server, grpc.insecure_channel(server.address) as channel:
        create_model(ModelRegistryStub(channel))
    assert collector.named("tallymark.v1.ModelRegistry/CreateModel")


def test_without_the_flag_no_library_is_loaded(tmp_path: Path) -> None:
    """A service without `--otel`, and a program that records a run, load nothing of OpenTelemetry."""
    program = (
        "import sys, tallymark, tallymark_server.app\n"
        "with tallymark.run(): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    with Server(tmp_path / "tallymark.db") as server:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={"TALLYMARK_URL": server.address, "HOME": str(tmp_path), "PATH": ""},
        )  # fmt: skip
    assert done.stdout == "[]\n"
