"""The official client of Connect for Python, sync and async: python client.py KIND HTTP-URL PROJECT.

Prints as JSON what the service answered. `connectrpc` compresses its requests by default.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any
from urllib.parse import quote

from connectrpc.codec import proto_json_codec
from connectrpc.errors import ConnectError
from connectrpc.protocol import ProtocolType
from google.rpc.error_details_pb import ErrorInfo
from tallymark.v1.event_log_connect import EventLogClient, EventLogClientSync
from tallymark.v1.event_log_pb import ExportRequest, WatchRequest
from tallymark.v1.model_pb import Model, Stage
from tallymark.v1.model_registry_connect import ModelRegistryClient, ModelRegistryClientSync
from tallymark.v1.model_registry_pb import (
    CreateModelRequest,
    CreateModelVersionRequest,
    GetModelVersionRequest,
    SetStageRequest,
)

KINDS: dict[str, dict[str, Any]] = {
    "sync": {},
    "sync-json": {"codec": proto_json_codec()},
    "sync-grpc-web": {"protocol": ProtocolType.GRPC_WEB},
    "async": {},
    "async-plain": {"send_compression": None},
    "async-grpc-web": {"protocol": ProtocolType.GRPC_WEB},
}
ACTOR = {"tallymark-actor": quote("Zoë Ørsted")}
CALL: dict[str, Any] = {"headers": ACTOR, "timeout_ms": 60_000}


def refusal(error: ConnectError) -> dict[str, Any]:
    """The reason that the error carries."""
    [info] = [
        found for detail in error.details if (found := detail.value(ErrorInfo)) and "ErrorInfo" in detail.type_name
    ]
    return {"code": error.code.value, "reason": info.reason, "domain": info.domain, "metadata": dict(info.metadata)}


def digest(lines: list[bytes]) -> str:
    """The SHA-256 of an export."""
    return hashlib.sha256(b"".join(lines)).hexdigest()


def failure(call: Callable[[], object]) -> ConnectError:
    """Return the error that the call raises."""
    try:
        call()
    except ConnectError as error:
        return error
    raise AssertionError("was not refused")


async def afailure(call: Awaitable[object]) -> ConnectError:
    """The same of a call that is awaited."""
    try:
        await call
    except ConnectError as error:
        return error
    raise AssertionError("was not refused")


class Requests:
    """What both clients ask for in a project."""

    def __init__(self, parent: str) -> None:
        model = f"{parent}/models/churn"
        self.model = CreateModelRequest(parent=parent, model_id="churn", model=Model(description="x" * 20_000))
        self.version = CreateModelVersionRequest(parent=model)
        self.stage = SetStageRequest(name=f"{model}/versions/2", stage=Stage.PRODUCTION)
        self.production = GetModelVersionRequest(name=f"{model}/versions/@production")
        self.missing = GetModelVersionRequest(name=f"{model}/versions/9")
        self.start = WatchRequest(parent=parent, after_revision=0)
        self.now = WatchRequest(parent=parent)
        self.export = ExportRequest(parent=parent)


def watched(stream: Iterator[Any], count: int) -> tuple[list[int], str]:
    """Return the revisions of the first events, and the id of their log."""
    revisions: list[int] = []
    with closing(stream):
        for message in stream:
            # The first message may have no events.
            revisions += [event.revision for event in message.events]
            if len(revisions) >= count:
                break
    return revisions[:count], message.log_id


def synchronous(url: str, parent: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a program with threads does."""
    asked, get = Requests(parent), "protocol" not in options
    with ModelRegistryClientSync(url, **options) as models, EventLogClientSync(url, **options) as log:
        models.create_model(asked.model, **CALL)
        first = models.create_model_version(asked.version, **CALL)
        models.create_model_version(asked.version, **CALL)
        models.set_stage(asked.stage, **CALL)
        production = models.get_model_version(asked.production, use_get=get, **CALL)
        before, log_id = watched(log.watch(asked.start, **CALL), 3)
        cursor = WatchRequest(parent=parent, after_revision=before[-1], log_id=log_id)
        after, _ = watched(log.watch(cursor, **CALL), 1)
        late = failure(lambda: list(log.watch(asked.now, headers=ACTOR, timeout_ms=1000)))
        return {
            "first": {"number": first.number, "creator": first.creator},
            "production": production.number,
            "watched": before,
            "resumed": after,
            "refused": refusal(failure(lambda: models.get_model_version(asked.missing, **CALL))),
            "late": late.code.value,
            "exported": digest([message.lines for message in log.export(asked.export, **CALL)]),
        }


async def awatched(stream: AsyncIterator[Any], count: int) -> tuple[list[int], str]:
    """The same as `watched`, without a thread."""
    revisions: list[int] = []
    async with aclosing(stream):
        async for message in stream:
            revisions += [event.revision for event in message.events]
            if len(revisions) >= count:
                break
    return revisions[:count], message.log_id


async def asynchronous(url: str, parent: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a program on asyncio does."""
    asked = Requests(parent)
    async with ModelRegistryClient(url, **options) as models, EventLogClient(url, **options) as log:
        await models.create_model(asked.model, **CALL)
        first = await models.create_model_version(asked.version, **CALL)
        await models.create_model_version(asked.version, **CALL)
        await models.set_stage(asked.stage, **CALL)
        production = await models.get_model_version(asked.production, **CALL)
        before, log_id = await awatched(log.watch(asked.start, **CALL), 3)
        cursor = WatchRequest(parent=parent, after_revision=before[-1], log_id=log_id)
        after, _ = await awatched(log.watch(cursor, **CALL), 1)
        late = await afailure(awatched(log.watch(asked.now, headers=ACTOR, timeout_ms=1000), 1))
        return {
            "first": {"number": first.number, "creator": first.creator},
            "production": production.number,
            "watched": before,
            "resumed": after,
            "refused": refusal(await afailure(models.get_model_version(asked.missing, **CALL))),
            "late": late.code.value,
            "exported": digest([message.lines async for message in log.export(asked.export, **CALL)]),
        }


if __name__ == "__main__":
    kind, url, parent = sys.argv[1:]
    url = url.rstrip("/")
    if kind.startswith("async"):
        print(json.dumps(asyncio.run(asynchronous(url, parent, KINDS[kind]))), flush=True)
    else:
        print(json.dumps(synchronous(url, parent, KINDS[kind])), flush=True)
    # The threads of the client's transport may abort an interpreter that ends while they run.
    os._exit(0)
