"""Which address is answered by which page."""

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
from tallymark_server.web.coalescing import Sharing
from tallymark_server.web.connect import Bridge
from tallymark_server.web.connections import Turns
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
from tallymark_server.web.protocol_errors import is_call, refusal
from tallymark_server.web.rendering import STATIC, render
from tallymark_server.web.request import Answer, Elsewhere, Page, Surroundings, View, Visit
from tallymark_server.web.request_bodies import Bodies
from tallymark_server.web.security import Safety

# These show what the registry holds, the same to all who ask.
PAGES: dict[str, Page] = {
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
# Of 1 to 9: more costs time and saves little.
COMPRESSION = 5
YEAR = 365 * 86_400

Endpoint = Callable[[Request], Awaitable[Response]]


class Files(StaticFiles):
    """The static files, which a browser may keep for ever under the address that names their content."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # handed on - as they came
        response.headers["cache-control"] = FOREVER
        return response


class Viewing(StreamingResponse):
    """The stream of an open page, which counts for as long as it is sent; refused while too many are open."""

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


class Suffixes:
    """Takes `.json` off addresses, and says that JSON is asked for."""

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


def site(around: Surroundings, live: Live, names: tuple[str, ...], origins: tuple[str, ...] = ()) -> ASGIApp:
    """The whole of what is answered over HTTP."""
    sharing: Sharing[Made] = Sharing()
    routes = [Route(path, _shared(page, around, live, sharing)) for path, page in PAGES.items()]
    for path, action in ACTIONS.items():
        routes.append(Route(path, _endpoint(action.page, around)))
        routes.append(Route(path, _endpoint(_posted(action), around), methods=["POST"]))
    # What is kept in one browser is shown to no other.
    routes.append(Route("/settings", _endpoint(settings.page, around)))
    routes.append(Route("/settings", _endpoint(settings.keep, around), methods=["POST"]))
    # Whoever cuts `/models/churn` short means the list.
    routes.append(Route("/models", _to_the_list))
    routes.append(Route("/live", _stream(around, live)))
    app = Starlette(
        routes=[
            Mount("/static", Files(directory=STATIC)),
            Route("/favicon.ico", _favicon),
            Route("/projects", _endpoint(projects.page, around)),
            Route("/projects", _endpoint(projects.create, around), methods=["POST"]),
            Mount("/projects/{project}", routes=routes),
            *routes,
        ],
        exception_handlers={404: _nothing(around)},
    )
    compressed = GZipMiddleware(Suffixes(app), minimum_size=1000, compresslevel=COMPRESSION)
    bodies = Bodies(_parted(Bridge(around.registry), Turns(compressed)))
    return Origins(Safety(bodies, names, origins), origins)


def _parted(calls: ASGIApp, pages: ASGIApp) -> ASGIApp:
    """Return what hands calls of methods to the one, and all else to the other."""

    async def handed(scope: Scope, receive: Receive, send: Send) -> None:
        await (calls if is_call(scope) else pages)(scope, receive, send)

    return handed


def _endpoint(page: Page, around: Surroundings) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        visit = Visit(request, around)
        try:
            await _choose(visit)
            return await _answered(page, visit)
        except RegistryError as error:
            return respond(visit, _problem(error))
        except Exception as error:  # noqa: BLE001 - whatever happens, the viewer is told, and the operator finds it logged
            return respond(visit, _problem(incident(visit.path, error)))

    return endpoint


class Made(NamedTuple):
    """An answer as it is, and compressed."""

    plain: bytes
    packed: bytes
    status: int
    headers: dict[str, str]


def _shared(page: Page, around: Surroundings, live: Live, sharing: Sharing[Made]) -> Endpoint:
    """The page; those who follow the log and ask for the same part of it get one answer."""
    alone = _endpoint(page, around)

    async def endpoint(request: Request) -> Response:
        visit = Visit(request, around)
        revision = live.revision(visit.project)
        if visit.layout != "fragment.html" or visit.as_json or revision is None:
            return await alone(request)

        async def make() -> Made:
            made = await alone(request)
            headers = {name: value for name, value in made.headers.items() if name != "content-length"}
            return Made(bytes(made.body), gzip.compress(made.body, COMPRESSION, mtime=0), made.status_code, headers)

        # Lines to copy tell the host by which the viewer came.
        key = (request.headers.get("host"), visit.path, request.url.query)
        made = await sharing.answer(key, revision, make, visit.told)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(made.packed, made.status, {**made.headers, "content-encoding": "gzip"})
        return Response(made.plain, made.status, made.headers)

    return endpoint


def _posted(action: Action) -> Page:
    async def post(visit: Visit) -> Answer:
        return await action.post(visit, await sent(visit.request))

    return post


async def _choose(visit: Visit) -> None:
    """Have the header show the projects; a part of a page has no header."""
    if visit.layout == "page.html" and not visit.as_json:
        visit.menu = await projects.menu(visit)


async def _answered(page: Page, visit: Visit) -> Response:
    answer = await page(visit)
    done = await _done(visit) if isinstance(answer, View) and not visit.as_json else {}
    return respond(visit, answer, **done)


async def _done(visit: Visit) -> dict[str, object]:
    """What the viewer has just done, as the log has it, and how to undo it."""
    revision = visit.whole("done")
    if not revision:
        return {}
    try:
        events = (await visit.registry.events(visit.project, revision - 1, 1)).items
    except RegistryError:
        return {}
    if not events:
        return {}
    undo = ""
    match events[0].image:
        case ModelVersion(stage=Stage.PRODUCTION, model=name, mod_revision=then):
            with suppress(RegistryError):
                now = await visit.registry.version(visit.project, name, in_stage(Stage.PRODUCTION))
                # What was changed since is not undone.
                undo = visit.to.model(name, "rollback") if now.mod_revision == then else ""
        case _:
            pass
    return {"done": events[0], "undo": undo}


def _problem(error: RegistryError) -> View:
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


def respond(visit: Visit, answer: Answer, **done: object) -> Response:
    """The answer as HTTP has it."""
    if isinstance(answer, Elsewhere):
        address = answer.address
        if visit.as_json:
            path, mark, query = address.partition("?")
            address = f"{path}{JSON}{mark}{query}"
        response = RedirectResponse(address, answer.status)
        for name, value in answer.cookies.items():
            response.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="lax")
        return response
    headers = {"cache-control": "private, no-cache", "vary": "HX-Request, Cookie, Accept-Encoding", **answer.headers}
    if visit.as_json:
        return JSONResponse(_with_reason(answer), answer.status, headers)
    text = render(
        answer.template,
        **{"live": True, "done": None, "undo": "", **done, **answer.facts},
        visit=visit,
        to=visit.to,
        revision=answer.revision,
        layout=visit.layout,
    )
    # A filter that is half written is no failure of the page that asks while it is written.
    status = 200 if isinstance(answer.problem, InvalidFilter) and visit.layout != "page.html" else answer.status
    return Response(text, status, headers, "text/html")


def _with_reason(answer: View) -> object:
    error = answer.problem
    if error is None:
        return answer.data()
    return {"code": code_name(error), "reason": error.reason, "message": str(error), "metadata": error.metadata}


def _stream(around: Surroundings, live: Live) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        visit = Visit(request, around)
        cursor = request.headers.get("last-event-id") or visit.text("after")
        try:
            await history.head(visit.registry, visit.project)
            model_id = None
            if name := visit.text("model"):
                model_id = (await visit.registry.model(visit.project, name, deleted=True)).id
        except RegistryError as error:
            return Response(f"{error}\n", http_status(error))
        stream: AsyncIterator[str] = live.stream(visit.project, cursor, model_id, visit.text("run"))
        return Viewing(live, stream)

    return endpoint


async def _to_the_list(_: Request) -> Response:
    return RedirectResponse("./")


async def _favicon(_: Request) -> Response:
    return RedirectResponse("/static/icon.svg", 301)


def _nothing(around: Surroundings) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, _: Exception) -> Response:
        visit = Visit(request, around)
        with suppress(RegistryError):
            await _choose(visit)
        view = View(
            template="nothing.html",
            facts={"title": "Nothing here", "live": False},
            data=lambda: {"code": "not_found", "message": f"there is no page {visit.path}"},
            status=404,
        )
        return respond(visit, view)

    return answer
