"""Readiness: while the storage takes no changes, health says so by every door, and liveness stays."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_calls import refused
from grpc_health.v1 import health_pb2, health_pb2_grpc
from operations.conftest import Observed, page

from faults.strace import failing_calls
from tallymark_server.availability import Availability
from tallymark_server.domain.errors import StorageUnavailable

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def test_a_service_whose_disk_fails_is_alive_but_not_ready(observed: Observed) -> None:
    """Health, its watchers and /readyz report the failure and its end by themselves; liveness and /healthz do not."""
    observed.calls.create_model("churn")
    stub = health_pb2_grpc.HealthStub(observed.calls.channel)
    names = ["", "tallymark.v1.ModelRegistry", "tallymark.v1.RunRegistry", "tallymark.v1.EventLog"]

    def health() -> dict[str, int]:
        return {
            name: stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=30).status
            for name in (*names, "liveness")
        }

    roots = (observed.root, observed.server.dashboard.rstrip("/"))

    def probes() -> list[tuple[int, int]]:
        return [(page(f"{root}/healthz").status, page(f"{root}/readyz").status) for root in roots]

    watch = stub.Watch(health_pb2.HealthCheckRequest(service="tallymark.v1.ModelRegistry"), timeout=120)
    assert next(watch).status == SERVING
    assert probes() == [(200, 200), (200, 200)]
    with failing_calls(observed.server, "pwrite64:error=ENOSPC"):
        with refused("STORAGE_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE):
            observed.calls.create_version("churn")
        assert next(watch).status == NOT_SERVING
        assert health() == {**dict.fromkeys(names, NOT_SERVING), "liveness": SERVING}
        assert probes() == [(200, 503), (200, 503)]
        assert observed.scrape().value("tallymark_storage_available") == 0
        assert doctor(observed) == (8, "takes no changes now")
    # Nobody writes meanwhile: the service looks for itself.
    assert next(watch).status == SERVING
    assert health() == dict.fromkeys((*names, "liveness"), SERVING)
    assert probes() == [(200, 200), (200, 200)]
    assert observed.scrape().value("tallymark_storage_available") == 1
    assert doctor(observed)[0] == 0
    watch.cancel()


def doctor(observed: Observed) -> tuple[int, str]:
    """Return the exit code of `tallymark doctor`, and what it says of the service."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("tallymark"),
        "--url",
        observed.server.address,
        "doctor",
        "-o",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)[-1]["value"]


async def test_a_lost_storage_is_tried_again_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """While checks fail the storage stays lost; the first that succeeds regains it. Each change is reported once."""
    monkeypatch.setattr("tallymark_server.availability.RETRY", 0)
    availability = Availability()
    heard: list[str] = []
    regained = asyncio.Event()
    checks = 0

    def listen() -> None:
        heard.append(availability.problem)
        if not availability.problem:
            regained.set()

    async def check() -> None:
        nonlocal checks
        checks += 1
        if checks < 3:
            raise StorageUnavailable("still full")

    availability.listen(listen)
    watching = asyncio.create_task(availability.watch_over(check))
    availability.lose("full")
    availability.lose("full again")
    async with asyncio.timeout(30):
        await regained.wait()
    watching.cancel()
    assert (heard, checks) == (["full", ""], 3)
