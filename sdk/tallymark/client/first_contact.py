"""Why a service does not answer: what a few sockets find out while the first call to it still waits.

gRPC waits for a connection until the deadline and does not tell a name that is no host, or a port that speaks HTTP,
from a service that is being started. Nothing here runs once the service has answered.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain, repeat
from typing import Any, NamedTuple

from tallymark.client.proxies import Proxy, by_variables, host_of, proxy_of
from tallymark.errors import Unavailable
from tallymark.settings import Settings

logger = logging.getLogger("tallymark")

HOW_TO_SET = "set TALLYMARK_URL, or call tallymark.configure(url=...)"
WHAT_TO_DO = f"is `tallymark serve` running there? S{HOW_TO_SET[1:]}"

# A first answer that takes longer than this is worth a look at the address; a further look follows each interval.
FIRST_LOOK = 0.3
NEXT_LOOK = 2.0
# How long one look may take, over all addresses of the host.
LOOK = 0.5
# A wait for the first answer that is longer than this is logged.
SILENCE = 2.0

# What a client of gRPC says first: the preface of HTTP/2 and empty settings, which a server answers with its own.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME = 4
_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_CORRECT_PROXY = "correct or unset that variable, or list the host in no_proxy to go without the proxy"
_LONGEST_ANSWER = 16 * 1024  # of a proxy
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")  # an alert, or the server's part of a handshake


class _ProxyRefusesError(Exception):
    """A proxy does not make the connection; the text is how it answers."""


class Finding(NamedTuple):
    """Why an address does not answer, and what to do. It is `final` if no waiting can help."""

    cause: str
    advice: str
    final: bool = False


def look(url: str) -> Finding | None:
    """Find out why the address does not answer; None if it speaks gRPC, or if nothing can be said."""
    if url.startswith("unix:"):
        return _look_at(socket.AF_UNIX, url.removeprefix("unix:"), LOOK, b"")
    proxy = proxy_of(url)
    host, port = (host_of(url), int(url.rpartition(":")[2])) if proxy is None else (proxy.host, proxy.port)
    opening = b"" if proxy is None else proxy.request(url)
    end = time.monotonic() + LOOK
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        finding = _unresolved(host, error)
        return finding if proxy is None else Finding(f"{finding.cause}, which is the proxy", _CORRECT_PROXY)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    findings = []
    for place, (family, address) in enumerate(addresses):
        share = max(0.05, (end - time.monotonic()) / (len(addresses) - place))
        answered = _look_at(family, address, share, opening)
        if answered is None:
            return None
        findings.append(answered)
    # A port that speaks something else decides: nobody will start a service there, nor on the host's other addresses.
    return max(findings, key=lambda finding: finding.final)


def _unresolved(host: str, error: Exception) -> Finding:
    if isinstance(error, socket.gaierror) and error.errno not in _NO_SUCH_NAME:
        return Finding(
            f"the name {host} cannot be looked up now ({error.strerror})", f"is the network up? {HOW_TO_SET}"
        )
    return Finding(f"no such host: {host}", f"check the name; {HOW_TO_SET}", final=True)


def _look_at(family: int, address: Any, seconds: float, opening: bytes) -> Finding | None:
    """Look at one address: of the service, or, with what asks for a connection as `opening`, of a proxy."""
    end = time.monotonic() + seconds
    answer = functools.partial(_answer, family, address, opening, end)
    try:
        return _judged(answer(_PREFACE), answer)
    except _ProxyRefusesError as refusal:
        # Other answers may pass: a gateway has none while the service is being started.
        wrong = str(refusal).startswith("4")
        return Finding(f"the proxy makes no connection: it answers {str(refusal)!r}", _CORRECT_PROXY, final=wrong)
    except OSError as error:
        finding = _unconnected(error)
        return Finding(f"the proxy: {finding.cause}", _CORRECT_PROXY) if opening else finding


def _unconnected(error: OSError) -> Finding:
    if isinstance(error, TimeoutError):
        return Finding("it does not answer a connection", "is the address right, and does a firewall let it through?")
    if isinstance(error, ConnectionRefusedError):
        return Finding("nothing listens there (connection refused)", WHAT_TO_DO)
    return Finding(error.strerror or str(error), WHAT_TO_DO)


def _judged(said: bytes, answer: Callable[[bytes], bytes]) -> Finding | None:
    """Judge what is said to a client of gRPC. Raises OSError."""
    if len(said) > _SETTINGS_FRAME and said[3] == _SETTINGS_FRAME:
        return None
    if said.startswith(b"HTTP/"):
        advice = "it looks like the dashboard's port; `tallymark serve` prints the service's own (50051 by default)"
        return Finding("it answers HTTP, not gRPC", f"{advice}; {HOW_TO_SET}", final=True)
    if said.startswith(_TLS_RECORDS) or answer(_hello()).startswith(_TLS_RECORDS):
        advice = f"name the port at which the service itself listens, without TLS; {HOW_TO_SET}"
        return Finding("it speaks TLS, which this client does not", advice, final=True)
    if len(said) > _SETTINGS_FRAME:
        return Finding(f"it does not speak gRPC: it says {said[:20]!r}", f"check the port; {HOW_TO_SET}", final=True)
    # What stands before a service that is being started, such as a forwarded port, may do so too.
    return Finding("it accepts connections, but does not answer", WHAT_TO_DO)


def _answer(family: int, address: Any, opening: bytes, end: float, question: bytes) -> bytes:
    """Return the first bytes of the answer, empty if there is none; raise OSError if nothing takes the connection.

    With an `opening`, a proxy is asked first; raise _ProxyRefusesError if it does not connect.
    """
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(0.05, (end - time.monotonic()) / 2))
        connection.connect(address)
        if opening:
            _open_tunnel(connection, opening)
        said = b""
        try:
            connection.sendall(question)
            # A frame of HTTP/2 is known by its first five bytes; a greeting may be shorter and then is all there is.
            while len(said) <= _SETTINGS_FRAME and (more := connection.recv(256)):
                said += more
        except OSError:
            return said
        return said


def _open_tunnel(connection: socket.socket, opening: bytes) -> None:
    connection.sendall(opening)
    said = b""
    # Byte by byte: what follows the answer is the service's.
    while not said.endswith(b"\r\n\r\n") and len(said) < _LONGEST_ANSWER and (more := connection.recv(1)):
        said += more
    first = said.partition(b"\r\n")[0].decode("latin-1")[:80]
    _, _, answer = first.partition(" ")
    if not first.startswith("HTTP/") or not answer.startswith("200"):
        raise _ProxyRefusesError(answer or first)


def _hello() -> bytes:
    """Return how a client of TLS begins."""
    import ssl

    sent = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    return sent.read()


class FirstContact:
    """Watches the first calls to a service until one is answered: logs what it waits for, and cancels what is hopeless.

    `patience` is how long the call may take. Nothing is locked: at worst two threads look at the same time.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.url
        self._looking: Future[Finding | None] | None = None
        self._told = False
        self.made = False
        self.proxy: Proxy | None = None
        self.finding: Finding | None = None

    async def choose_proxy(self) -> Proxy | None:
        """Return the proxy through which the service is reached, if any; without holding up the event loop."""
        self.proxy = None if by_variables() is None else await asyncio.to_thread(proxy_of, self._url)
        return self.proxy

    def wait(self, call: Any, patience: float) -> None:
        """Wait until a call that was sent is over, however it ended; Unavailable, and it is cancelled, if it never can.

        `call` is a future of gRPC.
        """
        moved = threading.Event()
        call.add_done_callback(lambda _: moved.set())
        begun = time.monotonic()
        try:
            for pause in _pauses(patience):
                if moved.wait(pause):
                    return
                looking = self._look()
                looking.add_done_callback(lambda _: moved.set())
                moved.wait()
                if call.done():
                    return
                moved.clear()
                self._judge(looking.result(), patience, time.monotonic() - begun)
        finally:
            call.cancel()

    async def answer(self, call: Any, patience: float) -> Any:
        """As `wait`, for a call of asyncio; return its answer, or raise its error."""
        answered = asyncio.ensure_future(call)
        begun = time.monotonic()
        try:
            for pause in _pauses(patience):
                await asyncio.wait({answered}, timeout=pause)
                if answered.done():
                    break
                looking = asyncio.wrap_future(self._look())
                await asyncio.wait({answered, looking}, return_when=asyncio.FIRST_COMPLETED)
                if answered.done():
                    break
                self._judge(looking.result(), patience, time.monotonic() - begun)
            return await answered
        finally:
            answered.cancel()

    def reason(self) -> str:
        """End a sentence with why there is no answer and what to do, after a look at the address if there was none."""
        return self._told_by(None if self.made else self.finding or self._look_soon())

    async def areason(self) -> str:
        """As `reason`, for asyncio."""
        return self.reason() if self.made else await asyncio.to_thread(self.reason)

    def _look_soon(self) -> Finding | None:
        try:
            return self._look().result(2 * LOOK)
        except TimeoutError:
            return None

    def _look(self) -> Future[Finding | None]:
        """Look at the address in a thread of its own: looking up a name cannot be interrupted."""
        looking = self._looking
        if looking is None or looking.done():
            looking = self._looking = Future()
            threading.Thread(target=_look_into, args=(looking, self._url), daemon=True).start()
        return looking

    def _judge(self, finding: Finding | None, patience: float, waited: float) -> None:
        self.finding = finding
        if finding is not None and finding.final:
            raise Unavailable(f"cannot reach {self._url}{self._told_by(finding)}", code="UNAVAILABLE")
        if not self._told and patience > SILENCE and (finding is not None or waited >= SILENCE):
            self._told = True
            said = self._told_by(finding)
            logger.warning("no answer from %s yet, waiting up to %g s%s", self._url, patience, said)

    def _told_by(self, finding: Finding | None) -> str:
        through = "" if self.proxy is None else f" through the proxy {self.proxy}"
        return f"{through}{_reason(finding)}"


def _pauses(patience: float) -> chain[float]:
    """Return the seconds before each look."""
    return chain([min(FIRST_LOOK, patience / 2)], repeat(NEXT_LOOK))


def _reason(finding: Finding | None) -> str:
    return f" - {WHAT_TO_DO}" if finding is None else f": {finding.cause} - {finding.advice}"


def _look_into(looking: Future[Finding | None], url: str) -> None:
    finding = None
    try:
        finding = look(url)
    finally:
        looking.set_result(finding)
