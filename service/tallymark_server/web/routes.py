"""The routes of the dashboard, and the ASGI application that serves them and the calls over HTTP."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from tallymark_server.access.callers import NOBODY
from tallymark_server.access.door import Needs, may
from tallymark_server.domain.errors import InvalidFilter, ProjectNotFound, RegistryError, Unauthenticated
from tallymark_server.domain.model import ModelVersion, Stage
from tallymark_server.domain.reference import in_stage
from tallymark_server.domain.roles import Role
from tallymark_server.rpc.services import method_needs
from tallymark_server.web import history
from tallymark_server.web.actions import deletion, stages, text_forms
from tallymark_server.web.actions.forms import Action, sent
from tallymark_server.web.addresses import JSON, Addresses
from tallymark_server.web.coalescing import RequestCoalescer
from tallymark_server.web.connect import END_TIMEOUT, Bridge
from tallymark_server.web.connections import RenderLimiter
from tallymark_server.web.cors import Origins
from tallymark_server.web.entry import CALLER, CREDENTIALS, Entry, SignedOut
from tallymark_server.web.errors import code_name, http_status, incident
from tallymark_server.web.live import Live
from tallymark_server.web.pages import (
    access,
    activity,
    compare,
    model,
    models,
    production_at,
    projects,
    run,
    runs,
    settings,
    version,
)
from tallymark_server.web.probes import Probes
from tallymark_server.web.protocol_errors import is_call, refusal
from tallymark_server.web.rendering import STATIC, render
from tallymark_server.web.request import AppContext, PageHandler, PageRequest, PageResult, Redirect, View
from tallymark_server.web.request_bodies import Bodies
from tallymark_server.web.security import Safety
from tallymark_server.web.sign_in import sign_in_address

# Pages that show the registry, the same to every viewer.
PAGES: dict[str, PageHandler] = {
    "/": models.page,
    "/go": models.go,
    "/activity": activity.page,
    "/models/{model}": model.page,
    "/models/{model}/at": production_at.page,
    "/models/{model}/compare": compare.page,
    "/models/{model}/versions/{reference}": version.page,
    "/runs": runs.page,
    "/runs/{run}": run.page,
}
MODEL, VERSION = "/models/{model}", "/models/{model}/versions/{number:int}"
ACTIONS: dict[str, Action] = {
    f"{MODEL}/rollback": stages.ROLLBACK,
    f"{MODEL}/describe": text_forms.CARD_FORM,
    f"{MODEL}/tags": text_forms.MODEL_TAGS,
    f"{MODEL}/delete": deletion.MODEL,
    f"{MODEL}/undelete": deletion.MODEL_BACK,
    f"{VERSION}/stage": stages.STAGE,
    f"{VERSION}/aliases": text_forms.ALIASES,
    f"{VERSION}/tags": text_forms.VERSION_TAGS,
    f"{VERSION}/describe": text_forms.DESCRIPTION,
    f"{VERSION}/delete": deletion.VERSION,
    f"{VERSION}/undelete": deletion.VERSION_BACK,
}
# The last event of a stream whose page its viewer may no longer read.
REFUSED = b"event: refused\ndata:\n\n"
FOREVER = "public, max-age=31536000, immutable"
# Of 1 to 9: a higher level costs time and saves little.
COMPRESSION = 5
YEAR = 365 * 86_400

Endpoint = Callable[[Request], Awaitable[Response]]
# An endpoint behind the door.
Inner = Callable[[PageRequest], Awaitable[Response]]
READ = Needs("this page", Role.READER)


class Files(StaticFiles):
    """The static files, which browsers may cache for ever: their address has a digest of their content."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # passed on - as they came
        response.headers["cache-control"] = FOREVER
        return response


