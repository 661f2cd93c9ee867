"""Where and with what a run runs: machine, account, code and orchestrator, and what its functions are called with."""

from __future__ import annotations

import inspect
import json
import os
import socket
import subprocess
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from tallymark.arguments import exact

# Variables in which others tell the commit, and the address of the run's page.
_COMMITS = ("TALLYMARK_RUN_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "BUILD_SOURCEVERSION")
_URLS = ("TALLYMARK_RUN_URL", "CI_JOB_URL", "BUILD_URL", "AIRFLOW_CTX_LOG_URL")
_GIT_TIMEOUT = 2.0
# What is longer is data rather than a parameter.
_LONGEST_TEXT = 1000
_MOST_BITS = 3000
_LONGEST_LIST = 100
_MOST_BYTES = 60_000


def surroundings() -> dict[str, str]:
    """The host, account, commit and orchestrator's address of a run that is started here; empty where not known."""
    return {"host": socket.gethostname(), "user": _user(), "commit": _commit(), "url": _url()}


def parameters_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], names: Container[str] | None = None
) -> dict[str, object]:
    """Return what the function is called with, or of that only the parameters of these names."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return {}  # calling the function will say better what is wrong
    bound.apply_defaults()
    chosen = {name: value for name, value in bound.arguments.items() if names is None or name in names}
    return recorded_parameters(chosen)


def recorded_parameters(values: Mapping[str, object]) -> dict[str, object]:
    """Return parameters as they are recorded: numbers, text, paths, times, and lists of these; others are left out."""
    told: dict[str, object] = {}
    size = 0
    for name, value in values.items():
        fact = _fact(value)
        if fact is not None:
            size += len(name) + len(json.dumps(fact, default=str))
            if size > _MOST_BYTES:
                break
            told[name] = fact
    return told


def _fact(value: object, depth: int = 0) -> object:
    """The value, if it can be told; None otherwise."""
    match value:
        case bool() | datetime():
            return value
        case int() if not exact(value):
            return _fact(str(value)) if value.bit_length() < _MOST_BITS else None
        case int() | float():
            return value
        case str():
            return value if len(value) <= _LONGEST_TEXT and _encodes(value) else None
        case list() | tuple() if len(value) <= _LONGEST_LIST and depth < 3:
            items = [_fact(item, depth + 1) for item in value]
            return None if any(item is None for item in items) else items
        case dict() if len(value) <= _LONGEST_LIST and depth < 3:
            facts = {str(key): _fact(item, depth + 1) for key, item in value.items()}
            return {key: fact for key, fact in facts.items() if fact is not None} or None
        case os.PathLike():
            return _fact(os.fspath(value))
        case _ if callable(getattr(value, "item", None)) and getattr(value, "ndim", 0) == 0:
            return _fact(value.item())  # type: ignore[attr-defined]  # numpy's - or a library's like it
        case _:
            return None


def _encodes(text: str) -> bool:
    return text.isprintable() or not any(0xD800 <= ord(ch) <= 0xDFFF for ch in text)


def _user() -> str:
    import getpass

    with suppress(KeyError, OSError):  # a container's user may have no name
        return getpass.getuser()
    return ""


def _commit() -> str:
    told = _first(_COMMITS)
    if told:
        return told
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no") if head else ""
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(  # noqa: S603 - the arguments are our own
            ["git", *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_TIMEOUT,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else ""
    return ""


def _url() -> str:
    told = _first(_URLS)
    if not told and os.environ.get("GITHUB_RUN_ID"):
        server, repository = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
        told = f"{server}/{repository}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    return told


def _first(variables: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in variables if os.environ.get(name)), "")
