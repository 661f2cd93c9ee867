"""The methods of the contract over plain HTTP: `POST /tallymark.v1.ModelRegistry/GetModel`, as JSON or protobuf.

curl, browsers and every client of Connect or gRPC-Web can call them. The handlers are those of gRPC.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any, TypeVar

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tallymark_server.access.callers import NOTHING, Credentials
from tallymark_server.access.door import Door
from tallymark_server.access.oversight import Traits, reason_of
from tallymark_server.domain.errors import CallTimedOut, RegistryError, UnsupportedCall
from tallymark_server.observer import CANCELLED, OK, CallObserver, Observer
from tallymark_server.registry import Registry
from tallymark_server.rpc.callers import Call
from tallymark_server.rpc.permissions import attended, traits_of
from tallymark_server.rpc.services import methods
from tallymark_server.rpc.status import code_name
from tallymark_server.web import envelopes
from tallymark_server.web.entry import CREDENTIALS, caller_of, peer_of
from tallymark_server.web.errors import incident
from tallymark_server.web.protocol_errors import refusal
from tallymark_server.web.protocols import Dialect, NotTakenError, dialect_of
from tallymark_server.web.request_bodies import LET_GO

T = TypeVar("T")
# Where the scope of a request has the status code of the answer, which is known before the caller has it, and whether
# a limit was its reason.
_CODE = "tallymark.code"
# In seconds; the connection of a caller that does not read the end of its answer within it is closed.
END_TIMEOUT = 10.0


class Bridge:
    """The methods of every service, by service and name, as an ASGI application."""

    def __init__(self, registry: Registry, door: Door, observer: Observer) -> None:
        self._door = door
        self._methods: dict[str, tuple[MethodDescriptor, Any, CallObserver]] = {}
        self._traits: dict[str, Traits] = {}
        for method, handle in methods(registry):
            service = method.containing_service
            observed = observer.call(service.name, method.name, "http")
            path = f"/{service.full_name}/{method.name}"
            self._methods[path] = (method, handle, observed)
            self._traits[path] = traits_of(method, "http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the call with its result or an error."""
        request = Request(scope, receive)
        try:
            method, handle, observer = self._found(scope["path"])
            dialect = dialect_of(request, method)
        except NotTakenError as refused:
            await refusal(scope, refused.error, refused.status, refused.headers)(scope, receive, send)
            return
        except RegistryError as error:
            await refusal(scope, error)(scope, receive, send)
            return
        seen = self._door.oversight.begin(self._traits[scope["path"]], peer_of(scope))
        credentials: Credentials = scope.get(CREDENTIALS, NOTHING)
        try:
            call = Call(caller_of(scope), request.headers.items(), self._door, credentials, seen)
        except RegistryError as error:
            seen.end(code_name(error), reason_of(error))
            await refusal(scope, error, headers={"connection": "close"})(scope, receive, send)
            return
        begun = observer.begin(request.headers.items)
        try:
            with suppress(ClientDisconnect):
                # The whole body, with no other reference to it: see `request_bodies`.
                body = [(await receive()).get("body", b"")]
                answer = _enveloped if dialect.enveloped else _unary
                await _while_there(request, answer(request, call, dialect, handle, body, send))
        finally:
            code, reason = scope.get(_CODE, (CANCELLED, ""))
            observer.end(begun, code)
            seen.end(code, reason)

    def _found(self, path: str) -> tuple[MethodDescriptor, Any, CallObserver]:
        found = self._methods.get(path)
        if found is None:
            raise UnsupportedCall("path", path, "there is no such method in protos/tallymark/v1")
        return found


async def _while_there(request: Request, work: Awaitable[None]) -> None:
    """Do the work, and cancel it if the caller leaves, as gRPC does."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        leaving.cancel()
        working.cancel()
        # Its memory must be free before the connection counts as done.
        await asyncio.wait((working,))
        if not working.cancelled():
            working.exception()


async def _unary(request: Request, call: Call, dialect: Dialect, handle: Any, body: list[bytes], send: Send) -> None:
    code = (OK, "")
    try:
        message = await _in_time(dialect, _answered(call, dialect, handle, body))
        data, gzipped = await dialect.write(message)
        response = Response(data, 200, dialect.headers(gzipped=gzipped))
    except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a code with a reason
        code = (code_name(error), reason_of(error))
        response = refusal(request.scope, _as_registry_error(dialect, error))
    request.scope[_CODE] = code
    await response(request.scope, request.receive, send)


async def _enveloped(
    request: Request, call: Call, dialect: Dialect, handle: Any, body: list[bytes], send: Send
) -> None:
    code = (OK, "")
    headers = [(name.encode(), value.encode()) for name, value in dialect.headers().items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        await _in_time(dialect, _sent(request, call, dialect, handle, body, send))
        end = envelopes.end_of(dialect.kind)
    except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a code with a reason
        code = (code_name(error), reason_of(error))
        end = envelopes.end_of(dialect.kind, _as_registry_error(dialect, error))
    request.scope[_CODE] = code
    async with asyncio.timeout(END_TIMEOUT):
        await send({"type": "http.response.body", "body": end, "more_body": False})


async def _answered(call: Call, dialect: Dialect, handle: Any, body: list[bytes]) -> Message:
    answer: Message = await handle(await dialect.read(body.pop()), call)
    return answer


async def _sent(request: Request, call: Call, dialect: Dialect, handle: Any, body: list[bytes], send: Send) -> None:
    """Send each message of the stream, as fast as the caller reads."""
    async with AsyncExitStack() as stack:
        if dialect.method.server_streaming:
            asked = await dialect.read(body.pop())
            # A stream may last for days.
            request.scope[LET_GO]()
            await stack.enter_async_context(attended(call, dialect.method, asked))
            stream: AsyncGenerator[Message] = handle(asked, call)
            messages: AsyncIterator[Message] = await stack.enter_async_context(aclosing(stream))
        else:
            messages = _one(await _answered(call, dialect, handle, body))
        async for message in messages:
            data, _ = await dialect.write(message)
            await send({"type": "http.response.body", "body": data, "more_body": True})


async def _one(message: Message) -> AsyncIterator[Message]:
    yield message


async def _in_time(dialect: Dialect, work: Awaitable[T]) -> T:
    """Return the result of the work. Cancels it and raises CallTimedOut at the caller's deadline."""
    timeout = dialect.timeout
    deadline = asyncio.timeout(None if timeout is None else timeout / 1000)
    try:
        async with deadline:
            return await work
    except TimeoutError:
        if timeout is None or not deadline.expired():
            raise
        raise CallTimedOut(timeout) from None


def _as_registry_error(dialect: Dialect, error: Exception) -> RegistryError:
    return error if isinstance(error, RegistryError) else incident(dialect.method.full_name, error)
