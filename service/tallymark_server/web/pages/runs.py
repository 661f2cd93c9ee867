"""The page of all runs, the latest first."""

from __future__ import annotations

from contextlib import suppress

from google.protobuf.json_format import MessageToDict

from tallymark_server.domain.errors import InvalidFilter, RunNotFound
from tallymark_server.domain.model import Run
from tallymark_server.registry import Listing, ListOptions
from tallymark_server.rpc import messages
from tallymark_server.web import history
from tallymark_server.web.pages import search_box
from tallymark_server.web.request import PageRequest, PageResult, View

# Common filters.
QUICK = (("running", "state = running"), ("failed", "state = failed"), ("lost", "state = lost"))


async def page(request: PageRequest) -> PageResult:
    """Show the runs of the project, or those that the viewer searches for."""
    search, problem = request.text("q"), None
    options = ListOptions(page_size=request.page_size, page_token=request.text("page"), filter=search_box.runs(search))
    try:
        found = await request.registry.runs(request.project, options)
    except InvalidFilter as error:
        found, problem = Listing([], "", await history.head(request.registry, request.project)), error
    token = found.next_page_token
    # The rows of later pages are as of the first page, but each row shows the current values.
    runs = await _present(request, found.items) if options.page_token else found.items
    facts = {
        "title": "Runs",
        "runs": runs,
        "search": search,
        "quick": QUICK,
        "next": request.here(page=token) if token else "",
        "problem": problem,
    }
    return View(
        template="runs.html",
        facts=facts,
        data=lambda: {
            "runs": [MessageToDict(messages.run(request.project, run)) for run in runs],
            "nextPageToken": token,
            "revision": str(found.revision),
        },
        revision=found.revision,
        problem=problem,
        status=200 if problem is None else 400,
    )


async def _present(request: PageRequest, runs: list[Run]) -> list[Run]:
    """Return the runs as they are now."""
    present = []
    for run in runs:
        with suppress(RunNotFound):
            present.append(await request.registry.run(request.project, run.id))
    return present
