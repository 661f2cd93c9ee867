"""Traces of runs: spans of runs and steps reach a collector, continue the caller's trace, and runs name their trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from operations.collector import Collector, attributes, collecting
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tallymark import Client
from tallymark.testing import Server

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PROGRAM = """
from tallymark import Model, pipeline, step

@step
def fit(depth):
    return depth

@step
def fail():
    raise ValueError("secret")

@pipeline(model=Model("churn"))
def training():
    fit(3)
    try:
        fail()
    except ValueError:
        pass

training()
"""


def run(program: str, collector: Collector, server: Server, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "TALLYMARK_URL": server.address,
        "TALLYMARK_OTEL": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}",
    }
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, env={**os.environ, **settings, **variables},
    )  # fmt: skip


def test_a_run_continues_the_trace_of_an_orchestrator(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Run, steps and the service's calls are one trace, which TRACEPARENT began and the run names as its parameter."""
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.address}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        with Server(tmp_path / "traced.db", ("--otel",)) as traced:
            done = run(PROGRAM, collector, traced, TRACEPARENT=f"00-{TRACE}-{PARENT}-01")
            assert (done.returncode, done.stderr) == (0, "")
            client = Client(traced.address)
            [found] = client.list_runs()
        [whole] = collector.named("run training")
        [fit] = collector.named("step fit")
        [failed] = collector.named("step fail")
        [started] = collector.named("tallymark.v1.RunRegistry/StartRun")
    assert whole.parent_span_id.hex() == PARENT
    assert {each.trace_id.hex() for each in (whole, fit, failed, started)} == {TRACE}
    assert {each.parent_span_id for each in (fit, failed, started)} == {whole.span_id}
    about = {"tallymark.run": found.id, "tallymark.model": "churn", "tallymark.project": "default"}
    assert attributes(whole) == about
    assert attributes(fit) | {"tallymark.step": "fit"} == {**about, "tallymark.step": "fit"}
    assert str(attributes(fit)["tallymark.step"]).startswith("fit-")
    assert (failed.status.code, attributes(failed)["error.type"]) == (Status.STATUS_CODE_ERROR, "ValueError")
    assert "secret" not in str(failed)
    assert found.parameters == {"otel.trace_id": TRACE}


def test_the_spans_are_those_of_the_program(server: Server) -> None:
    """A program that has set a provider of its own gets the spans there, within its own span, from async code too."""
    program = """
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import tallymark

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

@tallymark.step
def rows():
    yield trace.get_current_span().name
    yield 2

async def main():
    with trace.get_tracer("mine").start_as_current_span("mine"):
        async with tallymark.run(name="nightly"):
            print(*rows())
        print(trace.get_current_span().name)

asyncio.run(main())
run = tallymark.run(name="later").start()
run.finish(RuntimeError("no"))
spans = {span.name: span for span in exporter.get_finished_spans()}
names = {span.context.span_id: span.name for span in spans.values()}
print({name: names.get(span.parent.span_id) if span.parent else None for name, span in spans.items()})
print(spans["run later"].status.status_code.name, trace.get_current_span().get_span_context().is_valid)
"""
    with collecting() as collector:
        done = run(program, collector, server)
    assert (done.returncode, done.stderr) == (0, "")
    *rows, spans, last = done.stdout.splitlines()
    assert rows == ["run nightly 2", "mine"]
    assert spans == str({"step rows": "run nightly", "run nightly": "mine", "mine": None, "run later": None})
    assert last == "ERROR False"


def test_a_run_that_cannot_start_ends_its_span(server: Server) -> None:
    """A run that is refused leaves no span open, and the code after it belongs to no span."""
    program = """
import tallymark
from opentelemetry import trace
try:
    tallymark.run(model=tallymark.Model("no/name")).start()
except tallymark.TallymarkError as error:
    print(type(error).__name__, trace.get_current_span().get_span_context().is_valid)
"""
    with collecting() as collector:
        done = run(program, collector, server)
        [span] = collector.wait(bool)
    assert done.stdout == "InvalidName False\n", done.stderr
    assert span.status.code == Status.STATUS_CODE_ERROR


def test_a_missing_library_is_reported_before_the_run_starts(server: Server) -> None:
    """The message says what to install."""
    hidden = "import sys; sys.modules['opentelemetry'] = None\n"
    with collecting() as collector:
        done = run(f"{hidden}import tallymark\ntallymark.run().start()", collector, server)
    assert done.returncode == 1
    assert "pip install 'tallymark[otel]'" in done.stderr.splitlines()[-1]
    assert list(Client(server.address).list_runs()) == []
