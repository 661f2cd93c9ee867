"""How calls reach the service: retried within a deadline, safe over fork and threads, and with errors of our own."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from tallymark.arguments import with_argument_name
from tallymark.client.calls import Call
from tallymark.client.first_contact import WHAT_TO_DO, FirstContact
from tallymark.client.proxies import Proxy, proxy_of
from tallymark.client.statuses import error_of
from tallymark.errors import TallymarkError, Unavailable
from tallymark.settings import Settings
from tallymark.types.version_actions import remember_registry

T = TypeVar("T")
DOMAIN = "tallymark.dev"
# The codes of calls to which there was no answer.
_SILENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
CLOSED = "CANCELLED"

# Long enough for a service that is being restarted, short enough that a wrong address is noticed before training
# starts.
READ_TIMEOUT = 10.0
WRITE_TIMEOUT = 20.0

# Every change carries a request id, so that it may be sent again; a call that finds no connection waits for one.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.05s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                # A server that stops cuts calls that it has not begun with CANCELLED.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ]
}
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # Errors name what they are about in headers, in which a character of a name may take twelve bytes.
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.absolute_max_metadata_size", 128 * 1024),
)


def options(proxy: Proxy | None) -> tuple[tuple[str, Any], ...]:
    """Return the options of a channel that goes through the proxy, or through none."""
    return (*OPTIONS, ("grpc.enable_http_proxy", int(proxy is not None)))


def timeout_of(settings: Settings, call: Call[Any]) -> float:
    """The seconds that the call may take."""
    return settings.timeout or call.patience or (WRITE_TIMEOUT if call.writes else READ_TIMEOUT)


def headers_of(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What every call tells of the caller. Headers are ASCII, and names are not."""
    return (("tallymark-actor", quote(settings.actor, safe="@ ")),)


class Channel:
    """A channel to the service, opened at the first call, in each process anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._headers = headers_of(settings)
        self._open: tuple[int, grpc.Channel] | None = None
        self._stubs: dict[type, Any] = {}
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._first = FirstContact(settings)

    def call(self, call: Call[T]) -> T:
        """The answer to the call; a TallymarkError."""
        method = getattr(self._stub(call.service), call.method)
        timeout = timeout_of(self._settings, call)
        given: dict[str, Any] = {"timeout": timeout, "metadata": self._headers, "wait_for_ready": call.waits}
        first = self._first
        try:
            if first.made:
                reply = method(call.request, **given)
            else:
                pending = method.future(call.request, **given)
                first.wait(pending, timeout)
                reply = pending.result()
        except grpc.RpcError as error:
            first.made = first.made or not is_silence(error)
            raise_for(error, self._settings, timeout, first.reason())
        except (ValueError, grpc.FutureCancelledError) as error:
            # gRPC raises no error of its own for a call over a channel that another thread has closed meanwhile.
            raise Unavailable(f"the connection was closed before the call was answered: {error}", code=CLOSED) from None
        first.made = True
        return read_reply(call, reply, self._settings)

    def stream(self, call: Call[T]) -> Any:
        """The messages of a streaming call, as they come, without a deadline."""
        method = getattr(self._stub(call.service), call.method)
        return method(call.request, metadata=self._headers, wait_for_ready=call.waits)

    def close(self) -> None:
        """Close the connection. The next call opens another."""
        with self._lock:
            self.closing.set()
            self.closing = threading.Event()
            opened, self._open, self._stubs = self._open, None, {}
        # Closed once nobody can take it for open: whoever calls meanwhile opens another.
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()

    def _stub(self, service: type) -> Any:
        while True:
            opened = self._open
            if opened is None or opened[0] != os.getpid():
                self._connect()
            stub = self._stubs.get(service)
            if stub is not None:
                return stub
            with self._lock:
                if self._open is not None:  # else somebody has closed it meanwhile
                    return self._stubs.setdefault(service, service(self._open[1]))

    def _connect(self) -> None:
        with self._lock:
            if self._open is not None and self._open[0] == os.getpid():
                return
            if self._open is not None:
                # A channel made before a fork belongs to the parent: using it, or closing it, breaks in the child.
                _INHERITED.append(self._open[1])
            self._stubs = {}
            proxy = self._first.proxy = proxy_of(self._settings.url)
            self._open = (os.getpid(), grpc.insecure_channel(self._settings.url, options=options(proxy)))

    def after_fork(self) -> None:
        """Make the lock anew: another thread of the parent may have held it."""
        self._lock = threading.Lock()
        self.closing = threading.Event()

    def __getstate__(self) -> NoReturn:
        raise TypeError("a connection cannot be sent to another process; make a Client there")


def read_reply(call: Call[T], reply: Any, settings: Settings) -> T:
    """Return what a reply to the call means, of which versions remember the registry that sent it."""
    found = call.read(reply)
    remember_registry(found, settings)
    return found


# Kept so that they are never closed in a process that did not open them.
_INHERITED: list[grpc.Channel] = []


def is_silence(error: Any) -> bool:
    """Return whether the call failed without a word of the service."""
    return error.code().name in _SILENT and _info_of(error) is None


def raise_for(error: Any, settings: Settings, timeout: float, reason: str = f" - {WHAT_TO_DO}") -> NoReturn:
    """Raise the error that the status of a failed call means, blocking or not.

    `reason` is the end of a sentence that says why the service does not answer, and what to do.
    """
    code, message = error.code().name, error.details() or ""
    info = _info_of(error)
    if info is not None:
        message = with_argument_name(message, info.metadata.get("field", ""))
        raise error_of(code, message, info.reason, dict(info.metadata)) from None
    if code in _SILENT:
        raise _unreachable(code, settings, timeout, reason) from None
    raise error_of(code, message) from None


def delay_before_retry(error: Any, settings: Settings, on_lost: Callable[[Unavailable], object] | None = None) -> float:
    """The seconds after which a stream may be resumed; raises the error that the status means if it may not.

    `on_lost` is told why it ended.
    """
    try:
        raise_for(error, settings, 0)
    except Unavailable as unavailable:
        if on_lost is not None:
            on_lost(unavailable)
        # gRPC itself waits longer and longer between attempts to connect.
        return int(unavailable.metadata.get("retry_after_ms", "100")) / 1000


def _unreachable(code: str, settings: Settings, timeout: float, reason: str) -> TallymarkError:
    what = (
        f"no answer from {settings.url} within {timeout:g} s"
        if code == "DEADLINE_EXCEEDED"
        else f"cannot reach {settings.url}"
    )
    return Unavailable(f"{what}{reason}", code=code)


def _info_of(error: Any) -> ErrorInfo | None:
    """The reason that the status carries, if it is one of ours."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in Status.FromString(value).details:
                info = ErrorInfo()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    return info
    return None
