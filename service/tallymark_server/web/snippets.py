"""Snippets: code to copy that reads what a page shows."""

from __future__ import annotations

import json
import shlex
from typing import NamedTuple
from urllib.parse import urlsplit

from tallymark_server.rpc import names
from tallymark_server.web.addresses import DEFAULT_PROJECT
from tallymark_server.web.request import PageRequest

SERVICE = "tallymark.v1.ModelRegistry"
# How an address of gRPC with TLS begins.
TLS = "grpcs://"


class Snippet(NamedTuple):
    """Lines to copy, and their language."""

    language: str
    text: str


def for_model(request: PageRequest, name: str) -> list[Snippet]:
    """Return the snippets that read the model."""
    command = f"model get {_argument(name)}"
    return _snippets(
        request, f"Client().get_model({name!r})", command, "GetModel", names.of_model(request.project, name)
    )


def for_version(request: PageRequest, name: str, number: int) -> list[Snippet]:
    """Return the snippets that read the version."""
    what = names.of_version(request.project, name, number)
    command = f"version get {_argument(f'{name}/{number}')}"
    return _snippets(request, f"Model({name!r}, version={number}).info", command, "GetModelVersion", what)


def for_run(request: PageRequest, run: str) -> list[Snippet]:
    """Return the snippets that read the run."""
    command, what = f"run get {_argument(run)}", names.of_run(request.project, run)
    return _snippets(request, f"Client().get_run({run!r})", command, "GetRun", what, service="tallymark.v1.RunRegistry")


def first_version(request: PageRequest, model: str = "churn") -> list[Snippet]:
    """Return the snippets that create the first version of the model."""
    host = _hosts(request)[0]
    lines = [
        "import tallymark",
        "",
        f"tallymark.configure(url={host!r})",
        f"print(tallymark.Model({model!r}).number)  # 1",
    ]
    body = json.dumps({"parent": f"projects/{request.project}", "config": {"model": model}}, ensure_ascii=False)
    return [Snippet("Python", "\n".join(lines)), _grpcurl(host, "EnsureModelVersion", body)]


def _argument(text: str) -> str:
    """Return the text as an argument, quoted for a shell, and not to be read as an option."""
    return f"{'-- ' if text.startswith('-') else ''}{shlex.quote(text)}"


def _snippets(
    request: PageRequest, python: str, command: str, method: str, resource: str, *, service: str = SERVICE
) -> list[Snippet]:
    grpc, http = _hosts(request)
    body = json.dumps({"name": resource}, ensure_ascii=False)
    lines = [
        "import tallymark",
        f"from tallymark import {python.partition('(')[0]}",
        "",
        f"tallymark.configure(url={grpc!r})",
        f"print({python})",
    ]
    project = "" if request.project == DEFAULT_PROJECT else f" --project {shlex.quote(request.project)}"
    curl = f"curl -H 'Content-Type: application/json' -d {shlex.quote(body)} \\\n    {http}/{service}/{method}"
    page = f"curl {shlex.quote(http + request.path + '.json')}"
    return [
        Snippet("Python", "\n".join(lines)),
        Snippet("Command line", f"tallymark --url {grpc}{project} {command}"),
        _grpcurl(grpc, method, body, service),
        Snippet("curl", curl),
        Snippet("JSON", page),
    ]


def _grpcurl(host: str, method: str, body: str, service: str = SERVICE) -> Snippet:
    plain = "" if host.startswith(TLS) else "-plaintext "
    return Snippet(
        "grpcurl", f"grpcurl {plain}-d {shlex.quote(body)} \\\n    {host.removeprefix(TLS)} {service}/{method}"
    )


def _hosts(request: PageRequest) -> tuple[str, str]:
    """Return the addresses of gRPC and of this page, with the host in the viewer's browser, or a socket."""
    base = f"{request.http.url.scheme}://{request.http.headers.get('host', '')}"
    if isinstance(request.context.grpc_port, str):
        return request.context.grpc_port, base
    host = urlsplit(base).hostname or "127.0.0.1"
    # Both ports speak TLS, or none does.
    scheme = TLS if request.http.url.scheme == "https" else ""
    return f"{scheme}{f'[{host}]' if ':' in host else host}:{request.context.grpc_port}", base
