"""The channel to the service: with deadlines, retries and Tallymark's errors, and safe for threads and forks."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NoReturn, TypeVar

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from tallymark.arguments import with_argument_name
from tallymark.client.calls import Call
from tallymark.client.findings import WHAT_TO_DO, no_answer, unreachable
from tallymark.client.first_contact import FirstContact
from tallymark.client.fork_gate import gate
from tallymark.client.headers import Headers
from tallymark.client.proxies import Proxy
from tallymark.client.repetitions import Repetitions
from tallymark.client.replicas import Attempts, Replicas
from tallymark.client.statuses import error_of
from tallymark.client.tls import open_channel
from tallymark.errors import ResourceExhausted, TallymarkError, Unauthenticated, Unavailable
from tallymark.settings import Settings
from tallymark.types.version_actions import remember_registry

T = TypeVar("T")
DOMAIN = "tallymark.dev"
# The status codes of calls that were not answered.
_UNANSWERED = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
CLOSED = "CANCELLED"

# Long enough for a service that is restarting, and short enough to notice a wrong address before the training starts.
READ_TIMEOUT = 10.0
WRITE_TIMEOUT = 20.0

# Changes may be retried because they have request ids. A call waits until there is a connection.
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
                # A server that stops ends calls that it has not begun with CANCELLED.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ]
}
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # Errors have names in their trailers, where a character may take twelve bytes.
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.absolute_max_metadata_size", 128 * 1024),
)
_OPTIONS_OF_THE_ONLY = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", 30_000),
)
_OPTIONS_OF_ONE_OF_SEVERAL = (
    # `Attempts` repeats calls, since gRPC would repeat them at the same replica.
    ("grpc.enable_retries", 0),
    # For streams to a replica that is frozen. The service permits a ping every ten seconds.
    ("grpc.keepalive_time_ms", 12_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),
)


def channel_options(proxy: Proxy | None, *, are_several: bool) -> tuple[tuple[str, Any], ...]:
    """Return the options of a channel through the proxy, or without one, to the only replica or to one of several."""
    by_number = _OPTIONS_OF_ONE_OF_SEVERAL if are_several else _OPTIONS_OF_THE_ONLY
    return (*OPTIONS, *by_number, ("grpc.enable_http_proxy", int(proxy is not None)))


def timeout_of(settings: Settings, call: Call[Any]) -> float:
    """Return the seconds that the call may take."""
    return settings.timeout or call.default_timeout or (WRITE_TIMEOUT if call.writes else READ_TIMEOUT)


class Channel:
    """The channels to the replicas of the service, opened at the first call, and again in each child process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.headers = Headers(settings)
        self.replicas = Replicas(settings.url)
        self._open: tuple[int, tuple[grpc.Channel, ...]] | None = None
        self._stubs: dict[tuple[type, int], Any] = {}
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._first = FirstContact(settings)

    def call(self, call: Call[T]) -> T:
        """Send the call, and return its answer. Raises a TallymarkError."""
        repetitions = Repetitions(timeout_of(self._settings, call))
        while True:
            try:
                return self._call_as_known(call, repetitions.left)
            except ResourceExhausted as refusal:
                if self.closing.wait(repetitions.pause(refusal)):
                    raise

    def _call_as_known(self, call: Call[T], timeout: float) -> T:
        """Send the call, and once more if another token can be presented."""
        caller = self.headers.caller()
        try:
            return self._call(call, timeout)
        except Unauthenticated:
            if not self.headers.renew(caller):
                raise
        return self._call(call, timeout)

    def _call(self, call: Call[T], timeout: float) -> T:
        first = self._first
        try:
            with gate:
                if self.replicas.are_several:
                    reply = self._ask_any(call, timeout) if first.made else self._ask_any_first(call, timeout)
                else:
                    reply = self._ask_one(call, timeout)
        except grpc.RpcError as error:
            first.made = first.made or not is_unanswered(error)
            raise_for(error, self._settings, timeout, first.reason())
        except (ValueError, grpc.FutureCancelledError) as error:
            # gRPC raises these instead of an RpcError if another thread has closed the channel meanwhile.
            raise Unavailable(f"the connection was closed before the call was answered: {error}", code=CLOSED) from None
        first.made = True
        return read_reply(call, reply, self._settings)

    def _ask_one(self, call: Call[Any], timeout: float) -> Any:
        method = getattr(self._stub(call.service, 0), call.method)
        given: dict[str, Any] = {"timeout": timeout, "wait_for_ready": call.waits_for_ready}
        given["metadata"] = self.headers.pairs()
        if self._first.made:
            return method(call.request, **given)
        pending = method.future(call.request, **given)
        self._first.wait(pending, timeout)
        return pending.result()

    def _ask_any(self, call: Call[Any], timeout: float, is_wanted: Callable[[], bool] = lambda: True) -> Any:
        """Return the answer of the current replica, or else of the next ones."""
        attempts = Attempts(self.replicas, timeout, is_long=not call.waits_for_ready)
        closing = self.closing
        for attempt in attempts:
            if attempt.pause:
                closing.wait(attempt.pause)
            method = getattr(self._stub(call.service, attempt.replica), call.method)
            try:
                reply = method(call.request, timeout=attempt.seconds, metadata=self.headers.pairs())
            except grpc.RpcError as error:
                if closing.is_set() or not is_wanted():
                    raise
                attempts.failed(error, is_refusal=is_refusal(error))
            else:
                attempts.answered()
                return reply
        raise attempts.error

    def _ask_any_first(self, call: Call[Any], timeout: float) -> Any:
        """Do as `_ask_any` in another thread, while this one finds out why there is no answer."""
        answer: Future[Any] = Future()

        def ask() -> None:
            try:
                reply = self._ask_any(call, timeout, lambda: not answer.cancelled())
            except Exception as error:  # noqa: BLE001 - the thread that waits raises it
                if answer.set_running_or_notify_cancel():
                    answer.set_exception(error)
            else:
                if answer.set_running_or_notify_cancel():
                    answer.set_result(reply)

        threading.Thread(target=ask, name="tallymark first call", daemon=True).start()
        self._first.wait(answer, timeout)
        return answer.result()

    def stream(self, call: Call[T]) -> Any:
        """Send a streaming call, and return its messages as they arrive, without a deadline.

        If it fails, `replicas.leave` makes the next one ask another replica.
        """
        method = getattr(self._stub(call.service, self.replicas.current), call.method)
        is_waiting = call.waits_for_ready and not self.replicas.are_several
        return method(call.request, metadata=self.headers.pairs(), wait_for_ready=is_waiting)

    def close(self) -> None:
        """Close the connections. The next call opens others."""
        with self._lock:
            self.closing.set()
            self.closing = threading.Event()
            opened, self._open, self._stubs = self._open, None, {}
        # Close it only now that no other thread can use it: a call in the meantime opens another.
        if opened is not None and opened[0] == os.getpid():
            for channel in opened[1]:
                channel.close()

    def _stub(self, service: type, replica: int) -> Any:
        key = service, replica
        while True:
            opened = self._open
            if opened is None or opened[0] != os.getpid():
                self._connect()
            stub = self._stubs.get(key)
            if stub is not None:
                return stub
            with self._lock:
                if self._open is not None:  # else another thread has closed it meanwhile
                    return self._stubs.setdefault(key, service(self._open[1][replica]))

    def _connect(self) -> None:
        with self._lock:
            if self._open is not None and self._open[0] == os.getpid():
                return
            if self._open is not None:
                # A channel opened before a fork belongs to the parent: using or closing it in the child fails.
                _inherited_channels.extend(self._open[1])
            self._stubs = {}
            proxies = self._first.choose_proxies()
            several = self.replicas.are_several
            self._open = (
                os.getpid(),
                tuple(
                    open_channel(address, self._settings, channel_options(proxy, are_several=several))
                    for address, proxy in zip(self.replicas.addresses, proxies, strict=True)
                ),
            )

    def after_fork(self) -> None:
        """Replace the lock, which another thread of the parent may have held."""
        self._lock = threading.Lock()
        self.closing = threading.Event()

    def __getstate__(self) -> NoReturn:
        raise TypeError("a connection cannot be sent to another process; create a Client there")


