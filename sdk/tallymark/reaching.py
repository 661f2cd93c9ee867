"""Why a service does not answer: what a few sockets find out while the first call to it still waits.

gRPC waits for a connection until the deadline and does not tell a name that is no host, or a port that speaks HTTP,
from a service that is being started. Nothing here runs once the service has answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain, repeat
from typing import Any, NamedTuple

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
# Whoever waits longer than this for the first answer is told so.
SILENCE = 2.0

# What a client of gRPC says first: the preface of HTTP/2 and empty settings, which a server answers with its own.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME = 4
_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")  # an alert, or the server's part of a handshake


class Finding(NamedTuple):
    """Why an address does not answer, and what to do. It is `final` if no waiting can help."""

    cause: str
    advice: str
    final: bool = False


def look(url: str) -> Finding | None:
    """Find out why the address does not answer; None if it speaks gRPC, or if nothing can be said."""
    host, _, port = url.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    final = not _behind_proxy(host)
    end = time.monotonic() + LOOK
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        return _unresolved(host, error, final=final)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    findings = []
    for place, (family, address) in enumerate(addresses):
        share = max(0.05, (end - time.monotonic()) / (len(addresses) - place))
        finding = _look_at(family, address, share)
        if finding is None:
            return None
        findings.append(finding)
    # A port that speaks something else decides: nobody will start a service there, nor on the host's other addresses.
    chosen = max(findings, key=lambda finding: finding.final)
    return chosen._replace(final=chosen.final and final)


def _unresolved(host: str, error: Exception, *, final: bool) -> Finding:
    if isinstance(error, socket.gaierror) and error.errno not in _NO_SUCH_NAME:
        return Finding(
            f"the name {host} cannot be looked up now ({error.strerror})", f"is the network up? {HOW_TO_SET}"
        )
    return Finding(f"no such host: {host}", f"check the name; {HOW_TO_SET}", final)


def _behind_proxy(host: str) -> bool:
    """Whether gRPC asks a proxy for this host, so that what this machine sees of it decides nothing."""
    proxies = ("grpc_proxy", "https_proxy", "http_proxy")
    if not any(os.environ.get(name) for name in proxies):
        return False
    listed = next(filter(None, map(os.environ.get, ("no_grpc_proxy", "no_proxy"))), "")
    exempt = [name.strip().lstrip("*.").lower() for name in listed.split(",") if name.strip()]
    return not any(host.lower() == name or host.lower().endswith(f".{name}") for name in exempt)


def _look_at(family: int, address: Any, seconds: float) -> Finding | None:
    end = time.monotonic() + seconds
    try:
        said = _answer(family, address, _PREFACE, end)
        if len(said) > _SETTINGS_FRAME and said[3] == _SETTINGS_FRAME:
            return None
        if said.startswith(b"HTTP/"):
            advice = "it looks like the dashboard's port; `tallymark serve` prints the service's own (50051 by default)"
            return Finding("it answers HTTP, not gRPC", f"{advice}; {HOW_TO_SET}", final=True)
        if said.startswith(_TLS_RECORDS) or _answer(family, address, _hello(), end).startswith(_TLS_RECORDS):
            advice = f"name the port at which the service itself listens, without TLS; {HOW_TO_SET}"
            return Finding("it speaks TLS, which this client does not", advice, final=True)
    except TimeoutError:
        return Finding("it does not answer a connection", "is the address right, and does a firewall let it through?")
    except ConnectionRefusedError:
        return Finding("nothing listens there (connection refused)", WHAT_TO_DO)
    except OSError as error:
        return Finding(error.strerror or str(error), WHAT_TO_DO)
    if len(said) > _SETTINGS_FRAME:
        return Finding(f"it does not speak gRPC: it says {said[:20]!r}", f"check the port; {HOW_TO_SET}", final=True)
    # What stands before a service that is being started, such as a forwarded port, may do so too.
    return Finding("it accepts connections, but does not answer", WHAT_TO_DO)


def _answer(family: int, address: Any, question: bytes, end: float) -> bytes:
    """Return the first bytes of the answer, empty if there is none; raise OSError if nothing takes the connection."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(0.05, (end - time.monotonic()) / 2))
        connection.connect(address)
        said = b""
        try:
            connection.sendall(question)
            # A frame of HTTP/2 is known by its first five bytes; a greeting may be shorter and then is all there is.
            while len(said) <= _SETTINGS_FRAME and (more := connection.recv(256)):
                said += more
        except OSError:
            return said
        return said


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
    """Watches the first calls to a service until one is answered: tells what is waited for, and ends what is hopeless.

    `patience` is how long the call may take. Nothing is locked: at worst two threads look at the same time.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.url
        self._looking: Future[Finding | None] | None = None
        self._told = False
        self.made = False
        self.finding: Finding | None = None

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
        return _reason(None if self.made else self.finding or self._look_soon())

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
            raise Unavailable(f"cannot reach {self._url}{_reason(finding)}", code="UNAVAILABLE")
        if not self._told and patience > SILENCE and (finding is not None or waited >= SILENCE):
            self._told = True
            logger.warning("no answer from %s yet, waiting up to %g s%s", self._url, patience, _reason(finding))


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