class EventStream(StreamingResponse):
    """The event stream of an open page, which is refused while too many pages are open."""

    def __init__(self, live: Live, stream: AsyncIterator[str], reading: AbstractAsyncContextManager[None]) -> None:
        """Send the stream while the context `reading` lets it."""
        super().__init__(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._live = live
        self._reading = reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as open_pages:
            try:
                open_pages.enter_context(self._live.viewing())
            except RegistryError as error:
                await refusal(scope, error)(scope, receive, send)
                return
            try:
                async with self._reading:
                    await super().__call__(scope, receive, send)
            except RegistryError:
                with suppress(TimeoutError):
                    async with asyncio.timeout(END_TIMEOUT):
                        await send({"type": "http.response.body", "body": REFUSED, "more_body": False})


class JsonSuffixes:
    """Middleware that removes `.json` from the path, and notes in the scope that JSON is requested."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.endswith(JSON) and not path.startswith("/static/"):
            # The list of models is `/`, and as JSON `/models.json`.
            short = path.removesuffix(JSON)
            short = short.removesuffix("models") if short.count("/") in (1, 3) and short.endswith("/models") else short
            scope = {**scope, "path": short, "raw_path": None, "tallymark.json": True}
        await self._app(scope, receive, send)


def site(context: AppContext, live: Live, names: tuple[str, ...], origins: tuple[str, ...] = ()) -> ASGIApp:
    """Return the ASGI application: pages, forms, streams and calls, behind the checks of origins and hosts."""
    signing_in = [] if context.sign_in is None else context.sign_in.routes()
    app = Starlette(routes=[*signing_in, *routes_of(context, live)], exception_handlers={404: _not_found(context)})
    compressed = GZipMiddleware(JsonSuffixes(app), minimum_size=1000, compresslevel=COMPRESSION)
    bodies = Bodies(_split(Bridge(context.registry, context.door, context.observer), RenderLimiter(compressed)))
    entry = Entry(bodies, context.door, _signed_out(context))
    # Probes need no caller.
    return Probes(Origins(Safety(entry, names, origins), origins), context.availability)


def routes_of(context: AppContext, live: Live) -> list[BaseRoute]:
    """Return the routes of all pages and forms."""
    coalescer: RequestCoalescer[RenderedPage] = RequestCoalescer()

    def behind(needs: Needs | None, inner: Inner) -> Endpoint:
        return _behind_door(inner, context, needs)

    routes = [Route(path, behind(READ, _coalesced(page, live, coalescer))) for path, page in PAGES.items()]
    for path, action in ACTIONS.items():
        needs = method_needs(action.method)
        routes.append(Route(path, behind(needs, _shown(action.page))))
        routes.append(Route(path, behind(needs, _shown(_post_handler(action))), methods=["POST"]))
    # The settings differ from browser to browser, so they are not coalesced.
    routes.append(Route("/settings", behind(READ, _shown(settings.page))))
    routes.append(Route("/settings", behind(READ, _shown(settings.keep)), methods=["POST"]))
    # The address of a model without its name is taken for the list.
    routes.append(Route("/models", behind(READ, _redirect_to_models)))
    routes.append(Route("/live", behind(READ, _stream(live))))
    return [
        Mount("/static", Files(directory=STATIC)),
        Route("/favicon.ico", _favicon),
        Route("/projects", behind(None, _shown(projects.page))),
        Route("/projects", behind(None, _shown(projects.create)), methods=["POST"]),
        Route("/access", behind(None, _shown(access.page))),
        Route("/access", behind(None, _shown(access.change)), methods=["POST"]),
        Mount("/projects/{project}", routes=routes),
        *routes,
    ]


def _split(calls: ASGIApp, pages: ASGIApp) -> ASGIApp:
    """Return an application that passes calls of methods to `calls`, and all other requests to `pages`."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        await (calls if is_call(scope) else pages)(scope, receive, send)

    return route


def _behind_door(inner: Inner, context: AppContext, needs: Needs | None) -> Endpoint:
    """Return the endpoint, which refuses callers who may not do this in the project. None lets every caller in."""

    async def endpoint(http: Request) -> Response:
        request = PageRequest(http, context)
        try:
            if needs is not None:
                may(request.caller, needs, request.project)
            return await inner(request)
        except ProjectNotFound as error:
            return _elsewhere(request) or await _refused(request, error)
        except RegistryError as error:
            return await _refused(request, error)

    return endpoint


def _elsewhere(request: PageRequest) -> Response | None:
    """Return a redirect from the start page to a project that the caller may read, None from another page."""
    readable = request.caller.readable
    if request.to.root or request.path != "/" or not readable or request.project in readable:
        return None
    return respond(request, Redirect(Addresses(min(readable)).models()))


async def _refused(request: PageRequest, error: RegistryError) -> Response:
    with suppress(RegistryError):
        await _load_menu(request)
    return respond(request, _error_view(error))


def _shown(page: PageHandler) -> Inner:
    async def inner(request: PageRequest) -> Response:
        try:
            if request.http.method == "POST":
                return await _respond_with(page, request)
            # Every part of a page is read in one transaction, so that the parts fit each other.
            async with request.registry.at_one_moment() as request.registry:
                await _load_menu(request)
                return await _respond_with(page, request)
        except RegistryError as error:
            return respond(request, _error_view(error))
        except Exception as error:  # noqa: BLE001 - whatever happens, the viewer gets a page that says so, and it is logged
            return respond(request, _error_view(incident(request.path, error)))

    return inner


class RenderedPage(NamedTuple):
    """The body of a response, plain and compressed, with its status and headers."""

    plain: bytes
    compressed: bytes
    status: int
    headers: dict[str, str]


def _coalesced(page: PageHandler, live: Live, coalescer: RequestCoalescer[RenderedPage]) -> Inner:
    """Return the endpoint of the page, which renders a fragment once for all who follow the log and request it."""
    uncoalesced = _shown(page)

    async def inner(request: PageRequest) -> Response:
        http, revision = request.http, live.revision(request.project)
        if request.layout != "fragment.html" or request.as_json or revision is None:
            return await uncoalesced(request)

        async def render_page() -> RenderedPage:
            response = await uncoalesced(request)
            headers = {name: value for name, value in response.headers.items() if name != "content-length"}
            compressed = gzip.compress(response.body, COMPRESSION, mtime=0)
            return RenderedPage(bytes(response.body), compressed, response.status_code, headers)

        # Snippets name the host, and pages show what the caller may do, and which projects the caller may read.
        seen = (request.caller.role_in(request.project), request.caller.readable)
        key = (http.headers.get("host"), request.path, http.url.query, seen)
        found = await coalescer.get(key, revision, render_page, request.seen_revision)
        if "gzip" in http.headers.get("accept-encoding", ""):
            return Response(found.compressed, found.status, {**found.headers, "content-encoding": "gzip"})
        return Response(found.plain, found.status, found.headers)

    return inner


def _post_handler(action: Action) -> PageHandler:
    async def post(request: PageRequest) -> PageResult:
        return await action.post(request, await sent(request.http))

    return post


async def _load_menu(request: PageRequest) -> None:
    """Load the projects for the header, which only a whole page has."""
    if request.layout == "page.html" and not request.as_json:
        request.menu = await projects.menu(request)


async def _respond_with(page: PageHandler, request: PageRequest) -> Response:
    answer = await page(request)
    done = await _done(request) if isinstance(answer, View) and not request.as_json else {}
    return respond(request, answer, **done)


async def _done(request: PageRequest) -> dict[str, object]:
    """Return the event that the viewer has just caused, and the address where it can be undone."""
    revision = request.integer("done")
    if not revision:
        return {}
    try:
        events = (await request.registry.events(request.project, revision - 1, 1)).items
    except RegistryError:
        return {}
    if not events:
        return {}
    undo = ""
    match events[0].image:
        case ModelVersion(stage=Stage.PRODUCTION, model=name, mod_revision=then):
            with suppress(RegistryError):
                now = await request.registry.version(request.project, name, in_stage(Stage.PRODUCTION))
                # Only while nothing has changed since.
                undo = request.to.model(name, "rollback") if now.mod_revision == then else ""
        case _:
            pass
    return {"done": events[0], "undo": undo}


def _error_view(error: RegistryError) -> View:
    return View(
        template="problem.html",
        facts={
            "title": "Nothing here" if http_status(error) == 404 else "That did not work",
            "error": error,
            "live": False,
        },
        data=lambda: {"code": code_name(error), "message": str(error)},
        status=http_status(error),
        problem=error,
    )


def respond(request: PageRequest, answer: PageResult, **done: object) -> Response:
    """Return the HTTP response for what a page has returned."""
    if isinstance(answer, Redirect):
        address = answer.address
        if request.as_json:
            path, mark, query = address.partition("?")
            address = f"{path}{JSON}{mark}{query}"
        response = RedirectResponse(address, answer.status)
        for name, value in answer.cookies.items():
            secure = request.http.url.scheme == "https"
            response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="lax", secure=secure)
        return response
    headers = {"cache-control": "private, no-cache", "vary": "HX-Request, Cookie, Accept-Encoding", **answer.headers}
    if request.as_json:
        return JSONResponse(_with_reason(answer), answer.status, headers)
    text = render(
        answer.template,
        **{"live": True, "done": None, "undo": "", **done, **answer.facts},
        request=request,
        to=request.to,
        revision=answer.revision,
        layout=request.layout,
    )
    # The page reloads while a filter is typed, and browsers report every error status.
    status = 200 if isinstance(answer.problem, InvalidFilter) and request.layout != "page.html" else answer.status
    return Response(text, status, headers, "text/html")


