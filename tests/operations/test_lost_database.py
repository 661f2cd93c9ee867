"""Readiness on PostgreSQL: a replica whose database is away says so, also if nobody writes."""

from __future__ import annotations

from pathlib import Path

import grpc
from conftest import server_on
from grpc_health.v1 import health_pb2, health_pb2_grpc
from postgres_server import PostgresServer

from tallymark import Client

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def test_a_replica_without_its_database_is_not_ready(tmp_path: Path) -> None:
    """Its health becomes NOT_SERVING when the database is lost, and SERVING when it is back, without any call."""
    with PostgresServer() as postgres, server_on(postgres.url(), tmp_path) as server:
        with grpc.insecure_channel(server.address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=120)
            assert next(watch).status == SERVING
            postgres.kill()
            assert next(watch).status == NOT_SERVING
            postgres.start()
            assert next(watch).status == SERVING
            watch.cancel()
        with Client(server.address) as client:
            assert client.create_model("churn").name == "churn"
