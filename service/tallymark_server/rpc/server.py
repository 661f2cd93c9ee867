"""The gRPC server: every method runs in one wrapper that turns errors into statuses."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, nullcontext, suppress
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from tallymark_server import local_sockets
from tallymark_server.access.door import Door
from tallymark_server.access.oversight import UNSEEN, Overseen, reason_of
from tallymark_server.availability import Availability
from tallymark_server.certificates import Certificate, Certificates
from tallymark_server.domain.errors import Incident, Internal, MalformedRequest, RegistryError
from tallymark_server.observer import CANCELLED, OK, CallObserver, Observer
from tallymark_server.registry import Registry
from tallymark_server.rpc.callers import GrpcContext, Headers, call_at_once, call_of
from tallymark_server.rpc.connections import max_connections
from tallymark_server.rpc.decoder import Decoder, decoder_of
from tallymark_server.rpc.health import SERVICE as HEALTH
from tallymark_server.rpc.health import Health
from tallymark_server.rpc.permissions import attended, traits_of
from tallymark_server.rpc.reflection import add_reflection
from tallymark_server.rpc.services import SERVICES, methods
from tallymark_server.rpc.status import code_name, code_of, details_of
from tallymark_server.rpc.traffic import Traffic

MAX_MESSAGE = 4 * 1024 * 1024
MAX_HEADERS = 16 * 1024

OPTIONS = (
    # With the default, a second server on the port would silently get half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_metadata_size", MAX_HEADERS),
    # Clients may send a keepalive ping every ten seconds, also without calls.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A connection that sends nothing, or half of a handshake, must not keep its descriptor for ever.
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Idle connections are closed after this time; clients reconnect when they need to.
    ("grpc.max_connection_idle_ms", 600_000),
    # A peer that has vanished is noticed within a minute, also while it only watches.
    ("grpc.keepalive_time_ms", 40_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Calls of one connection; clients queue further ones, or open another connection.
    ("grpc.max_concurrent_streams", 2_000),
    # Calls that have arrived and not started yet. gRPC refuses some beyond the first number and all beyond the second.
    # A fleet of 1,000 clients may reconnect at the same time, and each call delays the next one by some 0.07 ms.
    ("grpc.server.max_pending_requests", 1_000),
    ("grpc.server.max_pending_requests_hard_limit", 3_000),
    # gRPC would decompress a message of any size; the decoder does so within the method's bound. The bits of the mask
    # are the algorithms: none, and gzip.
    ("grpc.per_message_decompression", 0),
    ("grpc.compression_enabled_algorithms_bitset", 0b101),
)

_log = structlog.get_logger()

# Handlers, whose second argument is the call, and that of gRPC for those that need no caller.
Unary = Callable[[Any, Any], Awaitable[Message]]
Streaming = Callable[[Any, Any], AsyncGenerator[Message, None]]
# The method of a handler that gRPC calls, with an iterator of requests that is not used.
Guarded = Callable[["_CallHandler", object, GrpcContext], Awaitable[Any]]
# Returns the oversight of a call that begins.
Watch = Callable[[GrpcContext], Overseen]
# Makes the handler of one call from its headers.
Making = Callable[[Headers], "grpc.RpcMethodHandler[Any, Any]"]


class CannotListenError(Exception):
    """The server cannot listen on the address. The message says why, and what to do next."""


class GrpcServer:
    """The registry's methods, health and reflection on one port."""

    def __init__(
        self,
        registry: Registry,
        door: Door,
        max_age: float | None = None,
        grace: float = 0,
        availability: Availability | None = None,
        observer: Observer | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """Close connections after about `max_age` seconds, with `grace` more for running calls.

        With `certificates`, ports speak TLS.
        """
        self._certificates = certificates
        options = [*OPTIONS, ("grpc.max_allowed_incoming_connections", max_connections())]
        if max_age is not None:
            options.append(("grpc.max_connection_age_ms", round(max_age * 1000)))
            options.append(("grpc.max_connection_age_grace_ms", round(grace * 1000)))
        self._server = grpc.aio.server(options=options)
        self._path = ""
        traffic = Traffic(is_unknown=lambda context: door.is_unknown(context.peer()))
        observer = observer or Observer()
        served = {
            _path(method): handler_of(method, handle, traffic, door, _observed(method, observer))
            for method, handle in methods(registry)
        }
        names = [service.full_name for service in SERVICES]
        self._health = Health(names, availability or Availability())
        served.update(_health(self._health, traffic, observer))
        self._server.add_generic_rpc_handlers((Handlers(served),))
        add_reflection(self._server, (*names, HEALTH.full_name), door)

    async def start(self, host: str, port: int) -> int:
        """Listen. Return the port: for 0, the system chooses one; a Unix socket has none. Raises CannotListenError."""
        if host.startswith(local_sockets.PREFIX):
            await self._serve_at(host.removeprefix(local_sockets.PREFIX))
            return 0
        shown = f"[{host}]" if ":" in host else host
        try:
            chosen = self._add_port(f"{shown}:{port}")
        except RuntimeError:
            raise CannotListenError(
                f"cannot listen on {shown}:{port}: the port is taken, or the address is not this machine's; name"
                " another with --listen HOST:PORT (port 0 picks a free one)"
            ) from None
        await self._server.start()
        return chosen

    def _add_port(self, address: str) -> int:
        """Return the port. Raises RuntimeError if it cannot be used."""
        if self._certificates is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, _credentials(self._certificates))

    async def _serve_at(self, path: str) -> None:
        try:
            with local_sockets.binding(path):
                self._server.add_insecure_port(f"unix:{path}")
        except (local_sockets.SocketTakenError, RuntimeError) as error:
            why = str(error) if isinstance(error, local_sockets.SocketTakenError) else "the folder cannot be written"
            raise CannotListenError(f"cannot listen on unix:{path}: {why} (--listen)") from None
        self._path = path
        await self._server.start()

    def refuse(self) -> None:
        """Report to health checks that this server is about to stop."""
        self._health.end()

    async def stop(self, grace: float) -> None:
        """Accept no more calls. Running calls have `grace` seconds to end, and health checks to hear of it."""
        self._health.end()
        with suppress(TimeoutError):
            # Otherwise a busy machine could cancel a watch of the health before its last message is sent.
            await asyncio.wait_for(self._health.told(), grace)
        await self._server.stop(grace)
        if self._path:
            local_sockets.remove(self._path)


