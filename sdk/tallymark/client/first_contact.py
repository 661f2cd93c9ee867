"""Diagnosis of a service that does not answer: probes by sockets while the first call to it is waiting.

gRPC waits for a connection until the deadline, and does not distinguish an unknown host, or a port that speaks HTTP,
from a service that is starting. Nothing here runs once the service has answered.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import chain, repeat
from typing import Any

from tallymark.addresses import Address, addresses_of
from tallymark.client.findings import (
    HOW_TO_SET,
    SILENT,
    WHAT_TO_DO,
    Finding,
    failed_handshake,
    of_replicas,
    plain_service,
    refused_client,
    tls_service,
    unreachable,
)
from tallymark.client.proxies import Proxy, configured_proxy, proxy_of
from tallymark.client.tls import client_context
from tallymark.errors import Unavailable
from tallymark.settings import Settings, current

logger = logging.getLogger("tallymark")

# The seconds without an answer before the first probe of the address, and between further probes.
FIRST_PROBE_AFTER = 0.3
NEXT_PROBE_AFTER = 2.0
# The seconds that one probe may take, over all addresses of the host.
PROBE_TIMEOUT = 0.5
# The seconds of waiting for the first answer after which this is logged.
LOG_AFTER = 2.0

# The first bytes of a client of gRPC: the preface of HTTP/2 and empty settings, which a server answers with its own.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME = 4
_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_CORRECT_PROXY = "correct or unset that variable, or list the host in no_proxy to go without the proxy"
_MAX_PROXY_ANSWER = 16 * 1024
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")  # an alert, or the server's part of a handshake


class _ProxyRefusesError(Exception):
    """A proxy refuses the connection; the text is its answer."""


def probe(url: str, settings: Settings | None = None) -> Finding | None:
    """Return why no address of `url` answers, None if one speaks gRPC. The settings say what TLS trusts."""
    addresses = addresses_of(url)
    probing = [_in_thread(_probe_replica, address, settings) for address in addresses[1:]]
    found = [_probe_replica(addresses[0], settings)]
    wait(probing, PROBE_TIMEOUT)
    found += [probed.result() if probed.done() else SILENT for probed in probing]
    findings = [finding for finding in found if finding is not None]
    return of_replicas(addresses, findings) if len(findings) == len(addresses) else None


def _probe_replica(address: Address, settings: Settings | None) -> Finding | None:
    if address.is_socket:
        return _probe_address(socket.AF_UNIX, address.target.removeprefix("unix:"), PROBE_TIMEOUT, b"", _Plain(address))
    proxy = proxy_of(address.target)
    host, port = (address.host, address.port) if proxy is None else (proxy.host, proxy.port)
    connect_request = b"" if proxy is None else proxy.connect_request(address.target)
    spoken = _Tls(address, client_context(settings or current())) if address.tls else _Plain(address)
    deadline = time.monotonic() + PROBE_TIMEOUT
    try:
        resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        finding = _unresolved(host, error)
        return finding if proxy is None else Finding(f"{finding.cause}, which is the proxy", _CORRECT_PROXY)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in resolved))
    findings = []
    for index, (family, each) in enumerate(addresses):
        share = max(0.05, (deadline - time.monotonic()) / (len(addresses) - index))
        found = _probe_address(family, each, share, connect_request, spoken)
        if found is None:
            return None
        findings.append(found)
    # A port that speaks another protocol decides: no service will start there, nor on the host's other addresses.
    return max(findings, key=lambda finding: finding.final)


def _unresolved(host: str, error: Exception) -> Finding:
    if isinstance(error, socket.gaierror) and error.errno not in _NO_SUCH_NAME:
        return Finding(
            f"the name {host} cannot be looked up now ({error.strerror})", f"is the network up? {HOW_TO_SET}"
        )
    return Finding(f"no such host: {host}", f"check the name; {HOW_TO_SET}", final=True)


def _probe_address(family: int, address: Any, seconds: float, connect_request: bytes, spoken: _Plain) -> Finding | None:
    """Probe one address: that of the service, or, with a `connect_request`, that of a proxy."""
    deadline = time.monotonic() + seconds
    answer_to = functools.partial(_first_bytes, family, address, connect_request, deadline)
    try:
        return spoken.diagnose(answer_to)
    except _ProxyRefusesError as refusal:
        # Other statuses may pass: a gateway answers 5xx while the service is starting.
        is_final = str(refusal).startswith("4")
        return Finding(f"the proxy makes no connection: it answers {str(refusal)!r}", _CORRECT_PROXY, final=is_final)
    except OSError as error:
        finding = _unconnected(error)
        return Finding(f"the proxy: {finding.cause}", _CORRECT_PROXY) if connect_request else finding


def _unconnected(error: OSError) -> Finding:
    if isinstance(error, TimeoutError):
        return SILENT
    if isinstance(error, ConnectionRefusedError):
        return Finding("nothing listens there (connection refused)", WHAT_TO_DO)
    return Finding(error.strerror or str(error), WHAT_TO_DO)


class _Plain:
    """What an address answers to a client of gRPC without TLS."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def diagnose(self, answer_to: Callable[..., bytes]) -> Finding | None:
        """Return what the answers show, None if they are gRPC's. Raises OSError."""
        answer = answer_to(_PREFACE)
        if len(answer) > _SETTINGS_FRAME and answer[3] == _SETTINGS_FRAME:
            return None
        if answer.startswith(b"HTTP/"):
            advice = "it looks like the dashboard's port; `tallymark serve` prints the service's own (50051 by default)"
            return Finding("it answers HTTP, not gRPC", f"{advice}; {HOW_TO_SET}", final=True)
        if answer.startswith(_TLS_RECORDS) or answer_to(_client_hello()).startswith(_TLS_RECORDS):
            return tls_service(self._address.target)
        if len(answer) > _SETTINGS_FRAME:
            cause = f"it does not speak gRPC: it says {answer[:20]!r}"
            return Finding(cause, f"check the port; {HOW_TO_SET}", final=True)
        # A forwarded port in front of a service that is starting does so, too.
        return Finding("it accepts connections, but does not answer", WHAT_TO_DO)