def _with_reason(answer: View) -> object:
    error = answer.problem
    if error is None:
        return answer.data()
    return {"code": code_name(error), "reason": error.reason, "message": str(error), "metadata": error.metadata}


def _stream(live: Live) -> Inner:
    async def inner(request: PageRequest) -> Response:
        http = request.http
        cursor = http.headers.get("last-event-id") or request.text("after")
        try:
            await history.head(request.registry, request.project)
            model_id = None
            if name := request.text("model"):
                model_id = (await request.registry.model(request.project, name, deleted=True)).id
        except RegistryError as error:
            return Response(f"{error}\n", http_status(error))
        stream: AsyncIterator[str] = live.stream(request.project, cursor, model_id, request.text("run"))
        reading = request.context.door.attended(
            http.scope[CREDENTIALS], lambda caller: may(caller, READ, request.project)
        )
        return EventStream(live, stream, reading)

    return inner


async def _redirect_to_models(_: PageRequest) -> Response:
    return RedirectResponse("./")


async def _favicon(_: Request) -> Response:
    return RedirectResponse("/static/icon.svg", 301)


def _signed_out(context: AppContext) -> SignedOut:
    async def answer(scope: Scope, error: RegistryError) -> Response:
        # A person who opens a page can sign in. A program, or a part of a page, gets the error.
        headers = Headers(scope=scope)
        opens = scope["method"] == "GET" and "text/html" in headers.get("accept", "") and "hx-request" not in headers
        if context.sign_in is not None and opens and isinstance(error, Unauthenticated):
            return RedirectResponse(sign_in_address(scope), 303, {"cache-control": "no-store"})
        asked = {**scope, CALLER: NOBODY, "tallymark.json": scope["path"].endswith(JSON)}
        return respond(PageRequest(Request(asked), context), _error_view(error))

    return answer


def _not_found(context: AppContext) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(http: Request, _: Exception) -> Response:
        request = PageRequest(http, context)
        with suppress(RegistryError):
            await _load_menu(request)
        view = View(
            template="not_found.html",
            facts={"title": "Nothing here", "live": False},
            data=lambda: {"code": "not_found", "message": f"there is no page {request.path}"},
            status=404,
        )
        return respond(request, view)

    return answer