def read_reply(call: Call[T], reply: Any, settings: Settings) -> T:
    """Read a reply to the call. Versions in the result remember the registry."""
    result = call.read(reply)
    remember_registry(result, settings)
    return result


# Referenced here so that they are never closed in a process that did not open them.
_inherited_channels: list[grpc.Channel] = []


def is_refusal(error: Any) -> bool:
    """Return whether the service itself has answered the failed call."""
    return _info_of(error) is not None


def is_unanswered(error: Any) -> bool:
    """Return whether the call failed without an answer of the service."""
    return error.code().name in _UNANSWERED and not is_refusal(error)


def raise_for(error: Any, settings: Settings, timeout: float, reason: str = f" - {WHAT_TO_DO}") -> NoReturn:
    """Raise the error for the status of a failed call, of either client.

    `reason` ends the message of an unanswered call: why the service does not answer, and what to do.
    """
    code, message = error.code().name, error.details() or ""
    info = _info_of(error)
    if info is not None:
        message = with_argument_name(message, info.metadata.get("field", ""))
        raise error_of(code, message, info.reason, dict(info.metadata)) from None
    if code in _UNANSWERED:
        raise _unreachable(code, settings, timeout, reason) from None
    raise error_of(code, message) from None


def delay_before_retry(
    error: Any, settings: Settings, renew: Callable[[], bool], on_lost: Callable[[Unavailable], object] | None = None
) -> float:
    """Return the seconds after which a stream may be resumed, or raise its error if it may not.

    `renew` returns whether another token can be presented, and `on_lost` is called with the error of a stream that may
    be resumed.
    """
    try:
        raise_for(error, settings, 0)
    except Unauthenticated:
        if not renew():
            raise
        return 0
    except Unavailable as unavailable:
        if on_lost is not None:
            on_lost(unavailable)
        # A constant delay is enough: gRPC itself backs off between attempts to connect.
        return int(unavailable.metadata.get("retry_after_ms", "100")) / 1000


def _unreachable(code: str, settings: Settings, timeout: float, reason: str) -> TallymarkError:
    problem = no_answer(settings.url, timeout) if code == "DEADLINE_EXCEEDED" else unreachable(settings.url)
    return Unavailable(f"{problem}{reason}", code=code)


def _info_of(error: Any) -> ErrorInfo | None:
    """Return the status's ErrorInfo, None if it has none of Tallymark."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in Status.FromString(value).details:
                info = ErrorInfo()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    return info
    return None