def _credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Return credentials that take the certificate in force for each connection."""
    latest = certificates.current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal latest
        before, latest = latest, certificates.current()
        return None if latest is before else _configuration(latest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(latest),
        fetch,  # type: ignore[arg-type]  # the stubs - do not say that None means the same as before
        require_client_authentication=latest.client_ca is not None,
    )


def _configuration(certificate: Certificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificate.key, certificate.certificate)], certificate.client_ca
    )


class Handlers(grpc.GenericRpcHandler):
    """The methods by their paths. gRPC converts the headers of each call once, and passes them here."""

    def __init__(self, served: Mapping[str, Making]) -> None:
        self._served = served

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of the call, None for a method that does not exist."""
        make = self._served.get(details.method)
        return None if make is None else make(details.invocation_metadata or ())


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _observed(method: MethodDescriptor, observer: Observer) -> CallObserver:
    return observer.call(method.containing_service.name, method.name, "grpc")


def _health(servicer: Health, traffic: Traffic, observer: Observer) -> dict[str, Making]:
    # A newer library may have further methods, which gRPC answers with UNIMPLEMENTED.
    known = [method for method in HEALTH.methods if hasattr(servicer, method.name)]
    return {
        _path(method): handler_of(method, getattr(servicer, method.name), traffic, None, _observed(method, observer))
        for method in known
    }


def handler_of(
    method: MethodDescriptor,
    handle: Any,
    traffic: Traffic,
    door: Door | None,
    observer: CallObserver,
) -> Making:
    """Return a function from the headers of a call to its handler. Without a door, callers need not be known.

    To gRPC it has a stream of requests: only that can abort a half-sent one.
    """
    decoder, streams = decoder_of(method), method.server_streaming
    guarded = (_guard_stream if streams else _guard)(
        method, decoder, handle, traffic, door, observer, _watch(method, door)
    )
    kinds = dict.fromkeys(("unary_unary", "unary_stream", "stream_unary", "stream_stream"))
    kinds["stream_stream" if streams else "stream_unary"] = guarded
    own = {"response_streaming": streams, "request_deserializer": decoder.at_once, **kinds}
    return type(method.name, (_CallHandler,), own)


