"""Limits, quotas and the access log of a server: over gRPC, over HTTP and for pages."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from first_tokens import client_with, first_token
from google.rpc.error_details_pb2 import RetryInfo
from grpc_calls import PROJECT, Calls, refused
from web.http_client import ask, call

from tallymark import AsyncClient, Client, errors
from tallymark.cli import main
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2

# Looks like a token, and is searched for in the log.
PLANTED = "tmk_planted00_3q9dJ2mLx0Zc8Rk5Vb7Tn1Wy4Hs6Pf"


@contextmanager
def serving(folder: Path, settings: str = "") -> Iterator[Server]:
    """Serve with these settings, a dashboard and the access log `access.log`."""
    (folder / "settings.toml").write_text(settings)
    options = ["--config", str(folder / "settings.toml"), "--access-log", str(folder / "access.log")]
    with Server(folder / "tallymark.db", options, http="127.0.0.1:0") as server:
        yield server


def logged(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the log of a server that has ended."""
    return [json.loads(line) for line in (folder / "access.log").read_text().splitlines()]


def test_calls_and_pages_are_logged_with_who_what_and_how_they_ended(tmp_path: Path) -> None:
    """Reads, changes, refusals and pages have a line each, over whichever way they came, and no line has a secret."""
    with serving(tmp_path) as server, grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        calls.create_model("churn")
        with refused("MODEL_NOT_FOUND"):
            calls.model("fraud")
        call(
            server.dashboard,
            "ModelRegistry/GetModel",
            {"name": f"{PROJECT}/models/churn"},
            authorization=f"Bearer {PLANTED}",
        )
        ask(server.dashboard, f"/models/churn?token={PLANTED}", cookie=f"tallymark_session={PLANTED}")
        ask(server.dashboard, "/models/fraud")
        list(calls.log.Export(event_log_pb2.ExportRequest(parent=PROJECT)))
    lines = logged(tmp_path)
    assert [(line["over"], line["method"], line["resource"], line["code"]) for line in lines] == [
        ("grpc", "CreateModel", PROJECT, "OK"),
        ("grpc", "GetModel", f"{PROJECT}/models/fraud", "NOT_FOUND"),
        ("http", "GetModel", f"{PROJECT}/models/churn", "OK"),
        ("http", "GET", "/models/churn", "OK"),
        ("http", "GET", "/models/fraud", "404"),
        ("grpc", "Export", PROJECT, "OK"),
    ]
    assert {line["caller"] for line in lines} == {"anonymous"}
    assert all(line["peer"].rpartition(":")[0].endswith("127.0.0.1") and line["ms"] > 0 for line in lines)
    assert PLANTED not in (tmp_path / "access.log").read_text()


def test_a_caller_beyond_its_rate_is_told_when_to_come_again(tmp_path: Path) -> None:
    """The refusal has the delay, as RetryInfo over gRPC and as a header over HTTP, and the log has its reason."""
    with serving(tmp_path, "[limits]\nrate = 0.01\n") as server, grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        calls.create_model("churn")
        with refused("CALLER_LIMIT_EXCEEDED", grpc.StatusCode.RESOURCE_EXHAUSTED) as refusal:
            calls.model("churn")
        retry = RetryInfo()
        assert refusal.status.details[1].Unpack(retry)
        assert 0 < retry.retry_delay.ToMilliseconds() <= 100_000
        answer = call(server.dashboard, "ModelRegistry/GetModel", {"name": f"{PROJECT}/models/churn"})
        page = ask(server.dashboard, "/models/churn")
    assert (answer.status, answer.json["code"], page.status) == (429, "resource_exhausted", 429)
    assert 0 < int(answer.headers["retry-after"]) <= 100
    assert [(line["code"], line.get("reason")) for line in logged(tmp_path)] == [
        ("OK", None),
        *[("RESOURCE_EXHAUSTED", "CALLER_LIMIT_EXCEEDED")] * 3,
    ]


