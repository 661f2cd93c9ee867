"""The methods of the contract over plain HTTP: `POST /tallymark.v1.ModelRegistry/GetModel`, as JSON or protobuf.

After https://connectrpc.com/docs/protocol, the unary calls of it, so that curl and every Connect client can call. What
answers is the code that answers over gRPC.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Coroutine
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tallymark_server.domain.errors import InvalidField, MalformedRequest, RegistryError
from tallymark_server.registry import Registry
from tallymark_server.rpc.handlers import EventLog, ModelRegistry
from tallymark_server.rpc.run_handlers import RunRegistry
from tallymark_server.web.problems import HTTP_STATUS, code_name, incident, packed_details

JSON, PROTO = "application/json", "application/proto"
# A page of another site can send neither type without asking first, and is not answered when it asks.
TYPES = (JSON, PROTO)
# Nobody reads it.
LEFT = 499
# JSON longer than this is parsed in a thread.
MAX_INLINE = 64 * 1024
# What begins a value in JSON, and how many may: in a text a mark counts too, which no request of a client comes near.
VALUE_MARKS, MAX_VALUES = (b",", b"{", b"["), 200_000


class Call:
    """What a method may ask of its call."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def invocation_metadata(self) -> list[tuple[str, str]]:
        """The headers."""
        return self._request.headers.items()


class Bridge:
    """The methods of every service, by service and name."""

    def __init__(self, registry: Registry) -> None:
        self._methods: dict[tuple[str, str], tuple[MethodDescriptor, Any]] = {}
        for servicer in (ModelRegistry(registry), RunRegistry(registry), EventLog(registry)):
            service = Default().FindServiceByName(f"tallymark.v1.{type(servicer).__name__}")
            for method in service.methods:
                self._methods[service.full_name, method.name] = (method, getattr(servicer, method.name))

    @property
    def services(self) -> set[str]:
        """The services whose methods are answered."""
        return {service for service, _ in self._methods}

    async def answer(self, request: Request) -> Response:
        """The method's answer, or its refusal."""
        _, service, name = request.url.path.split("/", 2)
        found = self._methods.get((service, name))
        if found is None:
            return _refusal("unimplemented", f"no method {service}/{name}")
        method, handle = found
        if method.server_streaming:
            return _refusal(
                "unimplemented", f"{method.name} is a stream, and answered over gRPC; over HTTP, /live tells events"
            )
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in TYPES:
            told = f"send it with one of these headers: {', '.join(f'Content-Type: {each}' for each in TYPES)}"
            return Response(told + "\n", 415, {"accept-post": ", ".join(TYPES)}, "text/plain")
        if request.headers.get("content-encoding", "identity") != "identity":
            return _refusal("unimplemented", "compressed requests are not taken; send it as it is")
        try:
            message = await _read(method, kind, await request.body())
            answer = await _while_there(request, handle(message, Call(request)))
            return Response(status_code=LEFT) if answer is None else _answer(kind, answer)
        except RegistryError as error:
            return _refused(error)
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a code with a reason
            return _refused(incident(method.full_name, error))


async def _while_there(request: Request, work: Coroutine[Any, Any, Message]) -> Message | None:
    """What the work gives; as over gRPC, it is cancelled when the caller leaves, and gives None."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()


async def _read(method: MethodDescriptor, kind: str, body: bytes) -> Message:
    if kind == PROTO:
        return _decoded(method, kind, body)
    values = sum(map(body.count, VALUE_MARKS))
    if values > MAX_VALUES:
        raise InvalidField("request", f"{values:,} values", f"a request as JSON has at most {MAX_VALUES:,}")
    if len(body) > MAX_INLINE:
        # Parsing JSON takes protobuf a second for each megabyte, which nobody else should have to wait for.
        return await asyncio.to_thread(_decoded, method, kind, body)
    return _decoded(method, kind, body)


def _decoded(method: MethodDescriptor, kind: str, body: bytes) -> Message:
    message = GetMessageClass(method.input_type)()
    try:
        if kind == PROTO:
            message.ParseFromString(body)
        else:
            Parse(body or b"{}", message)
    except ParseError as error:
        # JSON can spell half a character, which cannot be told back.
        why = str(error).encode(errors="backslashreplace").decode()
        raise InvalidField("request", body.decode(errors="replace"), why) from None
    except (DecodeError, UnicodeError, RecursionError):
        raise MalformedRequest(method.input_type.name) from None
    return message


def _answer(kind: str, message: Message) -> Response:
    if kind == PROTO:
        return Response(message.SerializeToString(), media_type=PROTO)
    return Response(MessageToJson(message, indent=None), media_type=JSON)


def _refused(error: RegistryError) -> Response:
    details = [
        {"type": name, "value": base64.b64encode(value).decode().rstrip("=")} for name, value in packed_details(error)
    ]
    return _refusal(code_name(error), str(error), details)


def _refusal(code: str, message: str, details: list[dict[str, str]] | None = None) -> Response:
    return JSONResponse({"code": code, "message": message, "details": details or []}, HTTP_STATUS[code])