class _CallHandler(grpc.RpcMethodHandler):  # type: ignore[type-arg]  # the stubs - make it generic, gRPC does not
    """The handler of one call, of the class that its method has. gRPC's own takes several times as long to make."""

    __slots__ = ("headers",)
    request_streaming = True
    response_serializer = None

    def __init__(self, headers: Headers) -> None:
        self.headers = headers


def _guard(
    method: MethodDescriptor,
    decoder: Decoder,
    handle: Unary,
    traffic: Traffic,
    door: Door | None,
    observer: CallObserver,
    watch: Watch,
) -> Guarded:
    async def guarded(handler: _CallHandler, _: object, context: GrpcContext) -> bytes:
        headers, request = handler.headers, None
        code, reason = CANCELLED, ""
        begun, seen = observer.begin(lambda: headers), watch(context)
        try:
            call: Any = context
            if door is not None:
                call = call_at_once(door, headers, context, seen) or await call_of(door, headers, context, seen)
            request = await traffic.request(context, unknown=door is None and traffic.is_unknown(context))
            if type(request) is bytes:
                async with traffic.large(len(request)):
                    request = await decoder.read(request)
                    answer = await handle(request, call)
            else:
                answer = await handle(_present(request, method), call)
            data = traffic.answer(context, answer.SerializeToString())
            code = OK
        except grpc.aio.BaseError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a status with a reason
            _note(request)
            request = answer = None
            code, reason = code_name(error), reason_of(error)
            await _abort(context, method, error)
        else:
            return data
        finally:
            observer.end(begun, code)
            seen.end(code, reason)

    return guarded


def _guard_stream(
    method: MethodDescriptor,
    decoder: Decoder,
    handle: Streaming,
    traffic: Traffic,
    door: Door | None,
    observer: CallObserver,
    watch: Watch,
) -> Guarded:
    async def guarded(handler: _CallHandler, _: object, context: GrpcContext) -> None:
        headers, request = handler.headers, None
        code, reason = CANCELLED, ""
        begun, seen = observer.begin(lambda: headers), watch(context)
        try:
            call: Any = context
            if door is not None:
                call = call_at_once(door, headers, context, seen) or await call_of(door, headers, context, seen)
            unknown = door is None and traffic.is_unknown(context)
            request = await traffic.request(context, paced=True, unknown=unknown)
            if type(request) is bytes:
                async with traffic.large(len(request)):
                    request = await decoder.read(request)
            request = _present(request, method)
            reading = nullcontext() if door is None else attended(call, method, request)
            async with reading, aclosing(handle(request, call)) as messages:
                async for message in messages:
                    await traffic.send(context, message.SerializeToString())
            code = OK
        except grpc.aio.BaseError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a status with a reason
            _note(request)
            request = None
            code, reason = code_name(error), reason_of(error)
            await _abort(context, method, error)
        finally:
            observer.end(begun, code)
            seen.end(code, reason)

    return guarded


def _watch(method: MethodDescriptor, door: Door | None) -> Watch:
    if door is None or not door.oversight.is_active:
        return lambda _: UNSEEN
    begin, traits = door.oversight.begin, traits_of(method, "grpc")
    return lambda context: begin(traits, context.peer())


def _present(request: Any, method: MethodDescriptor) -> Any:
    """Return the request. Raises MalformedRequest if the call has none."""
    if request is grpc.aio.EOF:
        raise MalformedRequest(method.input_type.name)
    return request


def _note(request: Any) -> None:
    """Let the lines that the call logs from now on name its request_id, if it has one."""
    if request_id := getattr(request, "request_id", ""):
        structlog.contextvars.bind_contextvars(request_id=request_id)


async def _abort(context: GrpcContext, method: MethodDescriptor, cause: Exception) -> NoReturn:
    error = cause
    if not isinstance(error, RegistryError):
        error = _incident(method, error)
    elif not isinstance(error, Internal):
        _log.debug("refused", method=method.full_name, reason=error.reason, **error.metadata)
    # gRPC keeps the error with its call in a reference cycle, so the error must not hold anything large.
    cause.__traceback__ = error.__traceback__ = None
    await context.abort(code_of(error), str(error), details_of(error))
    raise AssertionError("abort always raises")


def _incident(method: MethodDescriptor, error: Exception) -> Incident:
    incident = secrets.token_hex(6)
    _log.error("incident", incident=incident, method=method.full_name, exc_info=error)
    return Incident(incident)
