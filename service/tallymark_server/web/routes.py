"""The routes of the dashboard, and the ASGI application that serves them and the calls over HTTP."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from tallymark_server.domain.errors import InvalidFilter, RegistryError
from tallymark_server.domain.model import ModelVersion, Stage
from tallymark_server.domain.reference import in_stage
from tallymark_server.web import history
from tallymark_server.web.actions import deletion, stages, text_forms
from tallymark_server.web.actions.forms import Action, sent
from tallymark_server.web.addresses import JSON
from tallymark_server.web.coalescing import RequestCoalescer
from tallymark_server.web.connect import Bridge
from tallymark_server.web.connections import RenderLimiter
from tallymark_server.web.cors import Origins
from tallymark_server.web.errors import code_name, http_status, incident
from tallymark_server.web.live import Live
from tallymark_server.web.pages import (
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
FOREVER = "public, max-age=31536000, immutable"
# Of 1 to 9: a higher level costs time and saves little.
COMPRESSION = 5
YEAR = 365 * 86_400

Endpoint = Callable[[Request], Awaitable[Response]]


class Files(StaticFiles):
    """The static files, which browsers may cache for ever: their address has a digest of their content."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # passed on - as they came
        response.headers["cache-control"] = FOREVER
        return response


class EventStream(StreamingResponse):
    """The event stream of an open page, which is refused while too many pages are open."""

    def __init__(self, live: Live, stream: AsyncIterator[str]) -> None:
        super().__init__(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as open_pages:
            try:
                open_pages.enter_context(self._live.viewing())
            except RegistryError as error:
                await refusal(scope, error)(scope, receive, send)
                return
            await super().__call__(scope, receive, send)


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
    coalescer: RequestCoalescer[RenderedPage] = RequestCoalescer()
    routes = [Route(path, _coalesced(page, context, live, coalescer)) for path, page in PAGES.items()]
    for path, action in ACTIONS.items():
        routes.append(Route(path, _endpoint(action.page, context)))
        routes.append(Route(path, _endpoint(_post_handler(action), context), methods=["POST"]))
    # The settings differ from browser to browser, so they are not coalesced.
    routes.append(Route("/settings", _endpoint(settings.page, context)))
    routes.append(Route("/settings", _endpoint(settings.keep, context), methods=["POST"]))
    # The address of a model without its name is taken for the list.
    routes.append(Route("/models", _redirect_to_models))
    routes.append(Route("/live", _stream(context, live)))
    app = Starlette(
        routes=[
            Mount("/static", Files(directory=STATIC)),
            Route("/favicon.ico", _favicon),
            Route("/projects", _endpoint(projects.page, context)),
            Route("/projects", _endpoint(projects.create, context), methods=["POST"]),
            Mount("/projects/{project}", routes=routes),
            *routes,
        ],
        exception_handlers={404: _not_found(context)},
    )
    compressed = GZipMiddleware(JsonSuffixes(app), minimum_size=1000, compresslevel=COMPRESSION)
    bodies = Bodies(_split(Bridge(context.registry, context.observer), RenderLimiter(compressed)))
    return Probes(Origins(Safety(bodies, names, origins), origins), context.availability)


def _split(calls: ASGIApp, pages: ASGIApp) -> ASGIApp:
    """Return an application that passes calls of methods to `calls`, and all other requests to `pages`."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        await (calls if is_call(scope) else pages)(scope, receive, send)

    return route


def _endpoint(page: PageHandler, context: AppContext) -> Endpoint:
    async def endpoint(http: Request) -> Response:
        request = PageRequest(http, context)
        try:
            if http.method == "POST":
                return await _respond_with(page, request)
            # Every part of a page is read in one transaction, so that the parts fit each other.
            async with request.registry.at_one_moment() as request.registry:
                await _load_menu(request)
                return await _respond_with(page, request)
        except RegistryError as error:
            return respond(request, _error_view(error))
        except Exception as error:  # noqa: BLE001 - whatever happens, the viewer gets a page that says so, and it is logged
            return respond(request, _error_view(incident(request.path, error)))

    return endpoint


class RenderedPage(NamedTuple):
    """The body of a response, plain and compressed, with its status and headers."""

    plain: bytes
    compressed: bytes
    status: int
    headers: dict[str, str]


def _coalesced(
    page: PageHandler, context: AppContext, live: Live, coalescer: RequestCoalescer[RenderedPage]
) -> Endpoint:
    """Return the endpoint of the page, which renders a fragment once for all who follow the log and request it."""
    uncoalesced = _endpoint(page, context)

    async def endpoint(http: Request) -> Response:
        request = PageRequest(http, context)
        revision = live.revision(request.project)
        if request.layout != "fragment.html" or request.as_json or revision is None:
            return await uncoalesced(http)

        async def render_page() -> RenderedPage:
            response = await uncoalesced(http)
            headers = {name: value for name, value in response.headers.items() if name != "content-length"}
            compressed = gzip.compress(response.body, COMPRESSION, mtime=0)
            return RenderedPage(bytes(response.body), compressed, response.status_code, headers)

        # The host is part of the key because snippets name it.
        key = (http.headers.get("host"), request.path, http.url.query)
        found = await coalescer.get(key, revision, render_page, request.seen_revision)
        if "gzip" in http.headers.get("accept-encoding", ""):
            return Response(found.compressed, found.status, {**found.headers, "content-encoding": "gzip"})
        return Response(found.plain, found.status, found.headers)

    return endpoint


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


def _stream(context: AppContext, live: Live) -> Endpoint:
    async def endpoint(http: Request) -> Response:
        request = PageRequest(http, context)
        cursor = http.headers.get("last-event-id") or request.text("after")
        try:
            await history.head(request.registry, request.project)
            model_id = None
            if name := request.text("model"):
                model_id = (await request.registry.model(request.project, name, deleted=True)).id
        except RegistryError as error:
            return Response(f"{error}\n", http_status(error))
        stream: AsyncIterator[str] = live.stream(request.project, cursor, model_id, request.text("run"))
        return EventStream(live, stream)

    return endpoint


async def _redirect_to_models(_: Request) -> Response:
    return RedirectResponse("./")


async def _favicon(_: Request) -> Response:
    return RedirectResponse("/static/icon.svg", 301)


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