class _Tls(_Plain):
    """What an address answers to a client of gRPC with TLS."""

    def __init__(self, address: Address, context: ssl.SSLContext) -> None:
        super().__init__(address)
        self._context = context

    def diagnose(self, answer_to: Callable[..., bytes]) -> Finding | None:
        """Return what the answers show, None if they are gRPC's within TLS. Raises OSError."""
        shake_hands = functools.partial(self._context.wrap_socket, server_hostname=self._address.host)
        try:
            found = super().diagnose(functools.partial(answer_to, prepare=shake_hands))
            if found is not None and not found.final:
                # gRPC closes the connection of a client whose certificate it does not accept, without a word. Only in
                # TLS 1.2 does it so within the handshake, which distinguishes it from a service that is starting.
                self._context.maximum_version = ssl.TLSVersion.TLSv1_2
                with suppress(TimeoutError):
                    answer_to(b"", prepare=shake_hands)
        except (ssl.SSLEOFError, ConnectionResetError):
            refused = self._context.maximum_version == ssl.TLSVersion.TLSv1_2
            return refused_client() if refused else super().diagnose(answer_to) or plain_service(self._address.target)
        except ssl.SSLError as error:
            if not isinstance(error, ssl.SSLCertVerificationError):
                plain = super().diagnose(answer_to)
                if plain is None:
                    return plain_service(self._address.target)
                if plain != tls_service(self._address.target):
                    return plain
            return failed_handshake(error, self._address.host)
        return found


def _first_bytes(
    family: int,
    address: Any,
    connect_request: bytes,
    deadline: float,
    sent: bytes,
    prepare: Callable[[socket.socket], AbstractContextManager[socket.socket]] = nullcontext,
) -> bytes:
    """Return the first bytes that are answered to those sent, empty for none. Raises OSError without a connection.

    A `connect_request` is sent to a proxy first. Raises _ProxyRefusesError if the proxy does not connect, and SSLError
    if TLS, which `prepare` begins, fails.
    """
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(0.05, (deadline - time.monotonic()) / 2))
        connection.connect(address)
        if connect_request:
            _open_tunnel(connection, connect_request)
        answer = b""
        with prepare(connection) as prepared:
            try:
                prepared.sendall(sent)
                # Five bytes identify a frame of HTTP/2. The greeting of another protocol may be shorter.
                while len(answer) <= _SETTINGS_FRAME and (more := prepared.recv(256)):
                    answer += more
            except ssl.SSLError:
                raise
            except OSError:
                return answer
        return answer


def _open_tunnel(connection: socket.socket, connect_request: bytes) -> None:
    connection.sendall(connect_request)
    answer = b""
    # Read byte by byte, since the bytes after the answer are the service's.
    while not answer.endswith(b"\r\n\r\n") and len(answer) < _MAX_PROXY_ANSWER and (more := connection.recv(1)):
        answer += more
    first_line = answer.partition(b"\r\n")[0].decode("latin-1")[:80]
    _, _, status = first_line.partition(" ")
    if not first_line.startswith("HTTP/") or not status.startswith("200"):
        raise _ProxyRefusesError(status or first_line)


