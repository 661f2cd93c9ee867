"""The environment of a run (host, user, commit, orchestrator, command line), and the arguments of its functions."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from typing import Any

from tallymark.conversion.recordable import Recorded, parameters
from tallymark.conversion.redaction import MAX_ARGUMENT, redacted_command, redacted_text
from tallymark.runtime.machine import host_name, is_notebook, readable, user_name
from tallymark.settings import current

# Variables of CI systems and orchestrators with the commit, and with the URL of the job.
_COMMIT_VARIABLES = ("TALLYMARK_RUN_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "BUILD_SOURCEVERSION")
_URL_VARIABLES = ("TALLYMARK_RUN_URL", "CI_JOB_URL", "BUILD_URL", "AIRFLOW_CTX_LOG_URL")
_GIT_TIMEOUT = 2.0
MAX_URL = 8_000


def environment_fields() -> dict[str, str]:
    """Return the fields of a run that describe its environment, without secrets; unknown ones are empty."""
    return {
        "host": host_name(),
        "user": user_name(),
        "commit": redacted_text(readable(_commit(), MAX_ARGUMENT)),
        "url": redacted_text(readable(_url(), MAX_URL)),
        "command": _command(),
    }


def parameters_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], names: Container[str] | None = None
) -> Recorded:
    """Return the arguments of a call as they are recorded: all, or those of the parameters in `names`. Never raises."""
    if current().parameters == "off":
        return Recorded()
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return Recorded()  # the call itself raises a better error
    bound.apply_defaults()
    arguments: Mapping[str, Any] = bound.arguments
    if "." in getattr(function, "__qualname__", ""):
        arguments = {name: value for name, value in arguments.items() if name not in ("self", "cls")}
    return recorded_parameters({name: value for name, value in arguments.items() if names is None or name in names})


def recorded_parameters(values: Mapping[str, object]) -> Recorded:
    """Return parameters as they are recorded, without secrets; none if the setting `parameters` is off."""
    return Recorded() if current().parameters == "off" else parameters(values)


def _command() -> str:
    """Return the command line of this process; empty in a notebook, where it is that of the kernel."""
    if is_notebook():
        return ""
    return redacted_command(sys.orig_argv).encode(errors="backslashreplace").decode()


def _commit() -> str:
    commit = _first_set(_COMMIT_VARIABLES)
    if commit:
        return commit
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
    url = _first_set(_URL_VARIABLES)
    if not url and os.environ.get("GITHUB_RUN_ID"):
        server, repository = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
        url = f"{server}/{repository}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    return url


def _first_set(variables: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in variables if os.environ.get(name)), "")
