"""The official client of Connect for Python, sync and async: python client.py KIND HTTP-URL PROJECT.

Prints as JSON what the service answered. `connectrpc` compresses its requests by default.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
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


def synchronous(url: str, parent: str, options: dict[str, Any]) -> dict[str, Any]:
    """What one thread does."""
    model = f"{parent}/models/churn"

    def watched(request: WatchRequest, count: int) -> tuple[list[int], str]:
        revisions: list[int] = []
        stream: Iterator[Any] = log.watch(request, **CALL)
        with closing(stream):
            for message in stream:
                # The first message may have no events.
                revisions += [event.revision for event in message.events]
                if len(revisions) >= count:
                    break
        return revisions[:count], message.log_id

    def failure(call: Callable[[], object]) -> ConnectError:
        try:
            call()
        except ConnectError as error:
            return error
        raise AssertionError("was not refused")

    with ModelRegistryClientSync(url, **options) as models, EventLogClientSync(url, **options) as log:
        card = Model(description="x" * 20_000)
        models.create_model(CreateModelRequest(parent=parent, model_id="churn", model=card), **CALL)
        first = models.create_model_version(CreateModelVersionRequest(parent=model), **CALL)
        models.create_model_version(CreateModelVersionRequest(parent=model), **CALL)
        models.set_stage(SetStageRequest(name=f"{model}/versions/2", stage=Stage.PRODUCTION), **CALL)
        production = models.get_model_version(
            GetModelVersionRequest(name=f"{model}/versions/@production"), use_get="protocol" not in options, **CALL
        )
        before, log_id = watched(WatchRequest(parent=parent, after_revision=0), 3)
        after, _ = watched(WatchRequest(parent=parent, after_revision=before[-1], log_id=log_id), 1)
        missing = GetModelVersionRequest(name=f"{model}/versions/9")
        late = failure(lambda: list(log.watch(WatchRequest(parent=parent), headers=ACTOR, timeout_ms=1000)))
        exported = hashlib.sha256(
            b"".join(message.lines for message in log.export(ExportRequest(parent=parent), **CALL))
        )
        return {
            "first": {"number": first.number, "creator": first.creator},
            "production": production.number,
            "watched": before,
            "resumed": after,
            "refused": refusal(failure(lambda: models.get_model_version(missing, **CALL))),
            "late": late.code.value,
            "exported": exported.hexdigest(),
        }


async def asynchronous(url: str, parent: str, options: dict[str, Any]) -> dict[str, Any]:
    """The same without threads."""
    model = f"{parent}/models/churn"

    async def watched(request: WatchRequest, count: int) -> tuple[list[int], str]:
        revisions: list[int] = []
        stream: AsyncIterator[Any] = log.watch(request, **CALL)
        async with aclosing(stream):
            async for message in stream:
                revisions += [event.revision for event in message.events]
                if len(revisions) >= count:
                    break
        return revisions[:count], message.log_id

    async def late() -> str:
        try:
            async for _ in log.watch(WatchRequest(parent=parent), headers=ACTOR, timeout_ms=1000):
                pass
        except ConnectError as error:
            return error.code.value
        raise AssertionError("the watch ended well")

    async with ModelRegistryClient(url, **options) as models, EventLogClient(url, **options) as log:
        card = Model(description="x" * 20_000)
        await models.create_model(CreateModelRequest(parent=parent, model_id="churn", model=card), **CALL)
        first = await models.create_model_version(CreateModelVersionRequest(parent=model), **CALL)
        await models.create_model_version(CreateModelVersionRequest(parent=model), **CALL)
        await models.set_stage(SetStageRequest(name=f"{model}/versions/2", stage=Stage.PRODUCTION), **CALL)
        production = await models.get_model_version(
            GetModelVersionRequest(name=f"{model}/versions/@production"), **CALL
        )
        before, log_id = await watched(WatchRequest(parent=parent, after_revision=0), 3)
        after, _ = await watched(WatchRequest(parent=parent, after_revision=before[-1], log_id=log_id), 1)
        try:
            await models.get_model_version(GetModelVersionRequest(name=f"{model}/versions/9"), **CALL)
            refused: dict[str, Any] = {}
        except ConnectError as error:
            refused = refusal(error)
        lines = [message.lines async for message in log.export(ExportRequest(parent=parent), **CALL)]
        return {
            "first": {"number": first.number, "creator": first.creator},
            "production": production.number,
            "watched": before,
            "resumed": after,
            "refused": refused,
            "late": await late(),
            "exported": hashlib.sha256(b"".join(lines)).hexdigest(),
        }


if __name__ == "__main__":
    kind, url, parent = sys.argv[1:]
    url = url.rstrip("/")
    if kind.startswith("async"):
        print(json.dumps(asyncio.run(asynchronous(url, parent, KINDS[kind]))))
    else:
        print(json.dumps(synchronous(url, parent, KINDS[kind])))
