"""Clients that send each request until it is answered, some twice at once, and some that leave before the answer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
from grpc_calls import PROJECT, refusal_of

from consistency.history import Operation, Refusal
from consistency.expected import Log
from consistency.workload import FREQUENT, SERVICES, WORK, Choice
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, event_log_pb2_grpc

# Of so many requests each is sent twice at once, and is left before its answer; and so often an old one is sent again.
HEDGED, CANCELLED, REPEATED = 0.3, 0.04, 0.15
PATIENCE = 30.0
# After so many attempts in vain the service is gone for good.
ATTEMPTS = 400
_OWN = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
STREAMS = {"Watch", "Export"}


class Asking(threading.Thread):
    """A client with two connections, which asks until it is told to stop."""

    def __init__(self, address: str, name: str, begun: threading.Semaphore, ended: threading.Event) -> None:
        super().__init__(name=name)
        self.history: list[Operation] = []
        self.hedged = self.cancelled = self.repeated = 0
        self.failure: BaseException | None = None
        self._address = address
        self._begun = begun
        self._ended = ended
        self._random = random.Random(name)
        self._etags: dict[str, str] = {}

    def run(self) -> None:
        try:
            with ExitStack() as stack:
                channels = [stack.enter_context(grpc.insecure_channel(self._address, _OWN)) for _ in range(2)]
                stubs = [{method: _call(channel, method) for method in WORK} for channel in channels]
                choice = Choice(self.name, self._etags)
                while not self._ended.is_set():
                    method = self._random.choice(FREQUENT)
                    request = choice.request(method, f"{self.name}-{len(self.history)}")
                    self.history.append(Operation(method, request, time.monotonic()))
                    self._begun.release()
                    self._ask(self.history[-1], stubs)
                    if self._random.random() < REPEATED:
                        self._repeat(self._random.choice(self.history), stubs[0])
        except BaseException as failure:  # noqa: BLE001 - shown by who started the client
            self.failure = failure

    def _ask(self, operation: Operation, stubs: list[dict[str, Any]]) -> None:
        """Send it once or twice at once, and again while nobody answers; a read that is not answered is given up."""
        copies = 2 if operation.request_id and self._random.random() < HEDGED else 1
        leaves = self._random.random() < CANCELLED
        self.hedged += copies - 1
        for _ in range(ATTEMPTS):
            if operation.method in STREAMS:
                self._note(operation, _streamed(stubs[0][operation.method], operation))
                return
            calls = [
                stub[operation.method].future(operation.request, timeout=PATIENCE, wait_for_ready=True)
                for stub in stubs[:copies]
            ]
            if leaves:
                self.cancelled += 1
                calls[0].cancel()
            for call in calls:
                self._note(operation, _answer(call))
            if operation.answers or leaves or not operation.request_id:
                return
        raise TimeoutError(f"nobody answers {operation}")

    def _repeat(self, operation: Operation, stub: dict[str, Any]) -> None:
        """Send a request again, whatever it was answered with, and however long ago."""
        if operation.request_id:
            self.repeated += 1
            call = stub[operation.method].future(operation.request, timeout=PATIENCE, wait_for_ready=True)
            self._note(operation, _answer(call))

    def _note(self, operation: Operation, answer: Any) -> None:
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
    """What came back, None if nothing did."""
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


def _streamed(call: Any, operation: Operation) -> Any:
    """The messages of an export, or the first of a watch; None when it broke off."""
    messages = []
    try:
        stream = call(operation.request, timeout=PATIENCE)
        for message in stream:
            messages.append(message)
            if operation.method == "Watch" and message.events:
                stream.cancel()
                break
    except grpc.RpcError as error:
        return _refusal(error)
    return messages


class Load:
    """Clients, and a count of the requests that they have begun."""

    def __init__(self, address: str, count: int, seed: str) -> None:
        self._begun, self._ended = threading.Semaphore(0), threading.Event()
        self.clients = [Asking(address, f"{seed}-{place}", self._begun, self._ended) for place in range(count)]

    def wait_for(self, requests: int) -> None:
        """Until so many more requests were begun."""
        for _ in range(requests):
            assert self._begun.acquire(timeout=2 * PATIENCE), [client.failure for client in self.clients]

    def stop(self) -> None:
        self._ended.set()
        for client in self.clients:
            client.join(4 * PATIENCE)


@contextmanager
def asking(server: Server, count: int, seed: str) -> Iterator[Load]:
    """So many clients, who stop at the end."""
    load = Load(server.address, count, seed)
    for client in load.clients:
        client.start()
    try:
        yield load
    finally:
        load.stop()


def exported(server: Server) -> Log:
    """The whole log of the project."""
    with grpc.insecure_channel(server.address, _OWN) as channel:
        pieces = event_log_pb2_grpc.EventLogStub(channel).Export(event_log_pb2.ExportRequest(parent=PROJECT))
        return Log(b"".join(piece.lines for piece in pieces).splitlines())