def test_the_sdk_comes_again_when_it_may(tmp_path: Path) -> None:
    """Both clients wait as long as the service says, within their timeout, and raise once that is too short."""
    with serving(tmp_path, "[limits]\nrate = 20\nburst = 1\n") as server:
        began = time.monotonic()
        with Client(server.address) as client:
            client.create_model("churn")
            for _ in range(4):
                client.get_model("churn")

        async def read() -> None:
            async with AsyncClient(server.address) as client:
                for _ in range(4):
                    await client.get_model("churn")

        asyncio.run(read())
        assert time.monotonic() - began >= 8 / 20
    (tmp_path / "slow").mkdir()
    with serving(tmp_path / "slow", "[limits]\nrate = 0.01\n") as server, Client(server.address, timeout=5) as client:
        client.create_model("churn")
        with pytest.raises(errors.CallerLimitExceeded, match="'anonymous' calls 0.01 times a second") as raised:
            client.get_model("churn")
        assert (raised.value.code, raised.value.metadata["limit"]) == ("RESOURCE_EXHAUSTED", "rate")
        assert isinstance(raised.value, errors.Unavailable)


def test_a_caller_sees_its_limits(tmp_path: Path) -> None:
    """`tallymark access show` prints the limits of the caller, by the names of the settings, those of others not."""
    token = first_token(tmp_path / "tallymark.db")
    settings = "[limits]\ncalls = 8\nrate = 100\n[limits.callers.root]\ncalls = 64\n[limits.callers.ci]\nstreams = 1\n"
    with serving(tmp_path, settings) as server, client_with(server, token) as client:
        assert client.access.caller().limits == {"calls": 64, "rate": 100}
        shown = CliRunner().invoke(
            main, ["access", "show"], env={"TALLYMARK_URL": server.address, "TALLYMARK_TOKEN": token}
        )
    assert "calls 64, rate 100" in shown.output


def test_streams_under_way_are_limited(tmp_path: Path) -> None:
    """One stream more than the limit is refused, and may begin when another has ended."""
    watch = event_log_pb2.WatchRequest(parent=PROJECT)
    with serving(tmp_path, "[limits]\nstreams = 1\n") as server, grpc.insecure_channel(server.address) as channel:
        calls = Calls(channel)
        first = calls.log.Watch(watch)
        next(first)
        with refused("CALLER_LIMIT_EXCEEDED", grpc.StatusCode.RESOURCE_EXHAUSTED) as refusal:
            next(calls.log.Watch(watch))
        assert refusal.metadata["limit"] == "streams"
        first.cancel()
        deadline = time.monotonic() + 60
        while True:
            try:
                next(calls.log.Watch(watch))
                break
            except grpc.RpcError:
                assert time.monotonic() < deadline


def test_a_project_beyond_its_quota_takes_no_more_versions(tmp_path: Path) -> None:
    """Versions of an earlier start count too; other changes are still made, and other projects have their own quota."""
    with Server(tmp_path / "tallymark.db") as server, Client(server.address) as client:
        client.create_model("churn")
        client.create_version("churn")
    with serving(tmp_path, 'project = ["lab"]\n[quotas]\nversions = 2\n') as server:
        with Client(server.address, timeout=2) as client:
            client.create_version("churn")
            with pytest.raises(errors.ProjectQuotaExceeded, match="has 2 versions, which is its quota 'versions'"):
                client.create_version("churn")
            client.set_stage("churn/1", "staging")
        with Client(server.address, project="lab") as client:
            client.create_model("churn")
            client.create_version("churn")


def test_stored_bytes_are_limited(tmp_path: Path) -> None:
    """A change that exceeds what its caller may store a day is refused, and reads are not."""
    settings = '[limits]\nbytes-per-day = "10 kB"\n'
    with serving(tmp_path, settings) as server, Client(server.address, timeout=2) as client:
        client.create_model("churn", description="x" * 5000)
        with pytest.raises(errors.CallerLimitExceeded, match="sends 6,"):
            client.create_model("fraud", description="x" * 6000)
        client.create_model("fraud")
        assert client.get_model("churn").description == "x" * 5000
