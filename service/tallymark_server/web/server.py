"""The listener of the dashboard. It listens at once, and loads the application while gRPC answers already."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallymark_server import local_sockets
from tallymark_server.access.door import Door
from tallymark_server.availability import Availability
from tallymark_server.certificates import Certificates
from tallymark_server.observer import Observer
from tallymark_server.registry import Registry
from tallymark_server.rpc.connections import max_connections
from tallymark_server.rpc.server import CannotListenError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from tallymark_server.identity.sessions import Sessions
    from tallymark_server.identity.tokens import Verifier
    from tallymark_server.web.live import Live
    from tallymark_server.web.sign_in import SignIn

BACKLOG = 512


class HttpServer:
    """The dashboard and the calls over HTTP on one port. Early connections wait in the backlog of the port."""

    # What messages call it, and the flag of its address.
    what, flag, without = "the dashboard", "--http", " with --no-ui"
    # Imported in a thread, since the import would delay the start of gRPC.
    modules: tuple[str, ...] = (
        "uvicorn",
        "tallymark_server.web.connections",
        "tallymark_server.web.routes",
        "tallymark_server.web.rendering",
    )

    def __init__(
        self,
        registry: Registry,
        door: Door,
        names: tuple[str, ...],
        origins: tuple[str, ...] = (),
        availability: Availability | None = None,
        observer: Observer | None = None,
        certificates: Certificates | None = None,
        sessions: Sessions | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """Serve by TLS with `certificates`, and let people sign in with `sessions`, at the issuers of the verifier."""
        self._sessions = sessions
        self._verifier = verifier
        self._registry = registry
        self._door = door
        self._availability = availability or Availability()
        self._observer = observer or Observer()
        self._names = names
        self._origins = origins
        self._certificates = certificates
        self._socket: socket.socket | None = None
        self._path = ""
        self._server: uvicorn.Server | None = None
        self._live: Live | None = None
        self._serving = self._stopping = False
        self._ended = asyncio.Event()

    @property
    def scheme(self) -> str:
        """The scheme of its address."""
        return "http" if self._certificates is None else "https"

    def listen(self, host: str, port: int) -> int:
        """Listen. Return the port: for 0, the system chooses one; a Unix socket has none. Raises CannotListenError."""
        if host.startswith(local_sockets.PREFIX):
            path = host.removeprefix(local_sockets.PREFIX)
            self._socket = _bound(path, self.what, self.flag)
            self._path = path
            return 0
        shown = f"[{host}]" if ":" in host else host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise CannotListenError(
                f"{self.what} cannot listen on {shown}:{port}: {error.strerror or error}; name another port with"
                f" {self.flag} HOST:PORT (port 0 picks a free one), or do without it{self.without}"
            ) from None
        chosen: int = self._socket.getsockname()[1]
        return chosen

    async def serve(self, grpc_port: int | str) -> None:
        """Serve until `stop`. `grpc_port` is the port or socket of gRPC."""
        self._serving = True
        try:
            await asyncio.to_thread(_load, self.modules)
            if not self._stopping:
                await self._answer(grpc_port)
        finally:
            self._taken().close()
            self._ended.set()

    async def _answer(self, grpc_port: int | str) -> None:
        import uvicorn

        from tallymark_server.web.connections import PatientProtocol, Unread

        class Server(uvicorn.Server):
            """A server that does not handle signals."""

            @contextmanager
            def capture_signals(self) -> Iterator[None]:
                yield

        class Protocol(PatientProtocol):
            """Connections of this server."""

            unread = Unread()

        config: dict[str, Any] = {"http": Protocol, "ws": "none", "lifespan": "off", "loop": "none"}
        # Further connections get status 503, so that a flood leaves descriptors for files and for gRPC.
        limits: dict[str, Any] = {"backlog": BACKLOG, "limit_concurrency": max_connections()}
        quiet: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "date_header": False}
        if self._certificates is not None and not self._path:
            tls = self._certificates.context()
            config["ssl_context_factory"] = lambda *_: tls
        self._server = Server(
            uvicorn.Config(self.app(grpc_port), **config, **limits, **quiet, timeout_graceful_shutdown=1)
        )
        await self._server.serve([self._taken()])

    def app(self, grpc_port: int | str) -> ASGIApp:
        """Return what is served."""
        from tallymark_server.web.live import Live
        from tallymark_server.web.request import AppContext
        from tallymark_server.web.routes import site

        self._live = Live(self._registry)
        context = AppContext(self._registry, self._door, grpc_port, self._availability, self._observer, self._sign_in())
        return site(context, self._live, self._names, self._origins)

    def _sign_in(self) -> SignIn | None:
        if self._sessions is None:
            return None
        from tallymark_server.web.sign_in import SignIn

        if self._verifier is None:
            return SignIn(self._sessions, {})
        from tallymark_server.identity.provider import Provider

        issuers = [issuer for issuer in self._verifier.issuers if issuer.client_id]
        return SignIn(self._sessions, {issuer.name: Provider(issuer, self._verifier) for issuer in issuers})

    async def stop(self) -> None:
        """Accept no more requests, and end every stream."""
        self._stopping = True
        if self._live is not None:
            await self._live.close()
        if self._server is not None:
            self._server.should_exit = True
        if self._serving:
            await self._ended.wait()
        elif self._socket is not None:
            self._socket.close()
        if self._path:
            local_sockets.remove(self._path)

    def _taken(self) -> socket.socket:
        assert self._socket is not None, "listen comes before serve"  # noqa: S101
        return self._socket


def _bound(path: str, what: str, flag: str) -> socket.socket:
    """Return a socket that listens on the path. Raises CannotListenError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with local_sockets.binding(path):
            made.bind(path)
        made.listen(BACKLOG)
    except (local_sockets.SocketTakenError, OSError) as error:
        made.close()
        raise CannotListenError(f"{what} cannot listen on unix:{path}: {error} ({flag})") from None
    return made


def _load(modules: tuple[str, ...]) -> None:
    # Its messages are for its own command line; errors of requests are logged by the routes.
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    logging.getLogger("uvicorn").propagate = False
    for module in modules:
        import_module(module)
