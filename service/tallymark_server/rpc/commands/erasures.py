"""Erase requests, as commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tallymark.v1 import event_log_pb2
from tallymark_server.domain import commands as c
from tallymark_server.domain import naming
from tallymark_server.domain.erasure import CANNOT, MUST, OF_MODELS, OF_PROJECTS, OF_RUNS, OF_VERSIONS, without_key
from tallymark_server.domain.errors import InvalidField
from tallymark_server.domain.reference import Reference
from tallymark_server.rpc import names
from tallymark_server.rpc.commands.fields import attempt

MAX_PATHS = 100
MAX_PATH = 4096


def erase(request: event_log_pb2.EraseRequest, actor: str) -> c.Erase:
    """Return the command of an Erase request. Raises InvalidField."""
    project, model, reference, run, known = _subject(request.name)
    paths = _paths(request.paths, known)
    if not request.reason.strip():
        raise InvalidField("reason", "empty", "say why, for the log, without a word of what is erased")
    # The fingerprint must not reveal what is erased, either.
    plain = event_log_pb2.EraseRequest()
    plain.CopyFrom(request)
    plain.ClearField("reason")
    plain.paths[:] = [without_key(path) for path in paths]
    return c.Erase(
        **attempt(plain, project, actor),
        what=c.Erasing(run=run, model=model, reference=reference, paths=paths, keys=request.erase_keys),
        reason=naming.prose(request.reason, "reason"),
    )


def _subject(name: str) -> tuple[str, str | None, Reference | None, str | None, Mapping[str, str]]:
    """Return the project, model, version and run of the request, and the paths that can be erased."""
    if "/versions/" in name:
        return *names.version(name, "name"), None, OF_VERSIONS
    if "/models/" in name:
        return *names.model(name, "name"), None, None, OF_MODELS
    if "/runs/" in name:
        project, run = names.run(name, "name")
        return project, None, None, run, OF_RUNS
    return names.project(name, "name"), None, None, None, OF_PROJECTS


def _paths(given: Iterable[str], known: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paths without duplicates. Raises InvalidField, which never quotes one, since it may be a secret."""
    paths = tuple(dict.fromkeys(given))
    if not 1 <= len(paths) <= MAX_PATHS:
        raise InvalidField("paths", f"{len(paths)} paths", f"name 1 to {MAX_PATHS} of {', '.join(known)}")
    for place, path in enumerate(paths):
        field, (head, dot, key) = f"paths[{place}]", path.partition(".")
        if head not in known:
            raise InvalidField(field, "[not shown]", f"what can be erased of this is {', '.join(known)}")
        if len(path) > MAX_PATH:
            raise InvalidField(field, "too long", f"it has {MAX_PATH} characters at most")
        if dot and (known[head] == CANNOT or not key):
            raise InvalidField(field, f"{head}.*", f"no key follows {head}" if key else "a key follows the dot")
        if known[head] == MUST and not key:
            raise InvalidField(field, head, f"a name follows: {head}.NAME")
    return paths
