"""A naive registry for comparison: a lock, and one transaction for each create."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiosqlite
import grpc.aio
import uvloop

from tallymark.v1 import model_pb2, model_registry_pb2
from tallymark_server.rpc.server import OPTIONS

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE models (name TEXT PRIMARY KEY, last_number INTEGER NOT NULL);
CREATE TABLE versions (model TEXT, number INTEGER, create_time INTEGER, PRIMARY KEY (model, number));
"""
NEXT = """
INSERT INTO models VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last_number = last_number + 1 RETURNING last_number
"""


class Naive:
    """Create versions correctly, one after the other."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()

    async def create(
        self, request: model_registry_pb2.CreateModelVersionRequest, context: Any
    ) -> model_pb2.ModelVersion:
        """Return the version once it is committed. A cancelled call must not leave a transaction open."""
        del context
        return await asyncio.shield(self._create(request.parent))

    async def _create(self, model: str) -> model_pb2.ModelVersion:
        version = model_pb2.ModelVersion()
        version.create_time.GetCurrentTime()
        async with self._lock:
            await self._connection.execute("BEGIN IMMEDIATE")
            async with self._connection.execute(NEXT, (model,)) as cursor:
                row = await cursor.fetchone()
            assert row is not None
            version.number = row[0]
            values = (model, version.number, version.create_time.ToMicroseconds())
            await self._connection.execute("INSERT INTO versions VALUES (?, ?, ?)", values)
            await self._connection.execute("COMMIT")
        version.name = f"{model}/versions/{version.number}"
        version.version_name = str(version.number)
        return version


async def serve(db: str) -> None:
    """Serve until the process is ended."""
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        await connection.executescript(SCHEMA)
        server = grpc.aio.server(options=OPTIONS)
        handler = grpc.unary_unary_rpc_method_handler(
            Naive(connection).create,
            request_deserializer=model_registry_pb2.CreateModelVersionRequest.FromString,
            response_serializer=model_pb2.ModelVersion.SerializeToString,
        )
        service = model_registry_pb2.DESCRIPTOR.services_by_name["ModelRegistry"].full_name
        methods = {"CreateModelVersion": handler}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"naive on 127.0.0.1:{port}", flush=True)
        await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
