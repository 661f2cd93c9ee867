"""Clients that repeat each request until it is answered, send some twice at the same time, and cancel some.

Of a service with several replicas, each client calls two, and sends what it sends twice to both at the same time.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
from grpc_calls import PROJECT, refusal_of

from consistency.history import Operation, Refusal
from consistency.expected import Log
from consistency.workload import WEIGHTED_METHODS, SERVICES, REQUESTS, RequestSource
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, event_log_pb2_grpc

# The shares of requests that are sent twice at the same time, are cancelled, and are followed by a repeated old one.
HEDGED_SHARE, CANCELLED_SHARE, REPEATED_SHARE = 0.3, 0.04, 0.15
TIMEOUT = 30.0
# In seconds, between two attempts.
PAUSE = 0.05
# After so many failed attempts the server is taken as not running.
MAX_ATTEMPTS = 400
_CHANNEL_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
STREAMS = {"Watch", "Export"}


class LoadClient(threading.Thread):
    """A client with two connections that sends requests until it is stopped. An answer may take `timeout` seconds."""

    def __init__(
        self,
        addresses: Sequence[str],
        name: str,
        begun: threading.Semaphore,
        ended: threading.Event,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(name=name)
        self.history: list[Operation] = []
        self.hedged = self.cancelled = self.repeated = 0
        self.failure: BaseException | None = None
        self._addresses = addresses
        self._timeout = timeout
        self._begun = begun
        self._stopping = ended
        self._random = random.Random(name)
        self._etags: dict[str, str] = {}

    def run(self) -> None:
        try:
            with ExitStack() as stack:
                channels = [
                    stack.enter_context(grpc.insecure_channel(address, _CHANNEL_OPTIONS)) for address in self._addresses
                ]
                stubs = [{method: _call(channel, method) for method in REQUESTS} for channel in channels]
                choice = RequestSource(self.name, self._etags)
                while not self._stopping.is_set():
                    method = self._random.choice(WEIGHTED_METHODS)
                    request = choice.request(method, f"{self.name}-{len(self.history)}")
                    self.history.append(Operation(method, request, time.monotonic()))
                    self._begun.release()
                    self._send(self.history[-1], stubs)
                    if self._random.random() < REPEATED_SHARE:
                        self._repeat(self._random.choice(self.history), stubs[0])
        except BaseException as failure:  # noqa: BLE001 - reported by the test that started the client
            self.failure = failure

    def _send(self, operation: Operation, stubs: list[dict[str, Any]]) -> None:
        """Send a request once or twice at the same time, and repeat it until it is answered. Reads are not repeated."""
        copies = 2 if operation.request_id and self._random.random() < HEDGED_SHARE else 1
        leaves = self._random.random() < CANCELLED_SHARE
        self.hedged += copies - 1
        for _ in range(MAX_ATTEMPTS):
            if operation.method in STREAMS:
                self._record(operation, _streamed(stubs[0][operation.method], operation, self._timeout))
                return
            calls = [
                stub[operation.method].future(operation.request, timeout=self._timeout, wait_for_ready=True)
                for stub in stubs[:copies]
            ]
            if leaves:
                self.cancelled += 1
                calls[0].cancel()
            for call in calls:
                self._record(operation, _answer(call))
            if operation.answers or leaves or not operation.request_id:
                return
            stubs.reverse()
            self._stopping.wait(PAUSE)
        raise TimeoutError(f"no answer to {operation}")

    def _repeat(self, operation: Operation, stub: dict[str, Any]) -> None:
        """Send an earlier request again, and record the answer."""
        if operation.request_id:
            self.repeated += 1
            call = stub[operation.method].future(operation.request, timeout=self._timeout, wait_for_ready=True)
            self._record(operation, _answer(call))

    def _record(self, operation: Operation, answer: Any) -> None:
        if answer is None:
            return
        operation.answers.append((time.monotonic(), answer))
        if getattr(answer, "etag", ""):
            self._etags[answer.name] = answer.etag


def _call(channel: grpc.Channel, method: str) -> Any:
    for module, stub in SERVICES.values():
        for service in module.DESCRIPTOR.services_by_name.values():
            if method in service.methods_by_name:
                return getattr(stub(channel), method)
    raise KeyError(method)


def _answer(call: Any) -> Any:
    """Return the reply or the refusal of a call, or None if it has neither."""
    try:
        return call.result()
    except grpc.FutureCancelledError:
        return None
    except grpc.RpcError as error:
        return _refusal(error)


def _refusal(error: grpc.RpcError) -> Refusal | None:
    lost = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
    if error.code() in (*lost, grpc.StatusCode.UNKNOWN):
        return None
    refusal = refusal_of(error)
    return Refusal(refusal.info.reason, tuple(sorted(refusal.metadata.items())))


def _streamed(call: Any, operation: Operation, timeout: float) -> Any:
    """Return the messages of an export, or those of a watch up to the first events; None if the stream failed."""
    messages = []
    try:
        stream = call(operation.request, timeout=timeout)
        for message in stream:
            messages.append(message)
            if operation.method == "Watch" and message.events:
                stream.cancel()
                break
    except grpc.RpcError as error:
        return _refusal(error)
    return messages


class Load:
    """Clients, and a count of the requests that they have started."""

    def __init__(self, addresses: Sequence[str], count: int, seed: str, timeout: float) -> None:
        self._begun, self._stopping = threading.Semaphore(0), threading.Event()
        self.clients = [
            LoadClient(
                [addresses[(place + turn) % len(addresses)] for turn in range(2)],
                f"{seed}-{place}",
                self._begun,
                self._stopping,
                timeout,
            )
            for place in range(count)
        ]

    def wait_for(self, requests: int) -> None:
        """Wait until so many more requests were started."""
        for _ in range(requests):
            assert self._begun.acquire(timeout=2 * TIMEOUT), [client.failure for client in self.clients]

    def stop(self) -> None:
        self._stopping.set()
        for client in self.clients:
            client.join(4 * TIMEOUT)


@contextmanager
def running_clients(servers: Sequence[Server], count: int, seed: str, timeout: float = TIMEOUT) -> Iterator[Load]:
    """Run so many clients of the replicas during the block. An answer may take `timeout` seconds."""
    load = Load([server.address for server in servers], count, seed, timeout)
    for client in load.clients:
        client.start()
    try:
        yield load
    finally:
        load.stop()


def export_log(server: Server) -> Log:
    """Export the whole log of the project."""
    with grpc.insecure_channel(server.address, _CHANNEL_OPTIONS) as channel:
        pieces = event_log_pb2_grpc.EventLogStub(channel).Export(event_log_pb2.ExportRequest(parent=PROJECT))
        return Log(b"".join(piece.lines for piece in pieces).splitlines())