def _client_hello() -> bytes:
    """Return the first bytes of a client of TLS."""
    import ssl

    hello = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), hello).do_handshake()
    return hello.read()


class FirstContact:
    """Observes calls until one is answered: logs why there is no answer, and cancels calls that cannot succeed.

    `seconds` is the time that the call may take. Nothing is locked: at worst two threads probe at the same time.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = settings.url
        self._probing: Future[Finding | None] | None = None
        self._is_logged = False
        self.made = False
        self.proxy: Proxy | None = None
        self.finding: Finding | None = None

    def choose_proxies(self) -> list[Proxy | None]:
        """Return the proxy for each address of the service, None for none."""
        proxies = [proxy_of(address.target) for address in addresses_of(self._url)]
        self.proxy = next((proxy for proxy in proxies if proxy is not None), None)
        return proxies

    async def achoose_proxies(self) -> list[Proxy | None]:
        """Return `choose_proxies()`, without blocking the event loop."""
        return self.choose_proxies() if configured_proxy() is None else await asyncio.to_thread(self.choose_proxies)

    def wait(self, call: Any, seconds: float) -> None:
        """Wait until a call, a future of gRPC, is done. Cancel it and raise Unavailable if it cannot succeed."""
        call_or_probe_done = threading.Event()
        call.add_done_callback(lambda _: call_or_probe_done.set())
        begun = time.monotonic()
        try:
            for pause in _pauses(seconds):
                if call_or_probe_done.wait(pause):
                    return
                probing = self._probe()
                probing.add_done_callback(lambda _: call_or_probe_done.set())
                call_or_probe_done.wait()
                if call.done():
                    return
                call_or_probe_done.clear()
                self._act_on(probing.result(), seconds, time.monotonic() - begun)
        finally:
            call.cancel()

    async def answer(self, call: Any, seconds: float) -> Any:
        """Wait for a call of asyncio, as `wait` does, and return its answer or raise its error."""
        answering = asyncio.ensure_future(call)
        begun = time.monotonic()
        try:
            for pause in _pauses(seconds):
                await asyncio.wait({answering}, timeout=pause)
                if answering.done():
                    break
                probing = asyncio.wrap_future(self._probe())
                await asyncio.wait({answering, probing}, return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    break
                self._act_on(probing.result(), seconds, time.monotonic() - begun)
            return await answering
        finally:
            answering.cancel()

    def reason(self) -> str:
        """Return the end of a message: why there is no answer, and what to do. Probe the address if none has been."""
        return self._explain(None if self.made else self.finding or self._probe_soon())

    async def areason(self) -> str:
        """Return `reason()`, for asyncio."""
        return self.reason() if self.made else await asyncio.to_thread(self.reason)

    def _probe_soon(self) -> Finding | None:
        try:
            return self._probe().result(2 * PROBE_TIMEOUT)
        except TimeoutError:
            return None

    def _probe(self) -> Future[Finding | None]:
        """Probe the address in another thread, since looking up a name cannot be interrupted."""
        probing = self._probing
        if probing is None or probing.done():
            probing = self._probing = _in_thread(probe, self._url, self._settings)
        return probing

    def _act_on(self, finding: Finding | None, seconds: float, waited: float) -> None:
        """Raise Unavailable for a final finding, and log any other once."""
        self.finding = finding
        if finding is not None and finding.final:
            raise Unavailable(f"{unreachable(self._url)}{self._explain(finding)}", code="UNAVAILABLE")
        if not self._is_logged and seconds > LOG_AFTER and (finding is not None or waited >= LOG_AFTER):
            self._is_logged = True
            reason = self._explain(finding)
            who = "from" if len(addresses_of(self._url)) == 1 else "of any replica at"
            logger.warning("no answer %s %s yet, waiting up to %g s%s", who, self._url, seconds, reason)

    def _explain(self, finding: Finding | None) -> str:
        through = "" if self.proxy is None else f" through the proxy {self.proxy}"
        return f"{through}{_reason(finding)}"


def _pauses(seconds: float) -> chain[float]:
    """Return the seconds before each probe."""
    return chain([min(FIRST_PROBE_AFTER, seconds / 2)], repeat(NEXT_PROBE_AFTER))


def _reason(finding: Finding | None) -> str:
    return f" - {WHAT_TO_DO}" if finding is None else f": {finding.cause} - {finding.advice}"


def _in_thread(probe_of: Callable[..., Finding | None], *given: Any) -> Future[Finding | None]:
    """Probe in another thread, since looking up a name cannot be interrupted."""
    found: Future[Finding | None] = Future()

    def run() -> None:
        finding = None
        try:
            finding = probe_of(*given)
        finally:
            found.set_result(finding)

    threading.Thread(target=run, daemon=True).start()
    return found
